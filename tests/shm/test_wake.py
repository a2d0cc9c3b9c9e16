"""Sleeping on a word of a read-only mapping: woken by another process, never for longer than asked, and by Ctrl-C."""

import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from shm.wake import load, until_news, wait
from tests.shm.plain_writer import wake
from tests.waiting import wait_for

_SLEEPER = """
import mmap, signal, sys
from shm.wake import wait
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what is in the background without it
with open(sys.argv[1], "rb") as file:
    memory = memoryview(mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ))
print("asleep", flush=True)
print(wait(memory, 64, 7, float(sys.argv[2])), flush=True)
"""


@pytest.fixture
def word(tmp_path: Path) -> tuple[Path, memoryview, memoryview]:
    """A file, its writable mapping as 8-byte words, and its read-only one; word 8 (byte 64) is 7."""
    path = tmp_path / "words"
    path.write_bytes(bytes(4096))
    with path.open("r+b") as file:
        writable = mmap.mmap(file.fileno(), 4096)
        readable = mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ)
    words = memoryview(writable).cast("q")
    words[8] = 7
    return path, words, memoryview(readable)


def _wake(words: memoryview) -> int:
    return wake(np.frombuffer(words, np.int64), 8)


def test_another_value_does_not_sleep(word: tuple[Path, memoryview, memoryview]) -> None:
    _, _, memory = word
    assert wait(memory, 64, 6, 60.0)


def test_only_the_low_half_is_compared(word: tuple[Path, memoryview, memoryview]) -> None:
    _, words, memory = word
    words[8] = 7 + (5 << 32)
    assert not wait(memory, 64, 7, 0.01)
    assert wait(memory, 64, 8 + (5 << 32), 60.0)


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, 0.001, 0.25])
def test_the_same_value_times_out(word: tuple[Path, memoryview, memoryview], timeout_s: float) -> None:
    _, _, memory = word
    begun_s = time.monotonic()
    assert not wait(memory, 64, 7, timeout_s)
    assert time.monotonic() - begun_s >= timeout_s


def test_memory_that_is_too_short_is_an_error(word: tuple[Path, memoryview, memoryview]) -> None:
    _, _, memory = word
    with pytest.raises(ValueError, match="smaller"):
        wait(memory, 4096, 7, 0.01)


def test_another_process_is_woken(word: tuple[Path, memoryview, memoryview]) -> None:
    path, words, _ = word
    with _sleeper(path, "60") as sleeper:
        _wake_when_asleep(words)
        assert _line(sleeper) == "True"


def test_a_wake_up_that_is_never_made_costs_one_sleep(word: tuple[Path, memoryview, memoryview]) -> None:
    path, words, _ = word
    with _sleeper(path, "60") as sleeper:
        words[8] = 8  # and nobody calls FUTEX_WAKE: the next sleep in the kernel is refused
        assert _line(sleeper) == "True"


def test_control_c_ends_the_sleep(word: tuple[Path, memoryview, memoryview]) -> None:
    path, _, _ = word
    with _sleeper(path, "60") as sleeper:
        sleeper.send_signal(signal.SIGINT)
        _, errors = sleeper.communicate(timeout=20)
        assert "KeyboardInterrupt" in errors
        assert sleeper.returncode == -signal.SIGINT


def test_a_signal_with_a_handler_does_not_end_the_sleep(word: tuple[Path, memoryview, memoryview]) -> None:
    _, words, memory = word
    seen: list[int] = []

    def handle(number: int, _: object) -> None:
        seen.append(number)
        if len(seen) == 3:
            words[8] = 8  # without a wake-up: it is seen when the sleep goes on

    before = signal.signal(signal.SIGUSR1, handle)
    timers = [threading.Timer(0.02 * (n + 1), os.kill, (os.getpid(), signal.SIGUSR1)) for n in range(3)]
    try:
        for timer in timers:
            timer.start()
        assert wait(memory, 64, 7, 60.0)
        assert len(seen) == 3
    finally:
        for timer in timers:
            timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_news_that_are_there_need_no_sleep() -> None:
    assert until_news(lambda: None, pytest.fail, -1.0)


def test_without_news_it_ends_in_time_and_asks_after_each_silence(word: tuple[Path, memoryview, memoryview]) -> None:
    _, _, memory = word
    silences: list[int] = []
    assert not until_news(lambda: load(memory, 64), lambda: silences.append(1), 0.25)
    assert silences


def test_a_word_that_changed_is_no_silence(word: tuple[Path, memoryview, memoryview]) -> None:
    _, _, memory = word
    looks = iter([(memory, 64, 6), (memory, 64, 6), None])
    assert until_news(lambda: next(looks), pytest.fail, 60.0)


def _sleeper(path: Path, timeout_s: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SLEEPER, str(path), timeout_s],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert _line(process) == "asleep"
    return process


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _wake_when_asleep(words: memoryview) -> None:
    """Wake without changing the word, until one sleeper was there to be woken."""
    wait_for(lambda: _wake(words) > 0, 20, "somebody sleeps on the word")
