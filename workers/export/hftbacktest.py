"""The event format of hftbacktest (its `types.py`, version 2.4): one structured array, in an npz file as `data`.

Each event is one level or one trade, valid for both the exchange's side and ours. A depth event says what a level's
size is from now on. hftbacktest wants both stamps in order, and ours not before the exchange's: a venue stamp that is
earlier than one before, or later than the receipt, is moved to it. So is the receive time if the clock was set back.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np

from .changes import BID
from .moments import Moment

EVENT: Final = np.dtype(
    [
        ("ev", "<u8"),
        ("exch_ts", "<i8"),
        ("local_ts", "<i8"),
        ("px", "<f8"),
        ("qty", "<f8"),
        ("order_id", "<u8"),
        ("ival", "<i8"),
        ("fval", "<f8"),
    ]
)
DEPTH: Final = 1
TRADE: Final = 2
CLEAR: Final = 3
BUY: Final = 1 << 29
SELL: Final = 1 << 28
BOTH: Final = 1 << 31 | 1 << 30  # the exchange's side, and ours
PART_EVENTS: Final = 1 << 18


class Events:
    """`<SYMBOL>.npz` in a folder."""

    def __init__(self, folder: Path, symbol: str) -> None:
        self._path = folder / f"{symbol}.npz"
        self._building = self._path.with_name(f".{self._path.name}.tmp")
        self._rows: list[tuple[int, int, int, float, float, int, int, float]] = []
        self._parts: list[np.ndarray[tuple[int], np.dtype[np.void]]] = []
        self._exchange_ns = self._local_ns = 0

    def add(self, moment: Moment) -> None:
        """The events of one moment: its trades first, then what became of the book."""
        self._local_ns = max(self._local_ns, moment.wall_ns)
        for venue_ns, price, size, side in moment.trades[["venue_ns", "price", "size", "side"]].tolist():
            self._put(TRADE | (SELL if side else BUY), venue_ns, moment.scale.price(price), moment.scale.size(size))
        if moment.changed is not None:
            if moment.changed.cleared:
                for side_flag in (BUY, SELL):
                    self._put(CLEAR | side_flag, moment.venue_ns, math.nan, 0.0)  # up to no price: all of them
            for side, price, size in moment.changed.rows.tolist():
                flag = BUY if side == BID else SELL
                self._put(DEPTH | flag, moment.venue_ns, moment.scale.price(price), moment.scale.size(size))
        if len(self._rows) >= PART_EVENTS:
            self._keep()

    def finish(self) -> dict[str, int]:
        """Make the file; how many events it has. Without one there is no file. Raises OSError."""
        self._keep()
        data = np.concatenate([np.zeros(0, EVENT), *self._parts])
        if len(data):
            with self._building.open("wb") as file:
                np.savez_compressed(file, data=data)
            self._building.rename(self._path)
        return {"events": len(data)}

    def discard(self) -> None:
        """Leave nothing behind but files that were there before."""
        self._building.unlink(missing_ok=True)

    def _put(self, kind: int, venue_ns: int, price: float, size: float) -> None:
        self._exchange_ns = min(max(self._exchange_ns, venue_ns or self._local_ns), self._local_ns)
        self._rows.append((kind | BOTH, self._exchange_ns, self._local_ns, price, size, 0, 0, 0.0))

    def _keep(self) -> None:
        self._parts.append(np.array(self._rows, EVENT))
        self._rows = []
