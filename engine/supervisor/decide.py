"""What to do next, from what is known: pure functions on values, no clock, no process, no file.

One `Role` is one place that at most one process fills: the simulator, the engine, the fork server, and a worker for
each worker process, of one instrument or several. A role goes through these phases, and this file alone moves it:

    DOWN ── start asked ──▶ ASKED ── its process is known ──▶ LIVES ── told to end ──▶ ENDING
      ▲                       │                                 │                        │
      └───── refused ─────────┴──────────── known dead (pidfd) ─┴────────────────────────┘      or PARKED, for good

Time is counted in the supervisor's own ticks of 100 ms. A tick that comes late counts once, so a machine that slept
for an hour kills nobody: neither it nor its children had any ticks.
"""

import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from shm.quarantine import CRASH_SIGNALS

TICK_MS = 100

NO_PROGRESS_TICKS = 300  # a heartbeat that stands still for so long: killed
FIRST_SIGN_TICKS = 3000  # the fork server compiles before it says anything, the simulator prepares its flow
BEGINNING_TICKS = 50  # of waiting for nobody else: a recorder that has shown nothing by then is waited for no more
GOOD_LIFE_TICKS = 100  # who lived so long and moved is forgiven what was before
STOP_TICKS = 30  # between the wish to end and the kill

# Before the n-th start after deaths in a row; past the last of them the role is parked.
BACK_OFF_TICKS = (0, 0, 2, 5, 10, 20, 50, 100)
STILLBORN = 3  # a life that never moved counts for so many: what cannot even start is parked soon
FREE_KILLS = 30  # ends from outside say nothing about the program: so many are answered at once, and none parks
KILLED_WAITS = 5  # of the back-off, the first so many: what comes meanwhile has room in a ring, and nothing is lost
MAX_QUARANTINED = 64  # in one process; what its job has room for

_OUTSIDE_SIGNALS = frozenset({signal.SIGKILL, signal.SIGTERM})


class Part(Enum):
    """What a role is, in the order in which they are stopped: who sends first, then who takes."""

    ENGINE = "engine"
    WORKER = "worker"
    KEEPER = "keeper"
    RECORDER = "recorder"
    HISTORIAN = "historian"
    SERVER = "fork server"
    SIMULATOR = "simulator"


class Phase(Enum):
    DOWN = "down"
    ASKED = "asked"
    LIVES = "lives"
    ENDING = "ending"
    PARKED = "parked"


class Why(Enum):
    """Why a process was told to end; it decides how its death is counted."""

    NOTHING = ""
    NO_PROGRESS = "no progress"
    STOP = "stop"
    CHANGE = "change"  # other instruments than it was started for, or other settings of them


class Begun(NamedTuple):
    """The ring record that a worker was applying: sequences of two rings may be the same."""

    symbol: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Role:
    """One place for one process, and all that is remembered of those who filled it."""

    name: str  # of the worker process, for a worker: the symbol of its only instrument, or what its file says
    part: Part
    phase: Phase = Phase.DOWN
    since_tick: int = 0  # when the phase began
    born_tick: int = 0  # when the present or last life began
    not_before_tick: int = 0
    pid: int = 0
    beat: int = 0  # the last progress seen: a word that its process moves
    beat_tick: int = 0  # when that was
    moved: bool = False  # it made progress in this life
    why: Why = Why.NOTHING
    starts: int = 0
    crashes: int = 0  # in a row
    kills: int = 0  # from outside, in a row
    accused: Begun | None = None  # what the last life died on, if it died in a way that says so
    quarantine: tuple[Begun, ...] = ()
    last_end: str = ""  # how the last life ended
    parked: str = ""  # why it is not started any more

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)

    @property
    def filled(self) -> bool:
        """A process of this role lives, or may."""
        return self.phase in (Phase.ASKED, Phase.LIVES, Phase.ENDING)


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended: by a signal, or with a status; and the ring record it had begun, if one."""

    signal: int
    status: int
    begun: Begun | None = None

    @property
    def text(self) -> str:
        if self.signal:
            known = self.signal in signal.valid_signals()
            return f"ended by {signal.Signals(self.signal).name if known else f'signal {self.signal}'}"
        return f"ended with status {self.status}"


@dataclass(frozen=True, slots=True)
class Start:
    role: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Send `signal`: SIGTERM, which asks, or SIGKILL."""

    role: str
    signal: int
    why: Why


@dataclass(frozen=True, slots=True)
class Park:
    role: str
    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing useful can go on: stop all, and say this."""

    message: str


Action = Start | Tell | Park | Stop


# ── what happened ─────────────────────────────────────────────────────────────────────────────────────────


def asked(role: Role, beat: int, tick: int) -> Role:
    """A process for it was asked for; from here on there may be one. `beat` is what its predecessor left."""
    assert role.phase is Phase.DOWN, role
    return replace(role, phase=Phase.ASKED, since_tick=tick, beat=beat, beat_tick=tick, moved=False, why=Why.NOTHING)


def lives(role: Role, pid: int, tick: int) -> Role:
    """Its process is known, and watched by a pidfd."""
    assert role.phase is Phase.ASKED, role
    starts = role.starts + 1
    return replace(role, phase=Phase.LIVES, since_tick=tick, born_tick=tick, beat_tick=tick, pid=pid, starts=starts)


def refused(role: Role, message: str, tick: int) -> Role:
    """It could not be started, and there is no process. Counted like a crash."""
    assert role.phase is Phase.ASKED, role
    return _down(replace(role, crashes=role.crashes + STILLBORN, last_end=message), tick)


def unasked(role: Role, tick: int) -> Role:
    """Who was asked for it died before it answered, and whatever it left was killed: nobody's fault here."""
    assert role.phase is Phase.ASKED, role
    return _down(role, tick)


def moves(role: Role, beat: int, tick: int) -> Role:
    """Its progress word was read."""
    return role if beat == role.beat else replace(role, beat=beat, beat_tick=tick, moved=True)


def has_begun(role: Role, waited_ticks: int) -> bool:
    """It works, or is waited for no more: it ended once, or others have waited long enough."""
    return role.moved or role.last_end != "" or waited_ticks >= BEGINNING_TICKS


def waits(role: Role, tick: int) -> Role:
    """It has nothing to do and nobody to answer: standing still is no fault."""
    return replace(role, beat_tick=tick)


def told(role: Role, why: Why, tick: int) -> Role:
    """It was sent a signal to end."""
    if role.phase is Phase.ENDING:
        return replace(role, why=why)
    assert role.phase is Phase.LIVES, role
    return replace(role, phase=Phase.ENDING, since_tick=tick, why=why)


def died(role: Role, death: Death, tick: int) -> Role:
    """Its process is known dead. Two lives running that crash on one record put that record aside."""
    assert role.phase in (Phase.LIVES, Phase.ENDING), role
    told_why = f", killed for {role.why.value}" if role.why is Why.NO_PROGRESS else ""
    role = replace(role, last_end=death.text + told_why)
    if role.moved and tick - role.born_tick >= GOOD_LIFE_TICKS:
        role = replace(role, crashes=0, kills=0)
    if role.why is Why.STOP:
        return _down(replace(role, accused=None), tick)
    if role.why is Why.CHANGE:  # we ended it, so the next start is no restart
        return _down(replace(role, accused=None, starts=role.starts - 1, last_end=""), tick)
    weight = 1 if role.moved or death.begun else STILLBORN
    if death.signal in CRASH_SIGNALS or role.why is Why.NO_PROGRESS:
        if death.begun and death.begun == role.accused:
            quarantine = (*role.quarantine, death.begun)
            return _down(replace(role, accused=None, quarantine=quarantine, crashes=0), tick)
        return _down(replace(role, accused=death.begun, crashes=role.crashes + weight), tick)
    asked_from_outside = role.moved and not death.signal and not death.status  # a SIGTERM it took well
    if death.signal in _OUTSIDE_SIGNALS or asked_from_outside:
        return _down(replace(role, accused=None, kills=role.kills + 1), tick)
    return _down(replace(role, accused=None, crashes=role.crashes + weight), tick)


def parked(role: Role, why: str, tick: int) -> Role:
    """It is not started any more."""
    assert role.phase is Phase.DOWN, role
    return replace(role, phase=Phase.PARKED, since_tick=tick, parked=why)


def _down(role: Role, tick: int) -> Role:
    killed = min(max(0, role.kills - FREE_KILLS), KILLED_WAITS - 1)
    index = min(max(role.crashes, killed), len(BACK_OFF_TICKS) - 1)
    return replace(role, phase=Phase.DOWN, since_tick=tick, pid=0, not_before_tick=tick + BACK_OFF_TICKS[index])


# ── what to do ────────────────────────────────────────────────────────────────────────────────────────────


def decide(roles: Mapping[str, Role], tick: int, *, server_ready: bool) -> list[Action]:
    """The actions that are due, while all is to run. `server_ready`: the fork server answers."""
    server = next(role for role in roles.values() if role.part is Part.SERVER)
    workers = [role for role in roles.values() if role.part is Part.WORKER]
    for role in roles.values():
        if role.phase is Phase.PARKED and role.part in (Part.ENGINE, Part.SIMULATOR):
            return [Stop(f"the {role.part.value} {role.parked}")]
    if workers and all(role.phase is Phase.PARKED for role in workers):
        return [Stop(f"no worker runs: that of {workers[0].name} {workers[0].parked}")]
    actions: list[Action] = []
    for role in roles.values():
        if role.phase is Phase.DOWN:
            actions += _when_down(role, server, server_ready, tick)
        elif role.phase is Phase.ENDING and role.why is Why.CHANGE and tick - role.since_tick >= STOP_TICKS:
            actions.append(Tell(role.name, signal.SIGKILL, Why.CHANGE))
        elif role.phase is Phase.LIVES and tick - role.beat_tick >= _patience_ticks(role):
            actions.append(Tell(role.name, signal.SIGKILL, Why.NO_PROGRESS))
    return actions


def _when_down(role: Role, server: Role, server_ready: bool, tick: int) -> list[Action]:
    if role.part is Part.SIMULATOR and role.starts:
        served = "and with it went the only truth of this run"
        return [
            Park(role.name, f"{role.last_end}, {served if role.moved else 'before it served; it says why on stderr'}")
        ]
    if role.crashes >= len(BACK_OFF_TICKS):
        return [Park(role.name, f"{role.last_end}, not for the first time, and is not started again")]
    if len(role.quarantine) > MAX_QUARANTINED:
        return [Park(role.name, f"died on {len(role.quarantine)} records and is not started again")]
    if role.part is Part.WORKER and server.phase is Phase.PARKED:
        return [Park(role.name, f"cannot be started, because the fork server {server.parked}")]
    if tick < role.not_before_tick or (role.part is Part.WORKER and not server_ready):
        return []
    return [Start(role.name)]


def _patience_ticks(role: Role) -> int:
    """Who stands still because of a disk is mended by no kill; and nobody waits for keeper or recorder."""
    slow = role.part in (Part.KEEPER, Part.RECORDER) or (role.part in (Part.SERVER, Part.SIMULATOR) and not role.moved)
    return FIRST_SIGN_TICKS if slow else NO_PROGRESS_TICKS


def decide_stop(roles: Iterable[Role], tick: int) -> list[Action]:
    """The actions that are due on the way to the end: one part after the other, each first asked, then killed.

    Done when no role is `filled`. Workers go after the engine, because they first finish what is in their rings, and
    the keeper after the workers, because it keeps what they have finished. The recorder has then had all the time that
    they took, and finishes what is in its own. The historian leaves its work as it is. A worker that was asked for and
    is not known yet is waited for: only a dead fork server makes it certain that none comes.
    """
    known = list(roles)
    for part in Part:
        stage = [role for role in known if role.part is part and role.filled]
        if stage:
            return [action for role in stage for action in _when_stopping(role, known, tick)]
    return []


def _when_stopping(role: Role, roles: list[Role], tick: int) -> list[Action]:
    if role.phase is Phase.LIVES:
        return [Tell(role.name, signal.SIGTERM, Why.STOP)]
    if tick - role.since_tick < STOP_TICKS:
        return []
    if role.phase is Phase.ENDING:
        return [Tell(role.name, signal.SIGKILL, Why.STOP)]
    return [Tell(each.name, signal.SIGKILL, Why.STOP) for each in roles if each.part is Part.SERVER and each.pid]
