"""The worker's side of a hot file, in plain Python: rows go in as they are, and a slot says how many are closed."""

from pathlib import Path

import numpy as np

from shm import bar_rows, layout
from shm.bars import FILE_NAME
from shm.layout import Kind, Rows
from shm.segment import create
from shm.timeframe import parse
from shm.values import Scale
from tests.made_bars import QUARTERS


class HotWriter:
    """A hot file of some timeframes, each a ring of `size` rows, numbered from `first` on."""

    def __init__(
        self, data: Path, symbol: str, timeframes: str, size: int = 256, scale: Scale = QUARTERS, first: int = 0
    ) -> None:
        self.folder = data / "bars" / symbol
        self.folder.mkdir(parents=True, exist_ok=True)
        self.size = size
        names = timeframes.split()
        regions = layout.bars_regions(len(names), len(names) * size)
        self._segment = create(self.folder / FILE_NAME, Kind.BARS, regions, generation=1, symbol=symbol)
        for t, name in enumerate(names):
            frame = self._segment.array("frames")[t]
            frame["unit"], frame["amount"] = parse(name)
            frame["first"], frame["rows"], frame["first_number"] = t * size, size, first
            self._segment.array("control")[layout.sealed_line(t)] = first
        bar_rows.seal_frames(self._segment.array("frames"))
        self.rescale(scale)
        self._begun = [0] * len(names)

    def rescale(self, scale: Scale) -> None:
        words = self._segment.array("control")[layout.BARS_SCALE : layout.BARS_SCALE_CHECKSUM + 1]
        words[:] = [*scale, bar_rows.scale_checksum(scale)]

    def damage(self, number: int) -> None:
        """A bit of that row of the first timeframe is another one."""
        self._segment.array("rows")["volume"][number % self.size] ^= 1

    def damage_slots(self, t: int = 0) -> None:
        """Neither copy of what timeframe `t` is can be believed."""
        self._segment.array("slots")["count"][t] ^= 1

    def set_aside(self, number: int) -> None:
        """As a worker does before it makes another one."""
        self._segment.path.rename(self.folder / f"hot.aside-{number}")

    def forget(self, count: int, t: int = 0) -> None:
        """A power cut: `count` rows are closed, and what came after them is not known."""
        self._commit(t, count)

    def sealed_to(self, t: int = 0) -> int:
        return int(self._segment.array("control")[layout.sealed_line(t)])

    def put(self, rows: Rows, t: int = 0) -> None:
        """Closed rows, whose numbers follow those that are there."""
        sealed = rows.copy()
        words = sealed.view(np.int64).reshape(-1, bar_rows.BAR_WORDS)
        words[:, -1] = bar_rows.checksums(words[:, :-1])
        self._segment.array("rows")[t * self.size + sealed["number"] % self.size] = sealed
        self._commit(t, int(rows["number"][-1]) + 1)

    def room(self, end: int, t: int = 0) -> int:
        """How many rows can come after `end`."""
        return self.sealed_to(t) + self.size - end

    def _commit(self, t: int, count: int) -> None:
        self._begun[t] += 1
        slot = np.zeros(1, layout.FORMING)
        slot["begin"] = slot["end"] = self._begun[t]
        slot["count"] = count
        words = slot.view(np.int64).reshape(1, -1)
        slot["checksum"] = bar_rows.checksums(words[:, :-2])
        self._segment.array("slots")[t, self._begun[t] & 1] = slot[0]
