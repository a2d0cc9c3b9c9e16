"""What a rerun put on its tape, or among its quotes, since somebody last looked; and what makes prices of it."""

import numpy as np

from shm.layout import Rows
from shm.values import Scale

from .pump import Memory


class Tail:
    """The rows of a broadcast ring that came since the last look."""

    def __init__(self, rows: str, count: int) -> None:
        """`rows`: the ring's name in a Memory; `count`: the index of its control word."""
        self._rows = rows
        self._count = count
        self._next = 0

    def take(self, memory: Memory) -> Rows:
        """A copy; whoever looks too seldom gets newer rows in the place of those that were overwritten."""
        rows, count = getattr(memory, self._rows), int(memory.control[self._count])
        taken: Rows = rows[np.arange(self._next, count) & (len(rows) - 1)]
        self._next = count
        return taken


def scale_of(memory: Memory) -> Scale:
    """The increments that hold now."""
    return Scale(*(int(memory.state[field][0]) for field in Scale._fields))
