"""A day of one instrument replayed again and again, once with its worker killed all along: one digest.

In some ten thousand records, or with SHARDBOOK_DAY=1 in a million.
"""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from engine.config import SHIPPED_SYMBOLS, load_symbols
from engine.replay_digest import Ended, digest
from shm.bars import Bars
from shm.journal import JournalFile, files_of
from shm.journal_entries import Piece
from shm.refill import words_of
from shm.registry import engine_folder, generation_folder
from tests import recorded_day
from tests.made_journal import BEGIN, GENERATION
from tests.recorded_day import DAY_NS
from tests.system.test_replay import LIMIT_S, ended, pid_of, replaying
from tests.waiting import wait_for
from workers.rerun import Rerun

pytestmark = pytest.mark.timeout(1800)

RECORDS = (
    1_000_000 if os.environ.get("SHARDBOOK_DAY") else 200_000
)  # so many that none is further than a second from the next: longer pauses are not waited for
KILLS = 20 if os.environ.get("SHARDBOOK_DAY") else 8


def test_a_day_comes_to_one_digest_though_its_worker_is_killed(tmp_path: Path, seed: int) -> None:
    journal, name, rng = tmp_path / "journal", f"day-{os.getpid()}", np.random.default_rng(seed)
    recorded_day.write(journal, rng, RECORDS)
    arguments = ("--speed", "max", "--digest")
    with replaying(name, journal, *arguments) as process:
        first = ended(process)
    (settings,) = load_symbols(SHIPPED_SYMBOLS, ["MNQ"])
    again = tmp_path / "again"
    killed: set[int] = set()
    # At a pace at which there is time to kill: a day in a quarter of a minute.
    paced = ("--speed", "6000", "--digest", "--data", str(again))
    with replaying(name, journal, *paced) as process:
        wait_for(lambda: pid_of(name, "player"), LIMIT_S, "it runs")
        book = Ended(generation_folder(engine_folder(name), GENERATION + 1), settings)
        goals = np.sort(rng.integers(DAY_NS * 8 // 10, size=KILLS)).tolist()
        for goal_ns in goals:
            wait_for(partial(_has_come_to, book, BEGIN.wall_ns + goal_ns), LIMIT_S, "it goes on")
            wait_for(lambda: pid_of(name, "MNQ") not in (0, *killed), LIMIT_S, "a worker")
            killed.add(pid := pid_of(name, "MNQ"))
            os.kill(pid, signal.SIGKILL)
        second = ended(process)
    assert len(killed) == KILLS
    with replaying(name, journal, *arguments) as process:
        third = ended(process)
    assert first == second == third == digest([book], again)
    assert book.digests() == _in_one_process(journal)
    minutes = Bars(again, "MNQ", "1m").to_polars()
    assert len(minutes) == 1440 - 1  # the last one forms


def _has_come_to(book: Ended, wall_ns: int) -> bool:
    return book.wall_ns > wall_ns


def _in_one_process(journal: Path) -> tuple[int, int]:
    """The digests of book and trades without rings, processes and kills."""
    rerun = Rerun()
    for path in files_of([journal]):
        with JournalFile(path) as file:
            for entry in file.entries():
                if isinstance(entry, Piece):
                    rerun.take(words_of(bytes(entry.data)))
    state = rerun.memory.state[0]
    assert (state["synced"], state["refused"]) == (1, 0)
    return int(state["book_digest"]), int(state["tape_digest"])
