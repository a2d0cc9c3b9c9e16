"""The recorder as a process: it writes what comes, and ends when it is told to with everything written."""

import signal
from pathlib import Path

import pytest

from shm.journal import JournalFile, journal_files
from tests.engine.recorder.running import SYMBOLS, Stage
from tests.system.recorded import check_whole
from tests.waiting import wait_for

START_S = 120.0

pytestmark = pytest.mark.timeout(600)


def test_it_writes_what_comes_and_the_last_of_it_when_it_is_told_to_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put(20)
    with stage.start() as process:
        wait_for(lambda: stage.count("written"), START_S, "what was there before it")
        process.send_signal(signal.SIGSTOP)
        stage.put(20)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        assert process.wait(START_S) == 0
    for symbol in SYMBOLS:
        assert check_whole(stage.streams[symbol]) == stage.tail(symbol)
    (path,) = journal_files(stage.data / "journal")
    with JournalFile(path) as file:
        assert file.finished


def test_it_writes_what_was_there_though_it_was_told_to_end_while_it_imported(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put(20)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # as the supervisor starts it
    try:
        started = stage.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with started as process:
        process.terminate()
        assert process.wait(START_S) == 0
    for symbol in SYMBOLS:
        assert check_whole(stage.streams[symbol]) == stage.tail(symbol)


@pytest.mark.parametrize("line", [b"{}\n", b"no json\n", b"\n"])
def test_a_job_that_is_none_ends_it_with_a_sentence(tmp_path: Path, line: bytes) -> None:
    with Stage(tmp_path).start(line) as process:
        assert process.wait(START_S) == 1
        assert process.stdout is not None
        assert b'"fatal"' in process.stdout.read()


def test_there_is_one_at_a_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.start() as process:
        wait_for(lambda: stage.count("heartbeat"), START_S, "it is at work")
        with stage.start() as second:
            assert second.wait(START_S) == 1
        process.terminate()
        assert process.wait(START_S) == 0
