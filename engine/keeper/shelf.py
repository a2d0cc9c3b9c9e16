"""One timeframe of one instrument: rows go from the hot ring into the store before the ring is full.

The order is what makes every row be there once, whatever is killed: the hot file is synced, so that after a power loss
it is not older than what was sealed of it; the rows are sealed; then the worker is told that it may overwrite them.
"""

import logging
from collections.abc import Iterator

import numpy as np

from shm.layout import BARS_FULL, Rows
from shm.sealed import MAX_FILE_ROWS

from .disk import Disk
from .hot import Hot
from .repairs import Repairs
from .store import Store

_log = logging.getLogger(__name__)


def due(sealed: int, end: int, size: int) -> int:
    """The number that is to be sealed to, of a ring of `size` rows with those from `sealed` to `end` in it: half of
    them when it is full."""
    full = (end - sealed) * BARS_FULL[1] >= size * BARS_FULL[0]
    return sealed + size // 2 if full else sealed


def runs(rows: Rows) -> Iterator[Rows]:
    """The rows in stretches whose numbers follow one another, none longer than a file may be."""
    cuts = np.flatnonzero(np.diff(rows["number"]) != 1) + 1
    for stretch in np.split(rows, cuts):
        yield from (stretch[at : at + MAX_FILE_ROWS] for at in range(0, len(stretch), MAX_FILE_ROWS))


def seal_runs(store: Store, rows: Rows, wall_ns: int) -> tuple[int, int]:
    """Seal rows, by number, of which some may be lost and some sealed before: how many rows now, in how many files."""
    fresh = rows[rows["number"] >= store.sealed_through()]
    stretches = list(runs(fresh))
    for stretch in stretches:
        store.seal(stretch, wall_ns)
    return len(fresh), len(stretches)


class Shelf:
    """Timeframe `t` of a mapped file, and where its sealed bars lie."""

    def __init__(self, hot: Hot, t: int, store: Store, repairs: Repairs | None, disk: Disk) -> None:
        """`repairs`: of the same, if the venue can be asked for such bars.

        What was sealed and not yet told to the worker, because the keeper ended between, is told now.
        """
        self.store = store
        self.repairs = repairs
        self._hot = hot
        self._t = t
        self._disk = disk
        hot.set_sealed_to(t, store.sealed_through())

    def seal(self, now_wall_ns: int) -> tuple[int, int]:
        """Seal the oldest half if the ring is nearly full: how many rows, in how many files. Doubts are noted before.

        Raises OSError; what was not sealed then stays hot.
        """
        sealed = self._hot.sealed_to(self._t)
        end = self.repairs.look() if self.repairs else self._hot.slot(self._t).end
        to = due(sealed, end, self._hot.size(self._t))
        if to == sealed:
            return 0, 0
        rows = self._hot.rows(self._t, sealed, to)
        if len(rows) < to - sealed:
            name = self.store.subject.timeframe.name
            _log.error("%s: %d damaged rows of its %s bars are lost", self._hot.path, to - sealed - len(rows), name)
        self._disk.sync(self._hot.path)
        sealed_now = seal_runs(self.store, rows, now_wall_ns)
        self._hot.set_sealed_to(self._t, to)
        return sealed_now
