"""Children: told, reaped and fed by a handle that cannot come to mean another; and no secret in the wrong one."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.supervisor.child import Child, Started, engine_environment, plain_environment, start_historian, start_keeper
from engine.supervisor.decide import Death

CANARY = "canary-3f9a"
ENVIRON = {
    "PATH": "/usr/bin",
    "SHARDBOOK_SHM": "/dev/shm",
    "PROJECT_X_API_KEY": CANARY,
    "PROJECT_X_USERNAME": "somebody",
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "PYTHONSTARTUP": CANARY,
    "LD_PRELOAD_NOT": CANARY,
}


def child_of(process: "subprocess.Popen[bytes]") -> Child:
    return Child(process.pid, os.pidfd_open(process.pid))


@pytest.mark.parametrize(
    ("code", "death"),
    [
        ("raise SystemExit(0)", Death(0, 0)),
        ("raise SystemExit(7)", Death(0, 7)),
        ("import os; os.kill(os.getpid(), 9)", Death(signal.SIGKILL, 0)),
        ("import os; os.abort()", Death(signal.SIGABRT, 0)),
    ],
)
def test_an_end_is_read_as_it_was(code: str, death: Death) -> None:
    process = subprocess.Popen([sys.executable, "-c", code])
    child = child_of(process)
    assert select.select([child.pidfd], [], [], 10)[0]
    assert child.reap() == death
    process.returncode = 0


def test_the_historian_yields_to_the_keeper_and_that_to_all_others() -> None:
    started = []
    try:
        started = [start_keeper(os.environ), start_historian(os.environ)]
        keeper, historian = (os.getpriority(os.PRIO_PROCESS, each.pid) for each in started)
        assert historian > keeper > os.getpriority(os.PRIO_PROCESS, 0)
    finally:
        for each in started:
            each.tell(signal.SIGKILL)
            assert select.select([each.pidfd], [], [], 10)[0]
            each.reap()


def test_who_stands_still_has_not_heard_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "listener.py").write_text("import sys\nfor line in sys.stdin:\n    print('heard', flush=True)")
    monkeypatch.chdir(tmp_path)
    child = Started("listener", {}, subprocess.PIPE, subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(2):
        os.kill(child.pid, signal.SIGSTOP)
        child.say(b"one\n")
        assert not child.heard_all
        os.kill(child.pid, signal.SIGCONT)
        assert child.stdout.readline() == b"heard\n"
        assert child.heard_all
    child.tell(signal.SIGKILL)
    child.reap()


def test_the_dead_are_told_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    child = child_of(process)
    select.select([child.pidfd], [], [], 10)
    child.tell(signal.SIGKILL)
    assert child.reap() == Death(0, 0)
    child = Child(process.pid, os.pidfd_open(os.getpid()))
    os.close(child.pidfd)
    process.returncode = 0


def test_no_secret_but_for_the_engine() -> None:
    plain = plain_environment(ENVIRON)
    assert CANARY not in plain.values()
    assert "somebody" not in plain.values()
    assert plain["OPENBLAS_NUM_THREADS"] == "1"
    assert plain["PATH"] == "/usr/bin"
    engine = engine_environment(ENVIRON)
    assert {key: value for key, value in engine.items() if key not in plain} == {
        "PROJECT_X_API_KEY": CANARY,
        "PROJECT_X_USERNAME": "somebody",
    }


def test_a_started_module_gets_its_job_and_its_environment_only(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text("import os, sys; print(sys.stdin.read(), sorted(os.environ), os.getsid(0))")
    environment = {"PYTHONPATH": str(tmp_path), "LC_ALL": "C.UTF-8"}
    child = Started("told", environment, subprocess.PIPE, subprocess.PIPE)
    child.give(b"x" * 200_000)  # more than a pipe holds by default, and nobody reads yet
    assert child.stdout is not None
    text, _, rest = child.stdout.read().partition(b" ")
    assert text == b"x" * 200_000
    assert rest.decode() == f"['LC_ALL', 'PYTHONPATH'] {child.pid}\n"
    assert select.select([child.pidfd], [], [], 10)[0]
    assert child.reap() == Death(0, 0)


def test_a_job_for_the_dead_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text("")
    child = Started("told", {"PYTHONPATH": str(tmp_path)}, subprocess.PIPE, subprocess.PIPE)
    assert select.select([child.pidfd], [], [], 10)[0]
    child.give(b"x")
    assert child.reap() == Death(0, 0)
