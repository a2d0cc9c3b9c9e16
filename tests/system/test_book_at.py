"""The book at times of a running engine, against what a reader saw then; and who makes it fast is killed meanwhile."""

import os
import random
import signal
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from shm import Book, Market
from shm.journal import journal_files
from tests.system.recorded import another, recorder_pid, streams
from tests.system.running import Running, is_exact, running, wait_live
from tests.waiting import wait_for

SYMBOLS: Final = ("MES", "MNQ")
KILLS: Final = 3  # of historian and recorder each
SEEN: Final = 100  # books of each instrument, between two kills
ASKED: Final = 40  # times of each instrument and stamp
LIMIT_S: Final = 120.0

Seen = dict[str, dict[int, Book]]  # by symbol and sequence


def test_it_is_what_a_reader_saw_whoever_is_killed_meanwhile(
    left_nothing: Path, tmp_path: Path, engine_name: str, seed: int
) -> None:
    chance = random.Random(seed)
    journal = tmp_path / "journal"
    (tmp_path / "engine.toml").write_text("[journal]\nfile_mib = 1")
    wanted = "--config", str(tmp_path / "engine.toml"), "--symbols", ",".join(SYMBOLS), "--rate", "6000"
    with running(engine_name, *wanted, data=tmp_path) as engine, engine.attach() as market:
        wait_live(market)
        recorder_pid(engine)
        seen: Seen = {symbol: {} for symbol in SYMBOLS}
        pids = {_historian_pid(engine)}
        for _ in range(KILLS):
            _look_on(market, seen)
            os.kill(before := _historian_pid(engine), signal.SIGKILL)
            pids |= {before, another(engine, before, "historian_pid")}
            _look_on(market, seen)
            os.kill(before := recorder_pid(engine), signal.SIGKILL)
            pids |= {before, another(engine, before, "recorder_pid")}
        _look_on(market, seen)
        closed = journal_files(journal)[:-1]
        assert closed
        wait_for(
            lambda: all(path.with_suffix(".sbw").exists() for path in closed), LIMIT_S, "waypoints of closed files"
        )
        assert os.getpriority(os.PRIO_PROCESS, _historian_pid(engine)) == 19
        wait_for(lambda: _is_written(journal, seen), LIMIT_S, "what was seen is written")
        for symbol in SYMBOLS:
            _compare(market, seen[symbol], _times_of(journal, symbol), symbol, chance)
        pids |= {engine.registry.historian_pid, engine.registry.recorder_pid}
        summary = engine.stop()
    assert is_exact(summary), summary
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def _historian_pid(engine: Running) -> int:
    wait_for(lambda: engine.registry.historian_pid, LIMIT_S, "a historian")
    return engine.registry.historian_pid


def _look_on(market: Market, seen: Seen) -> None:
    """Keep some books of each instrument that nobody has seen yet."""
    goals = {symbol: len(found) + SEEN for symbol, found in seen.items()}

    def enough() -> bool:
        for symbol, found in seen.items():
            book = market[symbol].book()
            found[book.sequence] = book
        return all(len(seen[symbol]) >= goal for symbol, goal in goals.items())

    wait_for(enough, LIMIT_S, "books are published")


def _is_written(journal: Path, seen: Seen) -> bool:
    """And one more record of each, which shows which was the last at a time."""
    return all(stream.records[-1].sequence > max(seen[symbol]) for symbol, stream in streams(journal).items())


def _times_of(journal: Path, symbol: str) -> dict[int, int]:
    """The receive time of day by sequence, in the journal's order."""
    return {record.sequence: record.wall_ns for record in streams(journal)[symbol].records}


def _compare(market: Market, seen: dict[int, Book], times: dict[int, int], symbol: str, chance: random.Random) -> None:
    sequences, walls = np.array(list(times)), np.array(list(times.values()))
    same = 0
    for asked in chance.sample(list(seen.values()), ASKED):
        time_ns = times[asked.sequence]
        then = market[symbol].book_at(time_ns)
        assert then.sequence == sequences[np.flatnonzero(walls <= time_ns)[-1]]
        if then.sequence == asked.sequence:  # else more came in that same moment
            _check_same(then, asked)
            assert then.recv_ns == asked.recv_ns
            assert then.state == "live" or asked.state != "live"
            same += 1
    assert same
    same = 0
    for asked in chance.sample(list(seen.values()), ASKED):
        then = market[symbol].book_at(asked.venue_ns, by="venue")
        assert then.venue_ns == asked.venue_ns
        assert then.sequence >= asked.sequence
        assert all(book.venue_ns > asked.venue_ns for book in seen.values() if book.sequence > then.sequence)
        _check_same(market[symbol].book_at(times[then.sequence]), then)
        if then.sequence in seen:
            _check_same(then, seen[then.sequence])
            same += 1
    assert same


def _check_same(then: Book, seen: Book) -> None:
    """All levels that the reader was given are those of then, and no more are if he had all."""
    assert then.venue_ns == seen.venue_ns
    for now, before, is_all in (
        (then.bid_ticks, seen.bid_ticks, seen.bids_complete),
        (then.ask_ticks, seen.ask_ticks, seen.asks_complete),
    ):
        assert np.array_equal(now[: len(before)], before)
        assert len(now) == len(before) or not is_all
