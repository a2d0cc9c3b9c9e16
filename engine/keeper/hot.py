"""The hot bars of an instrument as the keeper has them: rows to read, and of each timeframe one word to write.

The worker makes the file and may put another in its place at any time, so it is looked at anew each round.
"""

import os
from pathlib import Path

from shm.bars import FILE_NAME, HotBars, Slot
from shm.layout import Kind, Rows, sealed_line
from shm.segment import attach
from shm.timeframe import Timeframe
from shm.values import Scale


class Hot:
    """One mapped file."""

    def __init__(self, folder: Path, symbol: str) -> None:
        """`folder`: the instrument's. Raises LayoutError for what is no whole file of its bars, and FileNotFoundError
        where there is none yet, or where another one took its name meanwhile."""
        self.path = folder / FILE_NAME
        inode = os.stat(self.path).st_ino
        self._segment = attach(self.path, Kind.BARS, writable=True, symbol=symbol)
        self._bars = HotBars(self.path, symbol)
        if os.stat(self.path).st_ino != inode:
            raise FileNotFoundError(f"{self.path} was replaced while it was mapped")
        self._control = self._segment.array("control")
        self._frames = self._segment.array("frames")

    @property
    def timeframes(self) -> tuple[Timeframe, ...]:
        return self._bars.timeframes

    @property
    def replaced(self) -> bool:
        """Whether another file has its name now, or none."""
        return self._bars.replaced

    @property
    def scale(self) -> Scale:
        return self._bars.scale

    def size(self, t: int) -> int:
        """How many rows timeframe `t` has room for."""
        return int(self._frames[t]["rows"])

    def first(self, t: int) -> int:
        """The number of the oldest row of timeframe `t` that this file can have."""
        return int(self._frames[t]["first_number"])

    def slot(self, t: int) -> Slot:
        """As `HotBars.slot`, which says what it raises."""
        return self._bars.slot(t)

    def rows(self, t: int, first: int, last: int) -> Rows:
        """Closed rows of the numbers `first` to `last` (exclusive) that are there and whole."""
        return self._bars.rows(t, first, last)

    def sealed_to(self, t: int) -> int:
        return max(self._bars.sealed_to(t), self.first(t))

    def set_sealed_to(self, t: int, number: int) -> None:
        """Rows below `number` are on disk for good: the worker may overwrite them. It never goes back."""
        self._control[sealed_line(t)] = max(number, self.sealed_to(t))
