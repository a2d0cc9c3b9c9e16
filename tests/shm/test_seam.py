"""Where the journal ends and memory goes on: when they meet, what of memory is new, and where rows are missing."""

import numpy as np

from shm.errors import Hole
from shm.layout import TRADE
from shm.past_rows import PAST_TRADE, Part, PastRows, Through
from shm.seam import Kept, longer
from shm.values import Scale

SCALE = Scale(2, 25, 0, 1)
HERE = (7, 1)
AHEAD_NS = 1000  # the time of day less the uptime


def kept(*sequences: int, overwritten: int = 0, stream: tuple[int, int] = HERE) -> Kept:
    rows = np.zeros(len(sequences), TRADE)
    rows["sequence"] = rows["recv_ns"] = sequences
    return Kept(stream, "tape", rows, overwritten, SCALE, AHEAD_NS)


def past(*sequences: int, through: int | None = None, holes: tuple[Hole, ...] = ()) -> PastRows:
    rows = np.zeros(len(sequences), PAST_TRADE)
    rows["sequence"] = sequences
    last = sequences[-1] if through is None else through
    return PastRows([Part(SCALE, rows)], list(holes), Through(HERE, last, last + AHEAD_NS))


def sequences(found: PastRows) -> list[int]:
    return [int(number) for part in found.parts for number in part.rows["sequence"]]


def test_they_meet_if_the_oldest_row_is_no_newer_than_the_journals_end() -> None:
    at_9 = Through(HERE, 9, 0)
    assert kept(9, 10, overwritten=5).meets(at_9)
    assert kept(3, 4, overwritten=5).meets(at_9)
    assert not kept(10, 11, overwritten=5).meets(at_9)
    assert not kept(overwritten=5).meets(at_9)  # all of it was overwritten while it was copied


def test_a_ring_from_which_nothing_is_gone_meets_a_journal_of_the_same_making_only() -> None:
    assert kept(12).meets(Through(HERE, 9, 0))
    assert kept().meets(Through(HERE, 9, 0))
    assert not kept(12).meets(Through((7, 2), 9, 0))
    assert not kept(12).meets(Through((6, 1), 9, 0))
    assert not kept(12).meets(Through(HERE, 0, 0))


def test_what_the_journal_has_not_is_new_if_it_is_late_enough() -> None:
    scale, rows = kept(8, 9, 9, 10, 11).part(Through(HERE, 9, 0), 0)
    assert scale == SCALE
    assert rows["sequence"].tolist() == [10, 11]
    assert rows["wall_ns"].tolist() == [10 + AHEAD_NS, 11 + AHEAD_NS]
    assert kept(10, 11).part(Through(HERE, 9, 0), 11 + AHEAD_NS).rows["sequence"].tolist() == [11]


def test_a_longer_journal_gives_no_row_and_no_hole_twice() -> None:
    open_one, closed = Hole(5 + AHEAD_NS, 10**9), Hole(1, 2)
    first = past(1, 2, 3, through=5, holes=(closed, open_one))
    found = longer(first, past(2, 3, 6, 7, holes=(closed, Hole(5 + AHEAD_NS, 6 + AHEAD_NS))))
    assert sequences(found) == [1, 2, 3, 6, 7]
    assert found.holes == [closed, Hole(5 + AHEAD_NS, 6 + AHEAD_NS)]
    assert found.through.sequence == 7
    assert longer(first, past(2, 3, through=5)) is first


def test_a_hole_at_the_journals_end_is_filled_by_memory_and_others_are_not() -> None:
    inside, at_end = Hole(1, 2), Hole(5 + AHEAD_NS, 10**9)
    found = past(3, through=5, holes=(inside, at_end))
    assert kept(5, 6, overwritten=1).holes(found, 0, 10**6) == [inside]
    assert kept(8, overwritten=1).holes(found, 0, 10**6) == [inside, Hole(5 + AHEAD_NS, 8 + AHEAD_NS)]
    assert kept(overwritten=1).holes(found, 0, 10**6) == [inside, Hole(5 + AHEAD_NS, 10**6)]
    assert kept(8, overwritten=1).holes(past(3), 9 + AHEAD_NS, 10**6) == []  # asked for from later on
