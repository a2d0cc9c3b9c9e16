"""What traded before the simulator started: made up, the same for the same contract, price and time.

A print every STEP_S seconds, each a tick above or below the one before or at its price, the last one at the price at
which the flow opens: so the bars of the past run into those of what is sent. Nothing is older than DAYS.
"""

import hashlib

import numpy as np

from .bars import of_prints
from .flow import Ints

STEP_S = 20
DAYS = 120
_PRINTS = DAYS * 86_400 // STEP_S
_MAX_SIZE = 12


class Past:
    """The prints of one contract before `start_s`, seconds of the epoch. Made when first asked for."""

    def __init__(self, symbol: str, opening_ticks: int, start_s: int) -> None:
        self._symbol = symbol
        self._opening_ticks = opening_ticks
        self._end_s = start_s // STEP_S * STEP_S  # the last print is one step before it
        self._prints: Ints | None = None

    def since(self, second: int) -> Ints:
        """One-second bars from that second on."""
        first_s = self._end_s - _PRINTS * STEP_S
        skipped = min(max(0, -(-(second - first_s) // STEP_S)), _PRINTS)
        if skipped == _PRINTS:
            return np.empty((0, 6), np.int64)
        if self._prints is None:
            self._prints = self._made()
        ticks, sizes = self._prints[:, skipped:]
        seconds = np.arange(skipped, _PRINTS, dtype=np.int64) * STEP_S + first_s
        return of_prints(seconds, ticks, sizes)

    def _made(self) -> Ints:
        """(2, n) int64: ticks and sizes."""
        digest = hashlib.sha256(f"past/{self._symbol}".encode()).digest()
        random = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))
        walk = np.cumsum(random.integers(-1, 2, _PRINTS))
        return np.stack((self._opening_ticks + walk - walk[-1], random.integers(1, _MAX_SIZE + 1, _PRINTS)))
