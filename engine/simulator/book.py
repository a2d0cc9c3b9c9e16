"""What a depth entry does to a book: the rules of the fact sheet, section 8.4, column "our rule".

    1 Ask, 2 Bid            set the level; size 0 removes it
    3 BestAsk, 4 BestBid    the same, and nothing better may remain on that side
    9, 10 NewBest…          the same, and the other side loses what the new best price reaches
    6 Reset                 both sides empty
    0, 5, 7, 8, 11          no change

They stand here on two dicts, to rebuild one state from a checkpoint in any process without numba; rules.py has them
as kernels, which make the checkpoints of a whole flow in milliseconds. A test holds the two together.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .flow import Ints, Kind, Rows

CHECKPOINT_RECORDS = 32


class Checkpoints(NamedTuple):
    """Whole books along a flow, one before each `CHECKPOINT_RECORDS`-th record and one after the last.

    starts: (c + 1, 2) int64; checkpoint j has its bids in levels[starts[j, 0] : starts[j, 1]] and its asks up to
    starts[j + 1, 0], best first. levels: (n, 2) int64 of (ticks, size).
    """

    starts: Ints
    levels: Ints

    def book(self, checkpoint: int) -> tuple[Ints, Ints]:
        bids, asks = self.starts[checkpoint]
        return self.levels[bids:asks], self.levels[asks : self.starts[checkpoint + 1, 0]]

    @property
    def most_levels(self) -> int:
        """Of both sides together, in the largest of these books."""
        return int(np.diff(self.starts[:, 0]).max())


def apply(bids: dict[int, int], asks: dict[int, int], entries: Iterable[tuple[int, int, int]]) -> None:
    """Depth entries (dom, ticks, size) on two dicts of size by ticks."""
    for dom, ticks, size in entries:
        if dom == 6:
            bids.clear()
            asks.clear()
            continue
        if dom in (2, 4, 9):
            own, other, is_bid = bids, asks, True
        elif dom in (1, 3, 10):
            own, other, is_bid = asks, bids, False
        else:
            continue
        if size:
            own[ticks] = size
        else:
            own.pop(ticks, None)
        if dom > 2:
            best, worst = (max, min) if is_bid else (min, max)
            while own and (top := best(own)) != ticks and best(top, ticks) == top:
                del own[top]
            while dom > 4 and other and best(top := worst(other), ticks) == ticks:
                del other[top]


def book_after(records: Rows, entries: Rows, marks: Checkpoints, record: int) -> tuple[Ints, Ints]:
    """The book after record `record` of a flow (-1: the opening book): (n, 2) int64 of (ticks, size), best first."""
    checkpoint = (record + 1) // CHECKPOINT_RECORDS
    bid_levels, ask_levels = marks.book(checkpoint)
    todo = records[checkpoint * CHECKPOINT_RECORDS : record + 1]
    depth = todo[todo["kind"] == Kind.DEPTH]
    if not len(depth):
        return bid_levels.copy(), ask_levels.copy()
    bids: dict[int, int] = dict(bid_levels.tolist())
    asks: dict[int, int] = dict(ask_levels.tolist())
    for first, count in zip(depth["first"].tolist(), depth["entries"].tolist(), strict=True):
        apply(bids, asks, entries[first : first + count].tolist())
    return (
        np.array(sorted(bids.items(), reverse=True), np.int64).reshape(-1, 2),
        np.array(sorted(asks.items()), np.int64).reshape(-1, 2),
    )
