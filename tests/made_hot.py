"""A file of hot bars whose rows the test chooses, written as a worker and a keeper would."""

from pathlib import Path

import numpy as np

from shm import bar_rows, layout
from shm.layout import BarFlag, Kind
from shm.segment import create
from shm.timeframe import parse
from shm.values import Scale
from tests.made_bars import QUARTERS, Rows


class MadeHot:
    """One timeframe of one instrument; each `append` is a commit."""

    def __init__(
        self, folder: Path, timeframe: str = "1hr", size: int = 64, symbol: str = "MNQ", scale: Scale = QUARTERS
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "hot"
        self.segment = create(self.path, Kind.BARS, layout.bars_regions(1, size), generation=1, symbol=symbol)
        words = self.segment.array("control")[layout.BARS_SCALE : layout.BARS_SCALE_CHECKSUM + 1]
        words[:] = [*scale, bar_rows.scale_checksum(scale)]
        row = self.segment.array("frames")[0]
        row["unit"], row["amount"] = parse(timeframe)
        row["rows"] = self._size = size
        bar_rows.seal_frames(self.segment.array("frames"))
        self.append(np.zeros(0, layout.BAR))

    @property
    def sealed_to(self) -> int:
        return int(self.segment.array("control")[layout.sealed_line(0)])

    @sealed_to.setter
    def sealed_to(self, number: int) -> None:
        self.segment.array("control")[layout.sealed_line(0)] = number

    def append(self, rows: Rows, forming: Rows | None = None) -> None:
        """Closed rows, whose numbers go on, and the bars that form after them."""
        pair = self.segment.array("slots")[0]
        slot = np.zeros(1, layout.FORMING)
        number = int(pair["begin"].max()) + 1
        slot["begin"] = slot["end"] = number
        slot["count"] = rows["number"][-1] + 1 if len(rows) else pair["count"].max()
        sealed = rows.copy()
        sealed["checksum"] = bar_rows.checksums(sealed.view(np.int64).reshape(-1, bar_rows.BAR_WORDS)[:, :-1]).view(
            np.uint64
        )
        self.segment.array("rows")[rows["number"] % self._size] = sealed
        if forming is not None:
            slot["bars"][0, : len(forming)] = forming
            slot["bars"]["flags"][0, : len(forming)] |= int(BarFlag.FORMING)
        slot["checksum"] = bar_rows.checksums(slot.view(np.int64).reshape(1, -1)[:, :-2])
        pair[number & 1] = slot[0]

    def tell_hours(self, rows: Rows) -> None:
        slot = np.zeros(1, layout.SESSIONS)
        slot["begin"] = slot["end"] = 1
        slot["count"] = len(rows)
        slot["rows"][0, : len(rows)] = rows
        slot["checksum"] = bar_rows.seal_sessions(slot)
        self.segment.array("sessions")[1] = slot[0]
