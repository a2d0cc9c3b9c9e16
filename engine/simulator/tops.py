"""The best bid and ask after every record of a flow, worked out once: what orders are held against.

It reads the flow and changes nothing of it.
"""

import numpy as np

from shm.compiled import allocating_kernel

from .flow import Flow, Ints
from .matching import Top
from .rules import BEST_ASK, BEST_BID, Columns, apply_record, columns, window


@allocating_kernel
def _walk(flow: Columns, bids: Ints, asks: Ints, tops: Ints, out: Ints) -> None:
    """Row 0 of `out` is before the first record, row r + 1 after record r: place and size of the bid, of the ask."""
    for row in range(len(flow.kinds) + 1):
        if row > 0:
            apply_record(flow, row - 1, bids, asks, tops)
        bid, ask = tops[BEST_BID], tops[BEST_ASK]
        out[row, 0], out[row, 2] = bid, ask
        out[row, 1] = bids[bid] if bid >= 0 else 0
        out[row, 3] = asks[ask] if ask < len(asks) else 0


def warm() -> None:
    """Compile what `Tops` needs: a client's first order may not make the sender wait for it."""
    none, one = np.zeros(0, np.int64), np.zeros(1, np.int64)
    _walk(Columns(none, none, none, none, none, none), one, one, np.zeros(4, np.int64), np.zeros((1, 4), np.int64))


class Tops:
    """One flow's. Memory: 32 bytes a record."""

    def __init__(self, flow: Flow) -> None:
        self._rows = np.empty((len(flow) + 1, 4), np.int64)
        placed, low, width = columns(flow)
        _walk(placed, *window(flow.opening_bids, flow.opening_asks, low, width), self._rows)
        self._rows[:, 0] += low
        self._rows[:, 2] += low

    def at(self, position: int) -> Top:
        """When `position` records were sent, over all loops."""
        row = (position - 1) % (len(self._rows) - 1) + 1 if position else 0
        return Top(*self._rows[row].tolist())

    def changes(self, begin: int, end: int) -> list[Top]:
        """The tops that differ from the one before each, after `begin` records up to `end` records sent.

        Of more than one loop only the last: the same tops would come again.
        """
        n = len(self._rows) - 1
        begin = max(begin, end - n)
        positions = np.arange(begin, end + 1)
        rows = self._rows[np.where(positions > 0, (positions - 1) % n + 1, 0)]
        differs = (rows[1:] != rows[:-1]).any(axis=1)
        return [Top(*row) for row in rows[1:][differs].tolist()]
