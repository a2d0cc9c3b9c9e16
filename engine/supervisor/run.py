"""The rim of the supervisor: one thread, one poll loop, and `decide` told of everything that happens in it.

It waits on pidfds, pipes, the fork server's channel and signals at once, so a death is answered when it happens and
not at the next tick. The tick is only for what cannot be waited for: heartbeats, back-off, limits.
"""

import json
import logging
import os
import selectors
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import psutil

from shm import registry
from shm.layout import EventKind
from shm.registry import Registry
from shm.segment import NoRoom

from ..config import Settings, SymbolSettings
from ..processes import WorkerProcess, processes_of
from . import decide
from .child import (
    Child,
    Started,
    start_engine,
    start_historian,
    start_keeper,
    start_player,
    start_recorder,
    start_simulator,
)
from .decide import Action, Begun, Park, Part, Phase, Role, Start, Stop, Tell, Why
from .employment import historian_job, job_line, worker_job
from .errors import RefusedForGood
from .folder import Folder
from .job import Job
from .lines import LineReader, Report
from .listing import list_all
from .memory import Memory
from .server import Compiling, ForkServer, Ready, Refused, Spawned
from .signals import Signals
from .turnover import Ask, Discard, Drop, Put, Step, Turnover
from .wishes import compare

_log = logging.getLogger(__name__)

ENGINE = "engine"
HISTORIAN = "historian"
KEEPER = "keeper"
RECORDER = "recorder"
SERVER = "fork server"
SIMULATOR = "simulator"

_TICK_NS = decide.TICK_MS * 1_000_000


class Supervisor:
    """All processes of one engine, from the first start to the last death."""

    def __init__(self, job: Job, memory: Memory, report: Report, signals: Signals, environ: Mapping[str, str]) -> None:
        self._settings = job.settings
        self._simulator = job.simulator
        self._replay = job.replay
        self._set_aside = job.set_aside
        self._memory = memory
        self._report = report
        self._signals = signals
        self._environ = environ
        self._selector = selectors.DefaultSelector()
        self._tick = 0
        self._roles: dict[str, Role] = {SERVER: Role(SERVER, Part.SERVER), ENGINE: Role(ENGINE, Part.ENGINE)}
        if job.simulator is not None:
            self._roles[SIMULATOR] = Role(SIMULATOR, Part.SIMULATOR)
        if job.settings.journal.record:
            self._roles[RECORDER] = Role(RECORDER, Part.RECORDER)
        watched, known = job.watched, [each.symbol for each in job.settings.symbols]
        self._folder = Folder(watched.folder, watched.symbols, known) if watched else None
        self._kept = ""  # an instrument whose file is gone, and that is the last one
        self._turnover = Turnover(job.settings.symbols)
        self._processes: dict[str, WorkerProcess] = {}  # as they shall be
        self._started: dict[str, WorkerProcess] = {}  # as each was when it was started last
        self._keeper_told: tuple[SymbolSettings, ...] = ()  # the instruments that the living keeper knows of
        self._engine_takes = False  # it has its job, and listens to what changes
        self._said: dict[str, str] = {}  # the last sentence said of a symbol file, or of their folder
        self._children: dict[str, Child] = {}
        self._lines: dict[str, LineReader] = {}
        self._server: ForkServer | None = None
        self._server_packets = 0  # from the living one; the first says that it is ready
        self._compile_seconds: float | None = None  # what the first one took; the engine waits for it
        self._simulator_url: str | None = None
        self._idle_engine: Started | None = None  # lives, and waits for its job
        self._could_employ_tick: int | None = None  # since when an engine waits, or waited, for the recorder alone
        self._ended_wall_ns: dict[str, int] = {}  # when the last life of a role was known to be over
        self._turned: list[tuple[EventKind, str]] = []  # instruments that came or went, until the registry says so
        self._published: Registry | None = None
        self._said_ready = False
        self._stopping = False
        self._failure = ""
        self._final = False  # it would come again

    def run(self) -> str:
        """Run until a signal or a failure, then stop all. Returns the sentence of the failure; empty if none.

        Raises RefusedForGood, once all is stopped, for a failure that would come again.
        """
        self._selector.register(self._signals, selectors.EVENT_READ, self._on_signal)
        next_ns = time.monotonic_ns() + _TICK_NS
        while True:
            if not self._stopping:
                self._turn_over()
            for action in self._due():
                self._perform(action)
            self._publish()
            self._start_beside()
            self._tell_keeper()
            if self._stopping and not any(role.filled for role in self._roles.values()):
                self._selector.close()
                if self._final:
                    raise RefusedForGood(self._failure)
                return self._failure
            for key, _ in self._selector.select(max(0, next_ns - time.monotonic_ns()) / 1e9):
                if self._selector.get_map().get(key.fd) is key:  # not closed by what was done since
                    key.data()
            if time.monotonic_ns() >= next_ns:
                next_ns = time.monotonic_ns() + _TICK_NS
                self._tick += 1
                for role in list(self._roles.values()):
                    self._look(role)
                if self._folder and self._said_ready:
                    self._follow_folder(self._folder)

    def _due(self) -> list[Action]:
        if self._stopping:
            return decide.decide_stop(self._roles.values(), self._tick)
        return decide.decide(self._roles, self._tick, server_ready=self._server_packets > 0)

    def _perform(self, action: Action) -> None:
        match action:
            case Start(name):
                self._start(self._roles[name])
            case Tell(name, number, why):
                self._roles[name] = decide.told(self._roles[name], why, self._tick)
                self._children[name].tell(number)
            case Park(name, why):
                self._roles[name] = decide.parked(self._roles[name], why, self._tick)
                self._report.say("parked", role=name, why=why, symbols=self._symbols_of(name))
                self._note(EventKind.PARKED, self._roles[name], why=why)
            case Stop(message):
                self._stop(message)

    def _stop(self, failure: str, *, final: bool = False) -> None:
        """Begin to stop; a second wish changes nothing."""
        if not self._stopping:
            self._stopping = True
            self._failure, self._final = failure, final

    # ── starting ──────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, role: Role) -> None:
        if role.part is Part.WORKER:
            self._started[role.name] = self._processes[role.name]
        self._roles[role.name] = asked = decide.asked(role, self._beat(role), self._tick)
        if role.part is Part.WORKER:
            if self._server is None or not self._server.ask(self._worker_job(role)):
                self._roles[role.name] = decide.unasked(asked, self._tick)
            return
        try:
            child = self._start_process(role.part)
        except OSError as error:
            self._roles[role.name] = decide.refused(asked, f"could not be started ({error.strerror})", self._tick)
            return
        self._adopt(role.name, child)
        if child.stdout is not None:
            self._lines[role.name] = reader = LineReader(child.stdout)
            self._selector.register(reader, selectors.EVENT_READ, partial(self._on_lines, role.name))
        self._employ_engine()

    def _start_process(self, part: Part) -> Started:
        if part is Part.SERVER:
            self._server = ForkServer(self._environ)
            self._server_packets = 0
            self._selector.register(self._server.channel, selectors.EVENT_READ, self._on_answers)
            return self._server
        if part is Part.SIMULATOR:
            child = start_simulator(self._environ)
            child.give(json.dumps({**(self._simulator or {}), "supervisor_pid": os.getpid()}).encode())
            return child
        if part is Part.KEEPER:
            self._keeper_told = ()
            return start_keeper(self._environ)
        if part is Part.RECORDER:
            child = start_recorder(self._environ)
            # Which instruments there are it sees in what comes: those of the start will do for a job.
            child.say(job_line(self._settings, self._settings.symbols, self._memory.folder, self._memory.generation))
            return child
        if part is Part.HISTORIAN:
            child = start_historian(self._environ)
            child.give(historian_job(self._settings))
            return child
        start = start_engine if self._replay is None else start_player
        self._idle_engine = child = start(self._environ)
        return child

    def _adopt(self, name: str, child: Child) -> None:
        self._children[name] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, partial(self._on_death, name))
        self._roles[name] = role = decide.lives(self._roles[name], child.pid, self._tick)
        if role.restarts and role.last_end:
            how = {"pid": child.pid, "restarts": role.restarts, "why": role.last_end}
            self._report.say("restarted", role=name, symbols=self._symbols_of(name), **how)
            ended_ns = self._ended_wall_ns.get(name, 0)
            self._note(EventKind.RESTART, role, why=role.last_end, count=role.restarts, from_wall_ns=ended_ns)

    def _employ_engine(self) -> None:
        """Give the engine its job, once there is a venue to speak with, no compiling to be done twice, and a recorder:
        at full rate the rings are full in a second, and what comes in then is lost to the journal."""
        engine = self._idle_engine
        if engine is None or self._compile_seconds is None:
            return
        if self._simulator is not None and self._simulator_url is None:
            return
        if not (symbols := self._turnover.employed()):
            return  # the only instrument is just made anew
        if not self._is_recorded():
            return
        self._idle_engine = None
        self._engine_takes = True
        where = self._memory.folder, self._memory.generation
        engine.say(job_line(self._engine_settings(), symbols, *where, self._replay))

    def _is_recorded(self) -> bool:
        """What comes in is taken by a recorder, or is to come in without: the feed never waits for long for that."""
        if RECORDER not in self._roles:
            return True
        if self._could_employ_tick is None:
            self._could_employ_tick = self._tick
        recorder = self._look(self._roles[RECORDER])
        if not decide.has_begun(recorder, self._tick - self._could_employ_tick):
            return False
        if not recorder.moved:
            why = recorder.last_end or "has shown nothing yet"
            _log.warning("the recorder %s: what comes in before it works may be missing in the journal", why)
        return True

    def _start_beside(self) -> None:
        """Keeper and historian, once all is up: what each imports takes a second of a core, and nobody waits for it."""
        if KEEPER in self._roles or not self._said_ready or self._stopping:
            return
        self._roles[KEEPER] = Role(KEEPER, Part.KEEPER)
        if RECORDER in self._roles:
            self._roles[HISTORIAN] = Role(HISTORIAN, Part.HISTORIAN)

    def _tell_keeper(self) -> None:
        """Its job, and the whole of it again when instruments came, went or changed.

        Nothing while it has not read what it was told last: one that waits for a disk would let us wait with it.
        """
        symbols, keeper = self._turnover.worked, self._children.get(KEEPER)
        if keeper is None or not symbols or symbols == self._keeper_told:
            return
        assert isinstance(keeper, Started)
        if keeper.heard_all:
            keeper.say(job_line(self._settings, symbols, self._memory.folder, self._memory.generation))
            self._keeper_told = symbols

    def _engine_settings(self) -> Settings:
        if self._simulator is None or self._simulator_url is None:
            return self._settings
        return self._settings.at_simulator(self._simulator_url, self._simulator["user_name"])

    def _worker_job(self, role: Role) -> dict[str, object]:
        process = self._started[role.name]
        where = self._settings.data_folder, self._memory.folder, self._memory.generation
        return worker_job(process, role.quarantine, *where, replay=self._replay is not None)

    # ── instruments that come and go ──────────────────────────────────────────────────────────────────────

    def _follow_folder(self, folder: Folder) -> None:
        """Take over what the symbol files say now; what cannot be used is said once."""
        news = folder.look()
        self._reject("", folder.complaint)
        if not news:
            return
        for symbol in news:
            self._said.pop(symbol, None)  # a file that was written again is told of again
        wishes = compare(self._turnover.wanted, news, self._kept)
        self._turnover.wanted, self._kept = wishes.wanted, wishes.kept
        for symbol, why in wishes.refused.items():
            self._reject(symbol, why)

    def _reject(self, symbol: str, why: str) -> None:
        """Say why a symbol's file, or with no symbol their folder, cannot be used; once, and nothing for no reason."""
        if why and self._said.get(symbol) != why:
            _log.error("%s", why)
            self._report.say("rejected", symbol=symbol, why=why)
        self._said[symbol] = why

    def _turn_over(self) -> None:
        """Do all that is due to instruments, and end the workers that are to have others than they have."""
        while steps := self._turnover.due(self._tick, engine_takes=self._engine_takes, mapped=self._mapped()):
            for step in steps:
                self._take_step(step)
        self._employ_engine()
        self._processes = processes_of(self._turnover.worked)
        for name in self._processes:
            self._roles.setdefault(name, self._new_worker(name))
        for role in [role for role in self._roles.values() if role.part is Part.WORKER]:
            self._settle_worker(role)

    def _take_step(self, step: Step) -> None:
        match step:
            case Ask(do, settings):
                what = settings.symbol if do == "remove" else asdict(settings)
                engine = self._children[ENGINE]
                assert isinstance(engine, Started)
                engine.say(json.dumps({"do": do, "symbol": what}).encode() + b"\n")
            case Put(symbol):
                self._memory.put(symbol)
                self._turnover.put(symbol)
            case Drop(symbol):
                self._memory.drop(symbol)
                self._turnover.dropped(symbol)
                self._report.say("removed", symbol=symbol)
                self._turned.append((EventKind.REMOVED, symbol))
            case Discard(symbol):
                self._memory.discard(symbol)

    def _settle_worker(self, role: Role) -> None:
        """End a worker that was started for something else than is wanted of it now; forget one that nobody wants."""
        name, wanted = role.name, self._processes.get(role.name)
        if role.phase is Phase.LIVES and self._started[name] != wanted:
            self._perform(Tell(name, signal.SIGTERM, Why.CHANGE))
        elif role.phase in (Phase.DOWN, Phase.PARKED) and wanted is None:
            del self._roles[name]
            self._started.pop(name, None)
            held = [each.settings for each in self._turnover.held.values()]
            if all(each.process != name for each in (*held, *self._turnover.wanted.values())):
                self._memory.drop_bell(name)
        elif role.phase is Phase.PARKED and self._started.get(name) != wanted:
            self._roles[name] = self._new_worker(name)  # with another file it may well run

    def _new_worker(self, name: str) -> Role:
        """One that has not lived yet. A replay's knows what its records did to live ones: the newest of it, where it is
        more than a job has room for."""
        symbols = [each.symbol for each in self._processes[name].symbols]
        known = [Begun(symbol, sequence) for symbol in symbols for sequence in self._set_aside.get(symbol, ())]
        return Role(name, Part.WORKER, quarantine=tuple(known[-decide.MAX_QUARANTINED :]))

    def _mapped(self) -> set[str]:
        """Instruments whose segments a worker has, or may have."""
        filled = [name for name, role in self._roles.items() if role.part is Part.WORKER and role.filled]
        return {each.symbol for name in filled for each in self._started[name].symbols}

    def _take_answer(self, event: str, ask: Ask, line: dict[str, Any]) -> None:
        """What the engine says of an instrument that it was asked about."""
        symbol = ask.settings.symbol
        if event == "refused":
            self._turnover.refused(ask, self._tick, final=bool(line.get("final")))
            self._reject(symbol, str(line.get("message")))
        elif event == "checked":
            try:
                self._memory.prepare(ask.settings, self._turnover.next_made(symbol))
            except NoRoom as error:
                self._turnover.refused(ask, self._tick, final=True)
                self._reject(symbol, str(error))
            else:
                self._turnover.prepared(ask.settings)
        elif event == "removed":
            self._turnover.removed(symbol)
        elif told := self._turnover.added(symbol):
            self._report.say(told, symbol=symbol)
            self._turned.append((EventKind[told.upper()], symbol))

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────

    def _on_signal(self) -> None:
        if self._signals.taken():
            self._stop("")

    def _on_answers(self) -> None:
        assert self._server is not None
        for answer in self._server.answers():
            # That it compiles is no progress yet: a first sign may take minutes, and it is ready for no work before it.
            self._server_packets += not isinstance(answer, Compiling)
            match answer:
                case Compiling():
                    if self._compile_seconds is None:
                        self._report.say("compiling")
                case Ready(seconds):
                    if self._compile_seconds is None:
                        self._report.say("compiled", seconds=seconds)
                        self._compile_seconds = seconds
                        self._employ_engine()
                case Spawned(name, pid, pidfd):
                    self._adopt(name, Child(pid, pidfd))
                case Refused(name, message):
                    self._roles[name] = decide.refused(self._roles[name], message, self._tick)
                    self._report.say("refused", role=name, how=message)

    def _on_lines(self, name: str) -> None:
        reader = self._lines[name]
        for line in reader.read():
            self._take_line(name, line)
        if reader.ended:
            self._selector.unregister(reader)
            del self._lines[name]

    def _take_line(self, name: str, line: dict[str, Any]) -> None:
        if line.get("event") == "fatal":
            self._stop(str(line.get("message")), final=line.get("final") is True)
        elif name == ENGINE and (ask := self._turnover.answered(line)):
            self._take_answer(line["event"], ask, line)
        elif name == ENGINE and (ask := self._turnover.let_go(line)):
            self._take_answer("refused", ask, line | {"final": True})
        elif name == SIMULATOR and isinstance(line.get("url"), str):
            self._simulator_url = line["url"]
            self._employ_engine()
        else:
            self._report.say("said", role=name, line=line)

    def _on_death(self, name: str) -> None:
        child = self._children.pop(name)
        self._selector.unregister(child.pidfd)
        if name in self._lines:
            self._on_lines(name)  # what it said last, before it is known dead
        if reader := self._lines.pop(name, None):
            self._selector.unregister(reader)
        role = self._look(self._roles[name])
        death = child.reap()
        self._ended_wall_ns[name] = time.time_ns()
        if role.part is Part.WORKER:
            death = replace(death, begun=self._memory.begun(self._started[name]))
        self._roles[name] = now = decide.died(role, death, self._tick)
        if role.why not in (Why.STOP, Why.CHANGE):
            self._report.say("died", role=name, pid=role.pid, how=now.last_end, symbols=self._symbols_of(name))
        if now.quarantine != role.quarantine:
            symbol, sequence = now.quarantine[-1]
            self._report.say("quarantined", role=name, symbol=symbol, sequence=sequence)
            who, why = role.part.value, now.last_end
            self._memory.events.say(EventKind.QUARANTINE, symbol, who=who, why=why, sequence=sequence)
        if role.part is Part.SERVER:
            self._bury_server()
        if child is self._idle_engine:
            self._idle_engine = None
        if role.part is Part.ENGINE:
            self._engine_takes = False
            self._turnover.engine_ended()

    def _bury_server(self) -> None:
        """Take its last answers; whoever it was asked for and did not answer for may live, known to nobody."""
        assert self._server is not None
        self._on_answers()
        self._selector.unregister(self._server.channel)
        self._server.channel.close()
        self._server = None
        self._server_packets = 0
        unanswered = [role for role in self._roles.values() if role.phase is Phase.ASKED]
        if unanswered:
            self._kill_unknown()
        for role in unanswered:
            self._roles[role.name] = decide.unasked(role, self._tick)

    def _kill_unknown(self) -> None:
        """End every child that is no role's. A killed one may leave us another: until there is none."""
        known = {child.pid for child in self._children.values()}
        while unknown := [child.pid for child in psutil.Process().children() if child.pid not in known]:
            for pid in unknown:  # not reaped yet, so the number cannot have come to mean another
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _note(self, kind: EventKind, role: Role, **said: Any) -> None:
        """An event of a role's, for readers: of each instrument that it works for, or of the engine as a whole."""
        for symbol in self._symbols_of(role.name) or [""]:
            self._memory.events.say(kind, symbol, who=role.part.value, pid=role.pid, **said)

    def _symbols_of(self, name: str) -> list[str]:
        """The instruments that a role works for; none if it is no worker."""
        process = self._started.get(name) or self._processes.get(name)
        return [each.symbol for each in process.symbols] if process else []

    # ── looking and telling ───────────────────────────────────────────────────────────────────────────────

    def _look(self, role: Role) -> Role:
        """Read a role's progress; excuse it where none is due."""
        if role.phase not in (Phase.LIVES, Phase.ENDING):
            return role
        now = decide.moves(role, self._beat(role), self._tick)
        if role.part is Part.ENGINE:
            excused = self._idle_engine is not None
        elif role.part is Part.SERVER:
            excused = now.moved and all(each.phase is not Phase.ASKED for each in self._roles.values())
        else:
            excused = role.part is Part.HISTORIAN or (role.part is Part.SIMULATOR and now.moved)
        self._roles[role.name] = now = decide.waits(now, self._tick) if excused else now
        return now

    def _beat(self, role: Role) -> int:
        if role.part is Part.WORKER:
            return self._memory.worker_beat(self._started[role.name])
        if role.part is Part.ENGINE:
            return self._memory.engine_beat()
        if role.part is Part.KEEPER:
            return self._memory.keeper_beat()
        if role.part is Part.RECORDER:
            return self._memory.recorder_beat()
        if role.part is Part.HISTORIAN:
            return role.starts  # it has no segment: that it lives is all that is known of it
        return self._server_packets if role.part is Part.SERVER else int(self._simulator_url is not None)

    def _publish(self) -> None:
        """Replace the registry if it says anything else now; tell launch when all is up for the first time."""
        truth = self._simulator["truth_folder"] if self._simulator else None
        held = self._turnover.held.values()
        now = list_all(self._settings, held, self._memory.generation, self._roles, self._simulator_url, truth)
        if now != self._published:
            registry.write(self._memory.folder, now)
            self._published = now
        for kind, symbol in self._turned:
            self._memory.events.say(kind, symbol, who="instrument")
        self._turned.clear()
        waited_for = [role for role in self._roles.values() if role.part is not Part.RECORDER]
        up = all(role.phase in (Phase.LIVES, Phase.PARKED) for role in waited_for)
        if up and self._idle_engine is None and not self._said_ready and not self._stopping:
            self._said_ready = True
            self._report.say(
                "ready",
                name=self._settings.name,
                generation=self._memory.generation,
                folder=str(self._memory.folder),
                supervisor_pid=os.getpid(),
                engine_pid=now.engine_pid,
                server_pid=self._roles[SERVER].pid,
                simulator_pid=self._roles[SIMULATOR].pid if self._simulator else None,
                simulator_url=self._simulator_url,
                truth_folder=truth,
                workers={each.symbol: each.pid for each in now.instruments},
                compile_seconds=self._compile_seconds,
            )
