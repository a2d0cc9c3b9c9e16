"""One number over what a replay came to: books, trades and bars of all its instruments.

The segments are mapped while the engine runs and read after it has ended: a worker that ends in order first empties
its ring and then writes a last checkpoint, and what is mapped outlives the file's name. Bars are read from the data
folder, as any reader reads them.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from shm import layout, segment
from shm.bars import Bars
from shm.layout import Kind

from .config import SymbolSettings

_OF_THE_ROW = ("number", "sequence", "revision", "spare")  # where it lies, and not what the bar is


class Unfinished(Exception):
    """A worker did not come to the end of its ring, or it has lost bars, and which it loses is chance."""


class Ended:
    """Ring and book of one instrument, to be read even when they are gone."""

    def __init__(self, here: Path, settings: SymbolSettings) -> None:
        """`here`: the generation's folder. Raises LayoutError, FileNotFoundError."""
        symbol = settings.symbol
        self.settings = settings
        self._words = segment.attach(here / f"{symbol}.ring", Kind.RING, symbol=symbol).array("words")
        self._slots = segment.attach(here / f"{symbol}.book", Kind.BOOK, symbol=symbol).array("slots")

    @property
    def played(self) -> int:
        """The position to which records were put in."""
        return int(self._words[layout.TAIL])

    @property
    def released(self) -> int:
        """The position from which a worker that is started now goes on."""
        return int(self._words[layout.HEAD])

    @property
    def wall_ns(self) -> int:
        """The time of day that the newest checkpoint is of; 0 before the first."""
        state = self._state()
        return int(state["wall_ns"]) if state is not None else 0

    def digests(self) -> tuple[int, int]:
        """Of book and tape at the end. Raises Unfinished if they are not of the end of the ring."""
        state = self._state()
        if state is None or int(state["position"]) != int(self._words[layout.TAIL]):
            raise Unfinished(f"the worker of {self.settings.symbol} was ended before it came to the end: play it again")
        return int(state["book_digest"]), int(state["tape_digest"])

    def _state(self) -> Any:
        """That of the newest whole slot; None if there is none, or while both are being written."""
        slots = self._slots.copy()
        whole = slots[(slots["begin"] == slots["end"]) & (slots["end"] > 0)]
        return whole[np.argmax(whole["end"])]["state"] if len(whole) else None


def digest(ended: Iterable[Ended], data_folder: Path) -> str:
    """32 hex digits. Raises Unfinished, LayoutError."""
    made = hashlib.blake2b(digest_size=16)
    for each in sorted(ended, key=lambda one: one.settings.symbol):
        symbol = each.settings.symbol
        made.update(f"{symbol} {each.digests()}\n".encode())
        for name in each.settings.timeframes:
            bars = Bars(data_folder, symbol, name)
            if bars.lost:
                raise Unfinished(
                    f"{bars.lost:,} {name} bars of {symbol} are lost, because one record closed more of them than"
                    f" there was room for: raise hot_rows in the file of {symbol}, and play it again"
                )
            forming = bars.forming()
            kept = [name for name in forming.dtype.names or () if name not in _OF_THE_ROW]
            made.update(f"{symbol} {name} {forming[kept].tolist()}\n".encode())
            closed = bars.to_polars()
            made.update(closed.drop(_OF_THE_ROW, strict=False).write_csv().encode())
    return made.hexdigest()
