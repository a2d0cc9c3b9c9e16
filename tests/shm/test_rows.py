"""Broadcast rows: the record is the unit of commit, and a reader who was lapped knows how many rows it lost."""

from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.layout import TAPE_COUNT, TAPE_INTENT, Kind
from shm.rows import announce, commit, through
from shm.segment import attach, create
from tests.shm.stress import tape as stress
from tests.shm.stress.processes import GENERATION, GO, make_flags, running, shared_folder

TRIES_AT_ONCE = 20_000
LEAST_SEEN = 400_000
LEAST_LAPS = 4_000


@pytest.fixture
def control() -> Any:
    return np.zeros(layout.CONTROL_BYTES // 8, np.int64)


def test_rows_are_announced_before_and_counted_after(control: Any) -> None:
    announce(control, TAPE_INTENT, 3)
    assert (control[TAPE_INTENT], control[TAPE_COUNT]) == (3, 0)
    commit(control, TAPE_COUNT, 3)
    assert (control[TAPE_INTENT], control[TAPE_COUNT]) == (3, 3)


def test_the_intent_never_goes_back(control: Any) -> None:
    """A writer died with five rows announced; its successor writes fewer, because the record was set aside.

    The rows of the lap before that the dead one overwrote are gone for ever, so nobody may trust them.
    """
    announce(control, TAPE_INTENT, 105)
    announce(control, TAPE_INTENT, 101)
    assert control[TAPE_INTENT] == 105
    commit(control, TAPE_COUNT, 101)
    announce(control, TAPE_INTENT, 106)
    assert control[TAPE_INTENT] == 106


def test_a_successor_learns_the_newest_sequence_from_the_newest_row() -> None:
    rows = np.zeros(4, layout.TRADE)
    assert through(rows, 0) == 0
    for count in range(1, 10):
        rows[(count - 1) % 4]["sequence"] = 100 + count
        assert through(rows, count) == 100 + count


@pytest.mark.parametrize("pause", [0, 40])
def test_a_reader_beside_a_writer_sees_no_torn_row_and_counts_every_lost_one(pause: int) -> None:
    """The first writer never pauses and laps the reader again and again; the second leaves it most of the rows."""
    counts = np.zeros(stress.COUNTS, np.int64)
    copy = np.zeros(layout.TRADE.itemsize // 8, np.int64)
    with shared_folder() as folder:
        regions = layout.book_regions(4, 4, stress.ROWS, 16)
        create(folder / stress.BOOK, Kind.BOOK, regions, generation=GENERATION).close()
        flags = make_flags(folder)
        with running("tape", folder, flags, pause):
            book = attach(folder / stress.BOOK, Kind.BOOK, generation=GENERATION)
            control, rows = book.array("control").view(np.int64), book.array("tape").view(np.int64)
            stress.read(control, rows, copy, counts, 0)  # compiled before the race begins
            flags[GO] = 1
            while counts[stress.SEEN] < LEAST_SEEN or control[TAPE_COUNT] < LEAST_LAPS * stress.ROWS:
                stress.read(control, rows, copy, counts, TRIES_AT_ONCE)
        written = int(control[TAPE_COUNT])
        while counts[stress.NEXT] < written:
            stress.read(control, rows, copy, counts, stress.ROWS)
    print(f"{written:,} rows, {written // stress.ROWS:,} laps: {counts[1:3].tolist()} seen and lost")
    assert counts[stress.TORN] == 0
    assert counts[stress.SEEN] + counts[stress.LOST] == written
    if pause == 0:
        assert counts[stress.LOST] > 0, "the reader was never lapped: nothing was tested"
