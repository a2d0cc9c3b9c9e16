"""`book_at` at random times: out of closed files with waypoints, without them, and by a slow replay from the start.

A slow replay reads the journal up to that time and runs the instrument's records through the worker's kernels, which
is what one had to do without `book_at`. All three run in this process, with kernels loaded and files in the page
cache, and all three have to come to the same book. Without waypoints nothing is kept from one question to the next.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from engine.recorder.recorder import Options
from engine.replayer.stretches import entries_of, stretches
from shm.journal import journal_files
from shm.past import By, Past
from tests.made_journal import BEGIN
from workers.finder import Finder
from workers.historian import Historian
from workers.passage import LEVELS, MAX_DEPTH
from workers.recovery import Checkpoint
from workers.rerun import Rerun

from . import recorded
from .recorded import SYMBOLS
from .row import Row

SECONDS, QUICK_SECONDS = 120, 20
ASKED, QUICK_ASKED = 9, 3
ASKED_ALONE = 3  # of them without waypoints, which takes longest
FILE_BYTES = 4 << 20
_SEED = 7


class Question(NamedTuple):
    symbol: str
    time_ns: int


def rows(quick: bool) -> Iterator[Row]:
    seconds, asked = (QUICK_SECONDS, QUICK_ASKED) if quick else (SECONDS, ASKED)
    chance = random.Random(_SEED)
    questions = [
        Question(chance.choice(SYMBOLS), BEGIN.wall_ns + chance.randrange(1_000_000_000, seconds * 1_000_000_000))
        for _ in range(asked)
    ]
    with TemporaryDirectory(prefix="shardbook-bench-") as made:
        journal = Path(made) / "journal"
        recorded.write(journal, seconds, Options(file_bytes=FILE_BYTES))
        files = len(journal_files(journal))
        slow_ms, expected = _median_ms(questions, lambda one: _slow(journal, one))
        without_ms, alone = _median_ms(questions[:ASKED_ALONE], lambda one: _found(Finder(journal), one))
        begin_s = time.perf_counter()
        done = Historian(journal).turn()
        historian_s = time.perf_counter() - begin_s
        finder = Finder(journal)
        with_ms, beside = _median_ms(questions, lambda one: _found(finder, one))
        assert done == files
        assert beside == expected
        assert alone == expected[:ASKED_ALONE]
        with Past(journal) as past:
            first_ms, _ = _median_ms(questions[:1], lambda one: past.book_at(one.symbol, one.time_ns))
            past_ms, _ = _median_ms(questions, lambda one: past.book_at(one.symbol, one.time_ns))
    compared = f"a slow replay from the start: {slow_ms:,.3g} ms"
    of = f"of {seconds:,} s in {files} files"
    yield Row("past", f"book_at, {of}, with waypoints", with_ms, "ms", compared, slow_ms)
    yield Row("past", f"book_at, {of}, without", without_ms, "ms", compared, slow_ms)
    yield Row("past", "the same with waypoints, out of a process of its own", past_ms, "ms", compared, slow_ms)
    yield Row("past", "the first question, which starts that", first_ms, "ms")
    compared = f"recorded in: {seconds:,} s"
    yield Row("past", "waypoints made", historian_s, "s", compared, seconds)


def _median_ms(questions: Sequence[Question], answer: Callable[[Question], object]) -> tuple[float, list[object]]:
    """Of all questions, and the answers."""
    times_ms, answers = [], []
    for one in questions:
        begin_ns = time.perf_counter_ns()
        answers.append(answer(one))
        times_ms.append((time.perf_counter_ns() - begin_ns) / 1e6)
    return statistics.median(times_ms), answers


def _found(finder: Finder, one: Question) -> object:
    return _book(finder.book_at(one.symbol, one.time_ns, By.RECEIVE).checkpoint)


def _slow(journal: Path, one: Question) -> object:
    rerun = Rerun(LEVELS, MAX_DEPTH)
    end_ns = one.time_ns + 1
    for stretch in stretches(entries_of(journal_files(journal), end_ns, end_ns), [one.symbol], end_ns):
        rerun.take(stretch.words)
    return _book(rerun.checkpoint())


def _book(checkpoint: Checkpoint) -> object:
    """Sequence and levels."""
    return checkpoint.sequence, *(side.tobytes() for side in checkpoint.sides)
