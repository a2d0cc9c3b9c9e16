"""Life locks: they tell whether a process lives, through every way of ending it, and asking disturbs nobody."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shm.life import AlreadyHeld, LifeLock, is_held, start_ticks
from tests.waiting import wait_for

HOLDER = """
import sys, time
from pathlib import Path
from shm.life import LifeLock
lock = LifeLock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""

# A parent that starts a child which is to end with it, and tells the child's pid.
PARENT = """
import os, subprocess, sys
child = "import os, signal, sys, time; from shm.life import end_with; end_with(os.getppid(), signal.SIGKILL);"
child += "print(os.getpid(), flush=True); time.sleep(600)"
subprocess.run([sys.executable, "-c", child])
"""


@pytest.fixture
def path(shm_root: Path) -> Path:
    return shm_root / "worker-MNQ.lock"


@pytest.fixture
def holder(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_lock_is_held_until_it_is_released(path: Path) -> None:
    assert not is_held(path)
    lock = LifeLock.take(path)
    assert is_held(path)
    lock.release()
    lock.release()
    assert not is_held(path)
    assert path.exists()


def test_a_second_holder_is_told_who_the_first_is(path: Path, holder: "subprocess.Popen[bytes]") -> None:
    with pytest.raises(AlreadyHeld) as caught:
        LifeLock.take(path)
    assert caught.value.pid == holder.pid
    assert str(holder.pid) in str(caught.value)


def test_within_one_process_too_there_is_one_holder(path: Path) -> None:
    """Other than with the older kind of lock, which one process can take twice and lose by a close elsewhere."""
    lock = LifeLock.take(path)
    with pytest.raises(AlreadyHeld):
        LifeLock.take(path)
    assert is_held(path)
    lock.release()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_the_kernel_drops_the_lock_of_the_dead(path: Path, holder: "subprocess.Popen[bytes]", number: int) -> None:
    assert is_held(path)
    holder.send_signal(number)
    holder.wait()
    assert not is_held(path)
    LifeLock.take(path).release()


def test_a_stopped_process_lives(path: Path, holder: "subprocess.Popen[bytes]") -> None:
    holder.send_signal(signal.SIGSTOP)
    assert is_held(path)
    assert start_ticks(holder.pid) is not None


def test_asking_never_takes(path: Path) -> None:
    """While one thread asks without end, every take succeeds: no asker was ever mistaken for a holder."""
    LifeLock.take(path).release()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            is_held(path)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        for _ in range(2000):
            LifeLock.take(path).release()
    finally:
        done.set()
        asker.join()


def test_removing_leaves_no_file_and_no_lock(path: Path) -> None:
    lock = LifeLock.take(path)
    lock.remove()
    lock.remove()
    assert not path.exists()
    assert not is_held(path)


def test_a_lock_on_a_removed_file_counts_for_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder removes its file between our open and our lock: we must end up with the file that others will see."""
    first = LifeLock.take(path)
    opened = os.open
    removed: list[Path] = []

    def open_then_remove(name: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = opened(name, flags, mode)
        if not removed:
            removed.append(name)
            first.remove()
        return descriptor

    monkeypatch.setattr(os, "open", open_then_remove)
    second = LifeLock.take(path)
    monkeypatch.undo()
    assert removed == [path]
    assert is_held(path)
    with pytest.raises(AlreadyHeld):
        LifeLock.take(path)
    second.release()


def test_a_link_is_not_followed(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(OSError, match="symbolic links"):
        LifeLock.take(path)
    assert not path.with_name("elsewhere").exists()


def test_start_ticks_name_one_process_for_ever() -> None:
    mine = start_ticks(os.getpid())
    assert mine is not None
    assert mine == start_ticks(os.getpid())
    assert start_ticks(1 << 22) is None
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as later:
        ticks = start_ticks(later.pid)
        assert ticks is not None
        assert ticks >= mine
        later.kill()
        wait_for(lambda: start_ticks(later.pid) is None, 10, "the zombie")  # not reaped yet, and yet not alive


def test_start_ticks_of_a_process_with_a_hostile_name() -> None:
    code = "import ctypes; ctypes.CDLL(None).prctl(15, b') R 1 2 (', 0, 0, 0); print(); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        mine = start_ticks(os.getpid())
        ticks = start_ticks(process.pid)
        assert mine is not None
        assert ticks is not None
        assert ticks >= mine
        process.kill()


def test_who_is_to_end_with_its_parent_does() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert start_ticks(child) is not None
        parent.kill()
        parent.wait()
        wait_for(lambda: start_ticks(child) is None, 5, "the end of the child")


def test_who_comes_too_late_to_end_with_its_parent_is_told() -> None:
    code = "from shm.life import end_with; end_with(1 << 22, 9)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ProcessLookupError" in done.stderr
    assert "has ended" in done.stderr
