"""Who is started, killed, parked, and when: tables of cases, and a world of random deaths."""

import random
import signal
from dataclasses import replace

import pytest

from engine.supervisor import decide as d
from engine.supervisor.decide import Begun, Death, Park, Part, Phase, Role, Start, Stop, Tell, Why
from shm.quarantine import CRASH_SIGNALS

KILLED = Death(signal.SIGKILL, 0)
CRASHED = Death(signal.SIGSEGV, 0)


def worker(**known: object) -> Role:
    return replace(Role("MNQ", Part.WORKER), **known)  # type: ignore[arg-type]


def living(role: Role, tick: int = 0) -> Role:
    """`role` with a process that has just begun to move."""
    return d.moves(d.lives(d.asked(role, 0, tick), 42, tick), 1, tick)


def all_roles(*changed: Role) -> dict[str, Role]:
    roles = {
        "fork server": living(Role("fork server", Part.SERVER)),
        "engine": living(Role("engine", Part.ENGINE)),
        "simulator": living(Role("simulator", Part.SIMULATOR)),
        "keeper": living(Role("keeper", Part.KEEPER)),
        "recorder": living(Role("recorder", Part.RECORDER)),
        "historian": living(Role("historian", Part.HISTORIAN)),
        "MNQ": living(worker()),
        "MES": living(replace(worker(), name="MES")),
    }
    return roles | {role.name: role for role in changed}


def due(*changed: Role, tick: int = 0, server_ready: bool = True) -> list[d.Action]:
    """What is to be done when these are so and all others have just moved."""
    others = {name: d.waits(role, tick) for name, role in all_roles().items()}
    return d.decide(others | {role.name: role for role in changed}, tick, server_ready=server_ready)


# ── starting ──────────────────────────────────────────────────────────────────────────────────────────────


def test_at_first_all_but_the_workers_are_started() -> None:
    fresh = {name: Role(name, role.part) for name, role in all_roles().items()}
    first = [Start(name) for name in ("fork server", "engine", "simulator", "keeper", "recorder", "historian")]
    assert d.decide(fresh, 0, server_ready=False) == first
    assert Start("MNQ") in d.decide(fresh, 0, server_ready=True)


def test_while_all_live_nothing_is_done() -> None:
    assert due() == []


def test_a_worker_that_was_asked_for_is_not_asked_for_again() -> None:
    assert due(d.asked(worker(), 0, 0), tick=1000) == []


def test_a_parked_fork_server_parks_who_would_need_it_and_no_other() -> None:
    server = replace(all_roles()["fork server"], phase=Phase.PARKED, parked="ended")
    assert due(server, worker(), server_ready=False) == [
        Park("MNQ", "cannot be started, because the fork server ended")
    ]


# ── restarting ────────────────────────────────────────────────────────────────────────────────────────────


def delay_after(*deaths: Death, moved: bool = True) -> int:
    """How many ticks after the last of these deaths in a row the next start is due; -1 when it is parked."""
    role = worker()
    for death in deaths:
        role = d.lives(d.asked(replace(role, not_before_tick=0), 0, 0), 42, 0)
        role = d.died(d.moves(role, 1, 0) if moved else role, death, 0)
    for tick in range(1000):
        match due(role, tick=tick):
            case [Start()]:
                return tick
            case [Park()]:
                return -1
    raise AssertionError("neither started nor parked")


def test_a_worker_killed_from_outside_is_started_at_once_each_of_many_times() -> None:
    assert [delay_after(*[KILLED] * n) for n in range(1, d.FREE_KILLS + 1)] == [0] * d.FREE_KILLS


def test_killed_without_end_it_is_slowed_but_never_parked() -> None:
    assert delay_after(*[KILLED] * (d.FREE_KILLS + 3)) == d.BACK_OFF_TICKS[3]
    assert delay_after(*[KILLED] * 1000) == d.BACK_OFF_TICKS[d.KILLED_WAITS - 1]
    assert d.BACK_OFF_TICKS[d.KILLED_WAITS - 1] * d.TICK_MS <= 1000  # a ring is room for seconds


@pytest.mark.parametrize("death", [CRASHED, Death(0, 1), Death(signal.SIGABRT, 0), Death(signal.SIGHUP, 0)])
def test_crashes_are_answered_at_once_then_slower_then_not(death: Death) -> None:
    delays = [delay_after(*[death] * n) for n in range(1, len(d.BACK_OFF_TICKS) + 1)]
    assert delays == [*d.BACK_OFF_TICKS[1:], -1]
    assert delays[0] == 0


def test_an_end_by_a_signal_that_it_took_well_is_an_end_from_outside() -> None:
    assert delay_after(*[Death(0, 0)] * d.FREE_KILLS) == 0
    assert delay_after(*[Death(0, 0)] * 3, moved=False) == -1


def test_what_cannot_even_start_is_parked_soon() -> None:
    assert [delay_after(*[Death(0, 1)] * n, moved=False) for n in (1, 2, 3)] == [
        d.BACK_OFF_TICKS[d.STILLBORN],
        d.BACK_OFF_TICKS[2 * d.STILLBORN],
        -1,
    ]
    assert delay_after(*[Death(signal.SIGSEGV, 0, Begun("MNQ", n)) for n in (1, 2)], moved=False) == d.BACK_OFF_TICKS[2]


def test_the_reason_of_parking_says_how_it_ended() -> None:
    role = worker(crashes=len(d.BACK_OFF_TICKS), last_end="ended by SIGSEGV")
    assert due(role) == [Park("MNQ", "ended by SIGSEGV, not for the first time, and is not started again")]
    assert due(d.parked(role, "why", 0)) == []


def test_a_good_life_makes_up_for_what_was_before() -> None:
    role = living(worker(crashes=5, kills=40))
    short, long = (d.died(role, CRASHED, tick) for tick in (d.GOOD_LIFE_TICKS - 1, d.GOOD_LIFE_TICKS))
    assert (short.crashes, short.kills) == (6, 40)
    assert (long.crashes, long.kills) == (1, 0)


def test_a_long_life_without_a_move_is_no_good_one() -> None:
    role = d.lives(d.asked(worker(crashes=5), 0, 0), 42, 0)
    assert d.died(role, CRASHED, d.GOOD_LIFE_TICKS).crashes == 5 + d.STILLBORN


def test_a_refusal_of_the_fork_server_counts_like_a_crash_at_start() -> None:
    role = d.refused(d.asked(worker(), 0, 0), "it has 2 threads", 0)
    assert (role.phase, role.crashes, role.last_end) == (Phase.DOWN, d.STILLBORN, "it has 2 threads")


def test_the_end_of_the_fork_server_is_no_workers_fault() -> None:
    role = d.unasked(d.asked(worker(), 0, 0), 0)
    assert due(role) == [Start("MNQ")]
    assert role.crashes == role.kills == 0


def test_restarts_are_counted() -> None:
    assert [worker(starts=n).restarts for n in range(4)] == [0, 0, 1, 2]


# ── no progress ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["engine", "MNQ"])
def test_who_stands_still_for_thirty_seconds_is_killed(name: str) -> None:
    assert d.NO_PROGRESS_TICKS * d.TICK_MS == 30_000
    still = all_roles()[name]
    assert due(still, tick=d.NO_PROGRESS_TICKS - 1) == []
    assert due(still, tick=d.NO_PROGRESS_TICKS) == [Tell(name, signal.SIGKILL, Why.NO_PROGRESS)]


def test_each_move_begins_the_thirty_seconds_anew() -> None:
    role = living(worker())
    for tick in range(0, 10_000, d.NO_PROGRESS_TICKS - 1):
        role = d.moves(role, tick + 2, tick)
        assert due(role, tick=tick + d.NO_PROGRESS_TICKS - 1) == []
    assert due(role, tick=tick + d.NO_PROGRESS_TICKS) == [Tell("MNQ", signal.SIGKILL, Why.NO_PROGRESS)]


def test_a_word_left_by_the_dead_is_no_move() -> None:
    role = d.lives(d.asked(worker(), 77, 0), 42, 0)
    assert not d.moves(role, 77, 5).moved
    assert d.moves(role, 78, 5).moved


def test_the_fork_server_may_compile_for_longer() -> None:
    server = d.lives(d.asked(Role("fork server", Part.SERVER), 0, 0), 42, 0)
    kill = Tell("fork server", signal.SIGKILL, Why.NO_PROGRESS)
    assert due(server, tick=d.FIRST_SIGN_TICKS - 1) == []
    assert due(server, tick=d.FIRST_SIGN_TICKS) == [kill]
    assert due(d.moves(server, 1, 0), tick=d.NO_PROGRESS_TICKS) == [kill]


def test_a_killed_process_has_no_successor_until_it_is_known_dead() -> None:
    role = d.told(living(worker()), Why.NO_PROGRESS, 0)
    assert all(due(role, tick=tick)[:1] != [Start("MNQ")] for tick in (1, 250))
    assert due(d.died(role, KILLED, 260), tick=260) == [Start("MNQ")]


def test_a_suspend_is_one_tick() -> None:
    """What the rim does after an hour asleep: one tick, one look, one decision. Nobody had time to move."""
    assert due(tick=1) == []


# ── quarantine ────────────────────────────────────────────────────────────────────────────────────────────

NO_PROGRESS = "no progress"


def quarantined(*ends: tuple[object, int], symbols: str = "A" * 9) -> tuple[int, ...]:
    """What is set aside after lives that ended so: (signal or status name, sequence begun); of which instrument's."""
    role = worker()
    for (how, sequence), symbol in zip(ends, symbols, strict=False):
        begun = Begun(symbol, sequence) if sequence else None
        role = living(replace(role, not_before_tick=0))
        if how == NO_PROGRESS:
            role = d.died(d.told(role, Why.NO_PROGRESS, 0), Death(signal.SIGKILL, 0, begun), 0)
        elif how == "status":
            role = d.died(role, Death(0, 1, begun), 0)
        else:
            assert isinstance(how, signal.Signals)
            role = d.died(role, Death(how, 0, begun), 0)
    return tuple(begun.sequence for begun in role.quarantine)


@pytest.mark.parametrize("how", [*sorted(CRASH_SIGNALS), NO_PROGRESS])
def test_two_crashes_running_on_one_record_set_it_aside(how: object) -> None:
    assert quarantined((how, 9)) == ()
    assert quarantined((how, 9), (how, 9)) == (9,)
    assert quarantined((how, 9), (NO_PROGRESS, 9)) == (9,)
    assert quarantined((how, 9), (how, 9), (how, 12), (how, 12)) == (9, 12)


@pytest.mark.parametrize(
    "ends",
    [
        [(signal.SIGSEGV, 9), (signal.SIGSEGV, 10)],
        [(signal.SIGSEGV, 9), (signal.SIGSEGV, 10), (signal.SIGSEGV, 9)],
        [(signal.SIGSEGV, 0), (signal.SIGSEGV, 0)],
        [(signal.SIGKILL, 9), (signal.SIGKILL, 9)],
        [(signal.SIGTERM, 9), (signal.SIGTERM, 9)],
        [("status", 9), ("status", 9)],
        [(signal.SIGSEGV, 9), (signal.SIGKILL, 9), (signal.SIGSEGV, 9)],
        [(signal.SIGSEGV, 9), ("status", 0), (signal.SIGSEGV, 9)],
    ],
)
def test_nothing_else_sets_a_record_aside(ends: list[tuple[object, int]]) -> None:
    assert quarantined(*ends) == ()


def test_a_record_that_was_set_aside_is_no_reason_to_be_slow() -> None:
    role = worker(crashes=4, accused=Begun("MNQ", 9))
    role = d.died(living(role), Death(signal.SIGSEGV, 0, Begun("MNQ", 9)), 0)
    assert (role.quarantine, role.crashes, role.accused) == ((Begun("MNQ", 9),), 0, None)
    assert due(role) == [Start("MNQ")]


def test_the_same_sequence_of_another_instrument_is_another_record() -> None:
    crash = (signal.SIGSEGV, 9)
    assert quarantined(crash, crash, symbols="AB") == ()
    assert quarantined(crash, crash, crash, symbols="ABA") == ()
    assert quarantined(*[crash] * 4, symbols="AABB") == (9, 9)


def test_a_stream_of_such_records_parks_the_worker_at_last() -> None:
    records = tuple(Begun("AB"[n % 2], n) for n in range(1, d.MAX_QUARANTINED + 2))
    assert due(worker(quarantine=records[:-1])) == [Start("MNQ")]
    assert due(worker(quarantine=records)) == [Park("MNQ", "died on 65 records and is not started again")]


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_simulator_is_not_started_twice() -> None:
    simulator = d.died(all_roles()["simulator"], KILLED, 0)
    why = "ended by SIGKILL, and with it went the only truth of this run"
    assert due(simulator) == [Park("simulator", why)]
    assert due(d.parked(simulator, why, 0)) == [Stop(f"the simulator {why}")]
    never_served = d.died(d.lives(d.asked(Role("simulator", Part.SIMULATOR), 0, 0), 42, 0), Death(0, 1), 0)
    assert due(never_served) == [Park("simulator", "ended with status 1, before it served; it says why on stderr")]


def test_without_an_engine_or_any_worker_there_is_nothing_to_run() -> None:
    assert due(replace(all_roles()["engine"], phase=Phase.PARKED, parked="fell")) == [Stop("the engine fell")]
    parked = [replace(all_roles()[name], phase=Phase.PARKED, parked="fell") for name in ("MNQ", "MES")]
    assert due(parked[0]) == []
    assert due(*parked) == [Stop("no worker runs: that of MNQ fell")]


@pytest.mark.parametrize("name", ["keeper", "recorder", "historian"])
def test_without_who_works_beside_all_goes_on(name: str) -> None:
    role = all_roles()[name]
    for number in range(len(d.BACK_OFF_TICKS)):
        role = d.died(role, CRASHED, number)
        if number + 1 < len(d.BACK_OFF_TICKS):
            assert due(role, tick=role.not_before_tick) == [Start(name)]
            role = living(role, number)
    why = "ended by SIGSEGV, not for the first time, and is not started again"
    assert due(role, tick=1000) == [Park(name, why)]
    assert due(d.parked(role, why, 1000), tick=1000) == []


def test_who_has_begun_moves_or_is_waited_for_no_more() -> None:
    asked = d.asked(Role("recorder", Part.RECORDER), 0, 10)
    begun = d.lives(asked, 42, 20)
    assert [d.has_begun(each, 0) for each in (asked, begun, d.moves(begun, 1, 21))] == [False, False, True]
    assert [d.has_begun(begun, ticks) for ticks in (d.BEGINNING_TICKS - 1, d.BEGINNING_TICKS)] == [False, True]
    assert d.has_begun(d.refused(asked, "no memory", 11), 0)
    fallen = d.died(begun, CRASHED, 22)
    assert d.has_begun(fallen, 0)
    assert d.has_begun(d.lives(d.asked(fallen, 0, 23), 43, 23), 0)


@pytest.mark.parametrize("name", ["keeper", "recorder"])
def test_who_waits_for_disks_may_stand_still_for_long(name: str) -> None:
    role = all_roles()[name]
    assert due(role, tick=d.FIRST_SIGN_TICKS - 1) == []
    assert due(role, tick=d.FIRST_SIGN_TICKS) == [Tell(name, signal.SIGKILL, Why.NO_PROGRESS)]


def test_stopping_goes_part_by_part_and_asks_first() -> None:
    roles = all_roles()
    order = []
    tick = 0
    while any(role.filled for role in roles.values()):
        actions = d.decide_stop(roles.values(), tick)
        assert all(isinstance(action, Tell) and action.signal == signal.SIGTERM for action in actions)
        order.append(sorted(action.role for action in actions if isinstance(action, Tell)))
        for name in order[-1]:
            roles[name] = d.died(d.told(roles[name], Why.STOP, tick), Death(0, 0), tick)
        tick += 1
    beside = [["keeper"], ["recorder"], ["historian"]]
    assert order == [["engine"], ["MES", "MNQ"], *beside, ["fork server"], ["simulator"]]


def test_who_does_not_stop_is_killed_after_three_seconds() -> None:
    assert d.STOP_TICKS * d.TICK_MS == 3000
    roles = all_roles(d.told(all_roles()["engine"], Why.STOP, 0)).values()
    assert d.decide_stop(roles, d.STOP_TICKS - 1) == []
    assert d.decide_stop(roles, d.STOP_TICKS) == [Tell("engine", signal.SIGKILL, Why.STOP)]


def test_a_fork_server_that_does_not_answer_cannot_hold_up_the_end() -> None:
    roles = {name: role for name, role in all_roles(d.asked(worker(), 0, 0)).items() if name in ("MNQ", "fork server")}
    assert d.decide_stop(roles.values(), d.STOP_TICKS - 1) == []
    assert d.decide_stop(roles.values(), d.STOP_TICKS) == [Tell("fork server", signal.SIGKILL, Why.STOP)]


# ── a world of deaths ─────────────────────────────────────────────────────────────────────────────────────


class World:
    """Processes that start late, die at will and answer or not; it holds the rim to what it knows."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.roles = {name: Role(name, role.part) for name, role in all_roles().items()}
        self.tick = 0
        self.pid = 100
        self.beat = 0
        self.alive: dict[str, list[int]] = {name: [] for name in self.roles}  # truly, whoever knows of it
        self.starts = 0
        self.over = ""

    def act(self) -> None:
        ready = self.roles["fork server"].moved and self.roles["fork server"].phase is Phase.LIVES
        for action in d.decide(self.roles, self.tick, server_ready=ready):
            match action:
                case Start(name):
                    self.start(name)
                case Tell(name, number, why):
                    assert number == signal.SIGKILL
                    self.roles[name] = d.told(self.roles[name], why, self.tick)
                case Park(name, why):
                    assert not self.alive[name]
                    self.roles[name] = d.parked(self.roles[name], why, self.tick)
                case Stop(message):
                    self.over = message

    def start(self, name: str) -> None:
        assert not self.alive[name], f"{name} is started while one lives"
        self.starts += 1
        self.pid += 1
        self.alive[name].append(self.pid)
        self.roles[name] = d.asked(self.roles[name], self.beat, self.tick)
        if self.roles[name].part is not Part.WORKER:
            self.roles[name] = d.lives(self.roles[name], self.pid, self.tick)

    def happen(self) -> None:
        """One random thing, told to the rim as it would learn of it."""
        name = self.random.choice(list(self.roles))
        role = self.roles[name]
        if role.phase is Phase.ASKED and self.random.random() < 0.7:
            self.roles[name] = d.lives(role, self.alive[name][0], self.tick)
        elif role.phase is Phase.LIVES and self.random.random() < 0.6:
            self.beat += 1
            self.roles[name] = d.moves(role, self.beat, self.tick)
        elif role.phase in (Phase.LIVES, Phase.ENDING) and (
            role.part is not Part.SIMULATOR or self.random.random() < 0.01
        ):
            self.die(name)

    def die(self, name: str) -> None:
        how = self.random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, 0])
        begun = self.random.choice([None, Begun("A", 5), Begun("B", 5)])
        self.alive[name].clear()
        self.roles[name] = d.died(self.roles[name], Death(how, 0, begun), self.tick)
        if self.roles[name].part is Part.SERVER:
            for each in [role for role in self.roles.values() if role.phase is Phase.ASKED]:
                self.alive[each.name].clear()
                self.roles[each.name] = d.unasked(each, self.tick)


def test_never_two_for_one_role_and_never_a_successor_of_the_living(seed: int) -> None:
    restarts = 0
    for round_number in range(100):
        world = World(seed + round_number)
        for _ in range(500):
            world.act()
            assert all(len(alive) <= 1 for alive in world.alive.values())
            for name, role in world.roles.items():
                assert role.filled == bool(world.alive[name])
            if world.over:
                break
            world.happen()
            world.tick += world.random.choice([0, 1, 1, 50])
        restarts += sum(role.restarts for role in world.roles.values())
    assert restarts > 100, "the world was too kind to show anything"


def test_a_worker_that_is_ended_for_a_change_is_killed_if_it_does_not_and_its_next_start_is_no_restart() -> None:
    role = d.lives(d.asked(Role("MNQ", Part.WORKER), 0, 0), 7, 0)
    role = d.told(role, Why.CHANGE, 0)
    server = Role("server", Part.SERVER, phase=Phase.LIVES)
    roles = {"server": server, "MNQ": role}
    assert d.decide(roles, d.STOP_TICKS - 1, server_ready=True) == []
    assert d.decide(roles, d.STOP_TICKS, server_ready=True) == [Tell("MNQ", signal.SIGKILL, Why.CHANGE)]
    role = d.died(role, Death(signal.SIGKILL, 0, Begun("MNQ", 5)), d.STOP_TICKS)
    assert (role.phase, role.crashes, role.kills, role.accused, role.last_end) == (Phase.DOWN, 0, 0, None, "")
    assert d.lives(d.asked(role, 0, 40), 8, 40).restarts == 0


def test_an_engine_without_workers_for_a_moment_goes_on() -> None:
    assert d.decide({"server": Role("server", Part.SERVER, phase=Phase.LIVES)}, 0, server_ready=True) == []
