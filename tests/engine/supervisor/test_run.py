"""The supervisor as a process: what comes up, what is started again and by whom, and what is left at the end."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from engine.config import SymbolSettings
from engine.supervisor import decide, run
from engine.supervisor.decide import NO_PROGRESS_TICKS, Part, Role
from engine.supervisor.job import Job
from engine.supervisor.lines import Report
from engine.supervisor.server import ForkServer
from shm import Event, attach
from shm.life import is_held
from tests.engine.supervisor.stand_ins import (
    CANARY,
    LIMIT_S,
    PAIR,
    TOP,
    TWO,
    Supervised,
    lives,
    parent_of,
    settings_of,
)
from tests.waiting import wait_for

Start = Callable[..., Supervised]


@pytest.fixture
def start(tmp_path: Path, left_nothing: Path, engine_name: str) -> Iterator[Start]:
    """Starts a supervisor; all that were started have ended after the test, and left nothing."""
    begun: list[Supervised] = []

    def begin(**changes: object) -> Supervised:
        begun.append(Supervised(tmp_path, left_nothing, engine_name, **changes))  # type: ignore[arg-type]
        return begun[-1]

    yield begin
    for each in begun:
        each.close()


@pytest.fixture
def up(start: Start) -> Supervised:
    """One that is up."""
    engine = start()
    engine.until("ready")
    return engine


def pids_of(engine: Supervised, ready: dict[str, object]) -> list[int]:
    workers = ready["workers"]
    assert isinstance(workers, dict)
    return [engine.process.pid, *workers.values(), *(int(str(ready[key])) for key in ready if key.endswith("_pid"))]


def events_of(engine: Supervised) -> list[Event]:
    with attach(engine.folder.name, root=engine.folder.parent.parent) as market:
        return market.events().last(99)


def test_it_comes_up_says_so_and_leaves_nothing(start: Start) -> None:
    engine = start()
    ready = engine.until("ready")
    known = engine.registry()
    assert (ready["generation"], ready["folder"]) == (1, str(engine.folder)) == (known.generation, str(engine.folder))
    assert known.supervisor_pid == engine.process.pid == ready["supervisor_pid"]
    assert known.engine_pid == ready["engine_pid"]
    assert engine.worker_pids() == ready["workers"]
    assert known.simulator_url == ready["simulator_url"] == "http://127.0.0.1:1"
    assert all(
        lives(pid) and parent_of(pid) == engine.process.pid
        for pid in pids_of(engine, ready)[1:]
        if pid != engine.process.pid
    )
    for lock in ("supervisor", "engine", "worker-MNQ", "worker-MES"):
        wait_for(partial(is_held, engine.folder / f"{lock}.lock"), LIMIT_S, f"{lock}'s lock")
    assert engine.stop() == 0
    assert engine.until("stopped") == {"event": "stopped"}
    assert not any(lives(pid) for pid in pids_of(engine, ready))


def test_the_engine_is_told_where_the_simulator_is(up: Supervised) -> None:
    up.until("said", role="engine", line={"event": "streaming"})
    job = json.loads((up.data / "engine.job").read_text())
    assert job["settings"]["venue"]["api_url"] == "http://127.0.0.1:1/api"
    assert job["settings"]["venue"]["user_name"] == "somebody"
    assert (job["generation"], job["folder"], job["supervisor_pid"]) == (1, str(up.folder), up.process.pid)
    assert CANARY not in json.dumps(job)
    up.stop()


def test_the_key_is_in_the_environment_of_the_engine_and_of_no_other(start: Start) -> None:
    engine = start()
    ready = engine.until("ready")
    having = {pid for pid in pids_of(engine, ready) if CANARY.encode() in Path(f"/proc/{pid}/environ").read_bytes()}
    assert having == {engine.process.pid, ready["engine_pid"]}
    engine.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_worker_that_ends_is_started_again_and_no_other(up: Supervised, number: int) -> None:
    before = up.worker_pids()
    os.kill(before["MNQ"], number)
    restarted = up.until("restarted", role="MNQ")
    assert restarted["restarts"] == 1
    wait_for(lambda: up.worker_pids()["MNQ"] == restarted["pid"], LIMIT_S, "the new worker in the registry")
    assert up.worker_pids() == before | {"MNQ": restarted["pid"]}
    assert [each.restarts for each in up.registry().instruments] == [1, 0]
    assert parent_of(restarted["pid"]) == up.process.pid
    (event,) = events_of(up)
    assert (event.symbol, event.kind, event.detail, event.restarts) == ("MNQ", "restart", "worker", 1)
    assert (event.pid, event.reason) == (restarted["pid"], restarted["why"])
    assert 0 < event.from_wall_ns <= event.wall_ns
    up.stop()


def test_an_engine_that_ends_is_started_again_in_the_same_generation(up: Supervised) -> None:
    for name in ("keeper", "recorder", "historian"):
        up.pid_beside(name)
    before = up.registry()
    up.until("said", role="engine", line={"event": "streaming"})
    os.kill(before.engine_pid, signal.SIGKILL)
    restarted = up.until("restarted", role="engine")
    up.until("said", role="engine", line={"event": "streaming"})
    wait_for(lambda: up.registry().engine_pid == restarted["pid"], LIMIT_S, "the new engine in the registry")
    assert up.registry() == dataclasses.replace(before, engine_pid=restarted["pid"])
    assert [(event.symbol, event.kind, event.detail) for event in events_of(up)] == [("", "restart", "engine")]
    up.stop()


def test_a_killed_fork_server_touches_no_worker_and_its_successor_makes_the_next(start: Start) -> None:
    engine = start()
    ready = engine.until("ready")
    os.kill(ready["server_pid"], signal.SIGKILL)
    engine.until("restarted", role="fork server")
    assert engine.worker_pids() == ready["workers"]
    os.kill(ready["workers"]["MES"], signal.SIGKILL)
    assert engine.until("restarted", role="MES")["restarts"] == 1
    assert engine.worker_pids()["MNQ"] == ready["workers"]["MNQ"]
    engine.stop()


def test_a_fork_server_that_compiles_has_made_no_progress_yet(tmp_path: Path) -> None:
    """Its word is no sign that it is ready: it has as long as one that said nothing, and is asked for no worker."""

    class Channel(ForkServer):
        """One without a process: it answers what is put in the other end."""

        def __init__(self, end: socket.socket) -> None:
            self.channel = end

    nothing = cast(Any, None)  # neither memory nor signals are needed to listen
    job = Job(settings_of("mine", tmp_path, tmp_path, TWO), None, os.getpid())
    supervisor = run.Supervisor(job, nothing, Report(), nothing, {})
    server = supervisor._roles[run.SERVER]
    supervisor._roles[run.SERVER] = server = decide.lives(decide.asked(server, 0, 0), os.getpid(), 0)
    supervisor._roles["MNQ"] = Role("MNQ", Part.WORKER)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here.setblocking(False)
    with here, there:
        supervisor._server = Channel(here)
        there.send(b'{"event": "compiling"}')
        supervisor._on_answers()
        supervisor._look(server)
        assert decide.Start("MNQ") not in supervisor._due()
        supervisor._tick = NO_PROGRESS_TICKS
        assert not any(isinstance(action, decide.Tell) for action in supervisor._due())
        there.send(b'{"event": "ready", "compile_seconds": 31.5}')
        supervisor._on_answers()
        assert decide.Start("MNQ") in supervisor._due()


def test_what_a_fork_server_left_half_done_is_ended_before_another_begins_it(start: Start) -> None:
    """It dies with a request unanswered: whoever is a child of the supervisor's and known to nobody, goes."""
    engine = start()
    engine.wish("engine", "orphan")
    ready = engine.until("ready")
    wait_for((engine.data / "orphan").exists, LIMIT_S, "an orphan")
    wait_for(lambda: (engine.data / "orphan").read_text(), LIMIT_S, "its number")
    orphan = int((engine.data / "orphan").read_text())
    wait_for(lambda: parent_of(orphan) == engine.process.pid, LIMIT_S, "its adoption")
    os.kill(ready["server_pid"], signal.SIGSTOP)
    os.kill(ready["workers"]["MNQ"], signal.SIGKILL)
    wait_for(lambda: engine.worker_pids()["MNQ"] == 0, LIMIT_S, "the registry, which is written after the request")
    assert lives(orphan)
    os.kill(ready["server_pid"], signal.SIGKILL)
    engine.until("restarted", role="MNQ")
    assert not lives(orphan)
    assert engine.worker_pids()["MES"] == ready["workers"]["MES"]
    engine.stop()


def test_all_end_with_a_killed_supervisor_and_the_next_begins_a_new_generation(start: Start) -> None:
    engine = start()
    ready = engine.until("ready")
    engine.process.kill()
    wait_for(lambda: not any(lives(pid) for pid in pids_of(engine, ready)), 5, "the end of all")
    assert engine.folder.exists()
    engine = start()
    assert engine.until("ready")["generation"] == 2
    assert not (engine.folder / "g1").exists()
    assert engine.stop() == 0


def test_a_supervisor_killed_and_at_once_replaced(start: Start) -> None:
    """The next one meets processes that are still ending, and waits for them."""
    for generation in (1, 2, 3):
        engine = start()
        assert engine.until("ready")["generation"] == generation
        engine.process.kill()
        engine.process.wait()
    engine = start()
    engine.until("ready")
    assert engine.stop() == 0


LAUNCH = """
import sys
from pathlib import Path
from tests.engine.supervisor.stand_ins import Supervised
engine = Supervised(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
print(engine.until("ready")["supervisor_pid"], flush=True)
sys.stdin.read()
"""


def test_it_stops_in_order_when_launch_is_killed(tmp_path: Path, left_nothing: Path, engine_name: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(tmp_path), str(left_nothing), engine_name],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as launch:
        assert launch.stdout is not None
        supervisor = int(launch.stdout.readline())
        assert lives(supervisor)
        launch.kill()
    wait_for(lambda: not lives(supervisor), LIMIT_S, "the end of the supervisor")


def test_it_does_not_start_for_a_launch_that_has_ended(start: Start) -> None:
    engine = start(launch_pid=1)
    assert "has ended" in engine.until("failed")["message"]
    assert engine.process.wait(LIMIT_S) == 1


def test_a_second_engine_of_the_name_is_refused_and_the_first_does_not_notice(start: Start, up: Supervised) -> None:
    second = start()
    message = second.until("failed")["message"]
    assert f"runs already (process {up.process.pid} since " in message
    assert second.process.wait(LIMIT_S) == 1
    assert up.registry().supervisor_pid == up.process.pid
    assert up.stop() == 0


def test_a_record_that_kills_twice_is_set_aside(up: Supervised) -> None:
    sequence = (1 << 40) + 17
    up.wish("MNQ", f"crash MNQ {sequence}")
    up.until("quarantined", role="MNQ", symbol="MNQ", sequence=sequence)
    up.until("restarted", role="MNQ", restarts=2)
    lock = up.folder / "worker-MNQ.lock"
    wait_for(lambda: is_held(lock), LIMIT_S, "a worker that lives with it")
    wait_for(lambda: len(events_of(up)) == 3, LIMIT_S, "its last restart among the events, which launch is told first")
    assert [(event.kind, event.sequence) for event in events_of(up)] == [
        ("restart", 0),
        ("quarantine", sequence),
        ("restart", 0),
    ]
    assert up.stop() == 0
    assert [each["how"] for each in up.seen if each["event"] == "died"] == ["ended by SIGSEGV"] * 2


def test_instruments_of_one_process_have_one_pid_one_lock_and_one_restart(start: Start) -> None:
    engine = start(symbols=(*TWO, *PAIR))
    ready = engine.until("ready")
    alone, together = {ready["workers"][name] for name in ("MNQ", "MES")}, {ready["workers"][n] for n in ("NQ", "ES")}
    assert (len(alone), len(together)) == (2, 1)
    assert [each.process for each in engine.registry().instruments] == ["MNQ", "MES", "quiet", "quiet"]
    wait_for(partial(is_held, engine.folder / "worker-quiet.lock"), LIMIT_S, "the lock of the shared process")
    os.kill(together.pop(), signal.SIGKILL)
    assert engine.until("died", role="quiet")["symbols"] == ["NQ", "ES"]
    restarted = engine.until("restarted", role="quiet")
    assert restarted["symbols"] == ["NQ", "ES"]
    wait_for(lambda: engine.worker_pids()["ES"] == restarted["pid"], LIMIT_S, "the new process in the registry")
    assert engine.worker_pids() == ready["workers"] | {"NQ": restarted["pid"], "ES": restarted["pid"]}
    assert [each.restarts for each in engine.registry().instruments] == [0, 0, 1, 1]
    assert engine.stop() == 0


def test_a_record_is_set_aside_for_its_own_instrument_of_a_shared_process(start: Start) -> None:
    """The same sequence is another record in another ring."""
    engine = start(symbols=PAIR)
    engine.until("ready")
    sequence = (1 << 40) + 17
    engine.wish("quiet", f"crash ES {sequence}")
    engine.until("quarantined", role="quiet", symbol="ES", sequence=sequence)
    engine.until("restarted", role="quiet", restarts=2)
    wait_for(lambda: set_aside(engine) == {"NQ": [], "ES": [sequence]}, LIMIT_S, "a job that names the record")
    engine.wish("quiet", f"crash NQ {sequence}")
    engine.until("quarantined", role="quiet", symbol="NQ", sequence=sequence)
    wait_for(lambda: set_aside(engine) == {"NQ": [sequence], "ES": [sequence]}, LIMIT_S, "a job that names both")
    assert engine.stop() == 0


def set_aside(engine: Supervised) -> dict[str, list[int]]:
    return {each["symbol"]: each["quarantine"] for each in engine.job_of("quiet")["instruments"]}


def test_a_worker_is_told_its_cpu_and_whether_it_has_a_bell(start: Start) -> None:
    cpu = min(os.sched_getaffinity(0))
    engine = start(
        symbols=(TWO[0], dataclasses.replace(TWO[1], cpu=cpu), PAIR[0], dataclasses.replace(PAIR[1], cpu=cpu))
    )
    engine.until("ready")
    for name, told in {"MNQ": (-1, False), "MES": (cpu, False), "quiet": (cpu, True)}.items():
        wait_for((engine.data / f"{name}.job").exists, LIMIT_S, f"the job of {name}")
        assert (engine.job_of(name)["cpu"], engine.job_of(name)["bell"]) == told
    pids = engine.worker_pids()
    assert [os.sched_getaffinity(pids[name]) for name in ("MES", "NQ", "ES")] == [{cpu}] * 3
    assert os.sched_getaffinity(pids["MNQ"]) == os.sched_getaffinity(0)
    assert engine.stop() == 0


@pytest.mark.parametrize(("name", "job"), [("keeper", "MNQ MES"), ("recorder", "MNQ MES"), ("historian", "journal")])
def test_who_works_beside_is_started_and_again_when_it_ends(up: Supervised, name: str, job: str) -> None:
    before = up.pid_beside(name)
    assert (lives(before), parent_of(before)) == (True, up.process.pid)
    assert CANARY.encode() not in Path(f"/proc/{before}/environ").read_bytes()
    wait_for(lambda: up.heard_beside(name) == [job], LIMIT_S, "its job")
    os.kill(before, signal.SIGKILL)
    restarted = up.until("restarted", role=name)
    wait_for(lambda: up.pid_beside(name) == restarted["pid"], LIMIT_S, "the new one in the registry")
    wait_for(lambda: up.heard_beside(name) == [job] * 2, LIMIT_S, "its job, once more")
    assert [(event.symbol, event.kind, event.detail) for event in events_of(up)] == [("", "restart", name)]
    assert up.stop() == 0
    assert not lives(restarted["pid"])


@pytest.mark.parametrize("name", ["keeper", "recorder", "historian"])
def test_who_works_beside_and_cannot_run_is_parked_and_stops_nothing(start: Start, name: str) -> None:
    engine = start()
    engine.wish(name, "fail")
    before = engine.until("ready")["workers"]
    assert not [each for each in engine.seen if each["event"] == "parked"]  # nobody waited for that
    assert "ended with status 3" in engine.until("parked", role=name)["why"]
    os.kill(engine.worker_pids()["MNQ"], signal.SIGKILL)  # to see that all goes on
    restarted = engine.until("restarted", role="MNQ")
    wait_for(lambda: engine.worker_pids() == before | {"MNQ": restarted["pid"]}, LIMIT_S, "the worker's successor")
    assert getattr(engine.registry(), f"{name}_pid") == 0
    assert engine.stop() == 0


def test_the_engine_gets_its_job_when_the_recorder_works(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    engine = start()
    engine.wish("recorder", "stand still")
    wait_for(lambda: engine.folder.exists() and _workers_are_up(engine), LIMIT_S, "workers")
    assert not (engine.data / "engine.job").exists()
    engine.wish("recorder", "work")
    engine.until("ready")
    wait_for((engine.data / "engine.job").exists, LIMIT_S, "the engine's job")
    assert engine.job_of("engine")["beats"] > 0
    assert engine.stop() == 0
    assert "may be missing" not in capfd.readouterr().err


def test_the_engine_does_not_wait_for_a_recorder_for_ever_and_keeper_and_historian_wait_for_both(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = start()
    engine.wish("recorder", "stand still")
    engine.until("ready")
    recorder, *others = (engine.pid_beside(name) for name in ("recorder", "keeper", "historian"))
    begun_s = psutil.Process(recorder).create_time()
    waited_s = [psutil.Process(pid).create_time() - begun_s for pid in others]
    assert min(waited_s) > (decide.BEGINNING_TICKS - 5) * decide.TICK_MS / 1000, waited_s
    assert engine.stop() == 0
    assert capfd.readouterr().err.count("the recorder has shown nothing yet: what comes in") == 1


def test_a_recorder_that_ends_at_its_start_keeps_no_feed_back(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    engine = start()
    engine.wish("recorder", "fail")
    engine.until("ready")
    assert engine.stop() == 0
    assert capfd.readouterr().err.count("the recorder ended with status 3: what comes in") == 1


def test_stopped_before_all_is_up_the_recorder_ends_when_who_could_write_has(start: Start) -> None:
    engine = start()
    engine.wish("MNQ", "fail")  # it is started again for a while, and so long all is not up
    wait_for((engine.data / "engine.job").exists, LIMIT_S, "an engine at work")
    wait_for((engine.data / "MES.job").exists, LIMIT_S, "a worker at work")
    assert engine.stop() == 0
    assert not [each for each in engine.seen if each["event"] == "ready"]
    assert (engine.data / "recorder.end").read_text() == "recorder supervisor"


def test_killed_before_all_is_up_the_recorder_ends_in_order(start: Start) -> None:
    engine = start()
    engine.wish("MNQ", "fail")
    wait_for((engine.data / "engine.job").exists, LIMIT_S, "an engine at work")
    engine.process.kill()
    engine.process.wait()
    wait_for((engine.data / "recorder.end").exists, LIMIT_S, "the recorder's end")
    following = start()
    following.until("compiled")  # from here on a wish to stop finds something to stop
    assert following.stop() == 0


def test_stopped_before_the_engine_has_its_job_nobody_is_waited_for(start: Start) -> None:
    engine = start()
    engine.wish("recorder", "stand still")
    wait_for((engine.data / "recorder.heard").exists, LIMIT_S, "a recorder")
    assert engine.stop() == 0
    assert (engine.data / "recorder.end").exists()


def test_stopped_while_the_recorder_is_not_there_yet_it_ends_once_it_is(start: Start) -> None:
    engine = start()
    engine.wish("recorder", "import")
    engine.until("ready")
    wait_for((engine.data / "recorder.new").exists, LIMIT_S, "a recorder that imports")
    assert engine.stop() == 0
    assert (engine.data / "recorder.end").read_text() == "supervisor", "it was killed before it could write"


def test_a_keeper_hears_of_instruments_that_come_and_go_and_one_that_stands_still_holds_nobody_up(
    start: Start, tmp_path: Path
) -> None:
    engine, folder = _watching(start, tmp_path)
    keeper = engine.pid_beside("keeper")
    (folder / "ES.toml").write_text("ring_mib = 1")
    engine.until("added", symbol="ES")
    wait_for(lambda: engine.heard_beside("keeper") == ["MNQ MES", "MNQ MES ES"], LIMIT_S, "the one that came")
    os.kill(keeper, signal.SIGSTOP)
    for number in range(4):  # of these it is told the first and, when it listens again, the last
        (folder / "ES.toml").unlink()
        engine.until("removed", symbol="ES")
        (folder / "ES.toml").write_text(f"ring_mib = 1\nlevels = {number + 1}")
        engine.until("added", symbol="ES")
    (folder / "MES.toml").unlink()
    engine.until("removed", symbol="MES")
    os.kill(keeper, signal.SIGCONT)
    wait_for(lambda: engine.heard_beside("keeper")[-1] == "MNQ ES", LIMIT_S, "what there is by now")
    assert engine.heard_beside("keeper") == ["MNQ MES", "MNQ MES ES", "MNQ MES", "MNQ ES"]
    assert engine.stop() == 0


def test_what_the_engine_cannot_go_on_with_ends_all_with_its_sentence(up: Supervised) -> None:
    up.wish("engine", "fatal")
    failed = up.until("failed")
    assert (failed["message"], failed["final"]) == ("the venue does not like us: ask it why", True)
    assert up.process.wait(LIMIT_S) == 1


def test_without_the_simulator_there_is_nothing_to_go_on_with(start: Start) -> None:
    engine = start()
    os.kill(engine.until("ready")["simulator_pid"], signal.SIGKILL)
    assert "the simulator ended by SIGKILL" in engine.until("failed")["message"]
    assert engine.process.wait(LIMIT_S) == 1


def test_a_worker_that_cannot_start_is_parked_and_shown_and_the_others_live(start: Start) -> None:
    engine = start()
    engine.wish("MNQ", "fail")
    why = engine.until("parked", role="MNQ")["why"]
    assert "ended with status 3" in why
    engine.until("ready")
    wait_for(lambda: engine.registry().instruments[0].parked, LIMIT_S, "the registry to say so")
    parked, other = engine.registry().instruments
    assert (parked.symbol, parked.pid, parked.parked) == ("MNQ", 0, why)
    assert lives(other.pid)
    last = events_of(engine)[-1]
    assert (last.symbol, last.kind) == ("MNQ", "parked")
    assert why.startswith(last.reason)  # as much of it as has room
    assert engine.stop() == 0


def test_who_does_not_end_when_asked_is_killed(up: Supervised) -> None:
    worker, other = up.worker_pids().values()
    up.wish("MNQ", "deaf")
    up.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not lives(other), LIMIT_S, "the end of who does as it is asked")
    assert lives(worker)
    assert up.process.wait(LIMIT_S) == 0
    assert not lives(worker)


def test_a_second_wish_to_stop_changes_nothing(up: Supervised) -> None:
    up.process.send_signal(signal.SIGINT)
    up.process.send_signal(signal.SIGTERM)
    assert up.stop() == 0
    up.until("stopped")


def test_memory_that_cannot_be_had_is_said_before_anything_starts(start: Start) -> None:
    huge = tuple(SymbolSettings(f"S{n}", ring_mib=1024) for n in range(64))
    engine = start(symbols=huge)
    failed = engine.until("failed")
    message, final = failed["message"], failed["final"]
    assert not final, "there may be room later"
    assert "MiB are needed" in message
    assert "SHARDBOOK_SHM" in message
    assert engine.process.wait(LIMIT_S) == 1
    assert not any(each["event"] == "compiling" for each in engine.seen)


@pytest.mark.parametrize("text", [b"", b"{}", b'{"settings": {}, "simulator": null, "launch_pid": 1}', b"[" * 100_000])
def test_a_job_that_is_none(text: bytes, left_nothing: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.supervisor"], input=text, capture_output=True, cwd=TOP, timeout=60
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["event"] == "failed"
    assert done.stderr == b""


def test_the_watched_folder_is_followed(start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "symbols"
    folder.mkdir()
    for symbol in ("MNQ", "MES"):
        (folder / f"{symbol}.toml").write_text("ring_mib = 1")
    engine = start(watched=folder)
    before = engine.until("ready")["workers"]
    assert isinstance(before, dict)

    (folder / "ES.toml").write_text("ring_mib = 1")
    engine.until("added", symbol="ES")
    wait_for(lambda: engine.worker_pids().get("ES"), LIMIT_S, "its worker")
    (folder / "MNQ.toml").write_text("ring_mib = 1\nlevels = 9")
    engine.until("changed", symbol="MNQ")
    wait_for(lambda: engine.worker_pids()["MNQ"] not in (0, before["MNQ"]), LIMIT_S, "its new worker")
    listed = {each.symbol: each for each in engine.registry().instruments}
    assert (listed["MNQ"].levels, listed["MNQ"].made, listed["MNQ"].restarts) == (9, 2, 0)
    (folder / "ES.toml").unlink()
    engine.until("removed", symbol="ES")
    wait_for(lambda: "ES" not in engine.worker_pids(), LIMIT_S, "it is listed no more")
    assert not (engine.folder / "g1" / "ES.ring").exists()

    (folder / "MNQ.toml").write_text("levels = 0")
    assert "levels is 0" in engine.until("rejected", symbol="MNQ")["why"]
    engine.wish("engine", "refuse check")
    (folder / "MNQ.toml").write_text("ring_mib = 1\nlevels = 8")
    assert engine.until("rejected", symbol="MNQ")["why"] == "the venue has no MNQ"
    (folder / "MES.toml").unlink()
    engine.until("removed", symbol="MES")
    (folder / "MNQ.toml").unlink()
    assert "none is left" in engine.until("rejected", symbol="MNQ")["why"]
    logged = capfd.readouterr().err
    for sentence in ("levels is 0", "the venue has no MNQ", "none is left"):
        assert logged.count(sentence) == 1
    wait_for(lambda: engine.registry().instruments == (listed["MNQ"],), LIMIT_S, "the last one alone is listed")
    engine.wish("engine", "")
    (folder / "ES.toml").write_text("ring_mib = 1")
    engine.until("removed", symbol="MNQ")
    wait_for(lambda: engine.worker_pids().keys() == {"ES"}, LIMIT_S, "the one that has a file alone is listed")
    assert engine.stop() == 0


def test_an_engine_that_ends_in_the_middle_of_a_change_is_followed_by_one_with_the_change(
    start: Start, tmp_path: Path
) -> None:
    engine, folder = _watching(start, tmp_path)
    engine.until("said", role="engine", line={"event": "streaming"})
    engine.wish("engine", "deaf")  # it hears, and does not answer
    (folder / "MES.toml").unlink()
    wait_for(lambda: b'"remove"' in _heard(engine), LIMIT_S, "the engine is told")
    os.kill(engine.registry().engine_pid, signal.SIGKILL)
    engine.until("removed", symbol="MES")
    engine.wish("engine", "live")
    engine.until("restarted", role="engine")
    wait_for(lambda: list(engine.worker_pids()) == ["MNQ"], LIMIT_S, "the other one alone is listed")
    assert engine.stop() == 0


def test_what_a_successor_lets_go_of_is_removed_and_tried_again_when_its_file_changes(
    start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "symbols"
    folder.mkdir()
    for symbol in ("MNQ", "MES"):
        (folder / f"{symbol}.toml").write_text("ring_mib = 1")
    (folder / "BAD.toml").write_text("levels = 0")
    engine = start(watched=folder)
    other = engine.until("ready")["workers"]["MNQ"]
    engine.until("rejected", symbol="BAD")  # the files were looked at: from here on only one that changes is news
    engine.wish("engine", "let go MES")
    os.kill(engine.registry().engine_pid, signal.SIGKILL)
    engine.until("restarted", role="engine")
    assert engine.until("rejected", symbol="MES")["why"] == "the venue has no MES any more"
    engine.until("removed", symbol="MES")
    wait_for(lambda: list(engine.worker_pids()) == ["MNQ"], LIMIT_S, "the other one alone is listed")
    assert not (engine.folder / "g1" / "MES.ring").exists()
    engine.wish("engine", "live")
    (folder / "MES.toml").write_text("ring_mib = 1\nlevels = 9")
    engine.until("added", symbol="MES")
    wait_for(lambda: engine.worker_pids().get("MES"), LIMIT_S, "its worker")
    assert engine.worker_pids()["MNQ"] == other
    assert engine.stop() == 0


def _watching(start: Start, tmp_path: Path) -> tuple[Supervised, Path]:
    """An engine that is ready, and the folder with its two symbol files."""
    folder = tmp_path / "symbols"
    folder.mkdir()
    for symbol in ("MNQ", "MES"):
        (folder / f"{symbol}.toml").write_text("ring_mib = 1")
    engine = start(watched=folder)
    engine.until("ready")
    return engine, folder


def _workers_are_up(engine: Supervised) -> bool:
    return (engine.folder / "registry.json").exists() and all(engine.worker_pids().values())


def _heard(engine: Supervised) -> bytes:
    path = engine.data / "engine.heard"
    return path.read_bytes() if path.exists() else b""
