"""A broadcast ring of a mapped segment from the reader's side: copy rows, then ask whether they were still whole.

A reader joins anywhere and the writer knows nothing of it. Row n lies at n mod rows; before the writer puts row
n + rows there it raises `intent` above n + rows. So a reader copies rows, then loads `intent`, and of what it
copied believes only rows that are at least `intent` - rows. What it was too slow for is not an error: it is counted,
exactly, because rows are numbered without a hole.
"""

import numpy as np

from .errors import Overrun
from .layout import Region, Rows
from .page import CONTROL, MAX_TRIES, fence


class Broadcast:
    """One ring of one mapping, and how far its reader has come in it: `next`, and `lost` on the way there."""

    __slots__ = ("_count", "_intent", "_memory", "_name", "_region", "_words", "lost", "next")

    def __init__(self, name: str, memory: memoryview, region: Region, intent: int) -> None:
        """`name`: what a complaint calls it. `intent`: the index of that word in the control words; `count` is next.

        It begins behind what is there now.
        """
        self._name = name
        self._memory = memory
        self._words = memory.cast("q")
        self._region = region
        self._intent = CONTROL + intent
        self._count = self._intent + 1
        self.next: int = self._words[self._count]
        self.lost = 0

    @property
    def left(self) -> int:
        """Rows that were written and not taken yet."""
        count: int = self._words[self._count]
        return count - self.next

    def take(self, max_rows: int) -> Rows:
        """Rows from `next` on, which moves."""
        end: int = self._words[self._count]
        fence()
        first = max(self.next, end - self._region.shape[0])  # what lies before that is gone for certain
        last = min(end, first + max_rows)
        rows, lapped = self._copy(first, last)
        self.lost += first - self.next + lapped
        self.next = last
        return rows

    def last(self, count: int) -> Rows:
        """The newest rows, at most `count`, oldest first; moves nothing. Overrun if every copy was lapped whole."""
        for _ in range(MAX_TRIES):
            end: int = self._words[self._count]
            fence()
            first = max(end - min(count, self._region.shape[0]), 0)
            rows, lapped = self._copy(first, end)
            if lapped == 0 or lapped < end - first:
                return rows
        raise Overrun(f"{self._name} is overwritten faster than it can be copied; try again")

    def _copy(self, first: int, last: int) -> tuple[Rows, int]:
        """Rows `first` to `last` that were whole, and how many at the front were not."""
        copied = copy_rows(self._memory, self._region, first, last)
        fence()
        lapped = min(max(self._words[self._intent] - self._region.shape[0] - first, 0), last - first)
        rows: Rows = np.frombuffer(copied, self._region.dtype)
        return rows[lapped:], lapped


def copy_rows(memory: memoryview, region: Region, first: int, last: int) -> bytes:
    """Rows `first` to `last` (exclusive, at most a whole ring of them) of a broadcast ring, unchecked."""
    size = region.dtype.itemsize
    total = region.shape[0]
    start = first % total
    end = start + last - first
    base = region.offset
    if end <= total:
        return memory[base + start * size : base + end * size].tobytes()
    wrapped = memory[base : base + (end - total) * size].tobytes()
    return memory[base + start * size : base + total * size].tobytes() + wrapped
