"""What a record did to a book: the levels that are other than they were, found by walking both copies side by side.

Levels of a side are sorted, so one walk finds them all. While a book is not synced, nothing of it is known: when that
begins it is cleared, and what it has when it is synced again are changes.
"""

from typing import Final, NamedTuple

import numpy as np

from shm.compiled import kernel
from shm.layout import LEVEL, Rows

BID, ASK = 0, 1

CHANGE = np.dtype([("side", "<i8"), ("price", "<i8"), ("size", "<i8")])  # ticks, units; size 0: the level is gone
_ORDER: Final = (1, -1)  # best last: bids by rising price, asks by falling


@kernel
def compare(
    before: Rows, n_before: int, after: Rows, n_after: int, order: int, side: int, changes: Rows, at: int
) -> int:
    """Put the changes of one side into `changes` from row `at` on; the row behind the last."""
    i = 0
    j = 0
    while i < n_before or j < n_after:
        if j == n_after or (i < n_before and before[i].price * order < after[j].price * order):
            changes[at].side = side
            changes[at].price = before[i].price
            changes[at].size = 0
            at += 1
            i += 1
        elif i == n_before or after[j].price * order < before[i].price * order:
            changes[at].side = side
            changes[at].price = after[j].price
            changes[at].size = after[j].size
            at += 1
            j += 1
        else:
            if before[i].size != after[j].size:
                changes[at].side = side
                changes[at].price = after[j].price
                changes[at].size = after[j].size
                at += 1
            i += 1
            j += 1
    return at


class Changed(NamedTuple):
    """`cleared`: all that was known is void, and there are no rows; else CHANGE rows, bids first, the best last."""

    cleared: bool
    rows: Rows


class Watched:
    """A book's levels as they were when it was last looked at."""

    def __init__(self, max_depth: int) -> None:
        self._levels = np.zeros((2, max_depth), LEVEL)
        self._counts = [0, 0]
        self._synced = False
        self._changes = np.zeros(4 * max_depth, CHANGE)

    def look(self, state: Rows, levels: Rows) -> Changed | None:
        """What is other than at the last look; None if nothing is, or nothing is known. STATE[1], LEVEL[2, …]."""
        before, self._synced = self._synced, bool(state["synced"][0])
        if not self._synced:
            self._counts = [0, 0]
            return Changed(True, self._changes[:0]) if before else None
        at = 0
        for side, name in enumerate(("n_bids", "n_asks")):
            count = int(state[name][0])
            at = compare(
                *(self._levels[side], self._counts[side], levels[side], count, _ORDER[side], side, self._changes, at)
            )
            self._levels[side, :count] = levels[side, :count]
            self._counts[side] = count
        return Changed(False, self._changes[:at].copy()) if at else None
