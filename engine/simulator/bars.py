"""Bars: one-second ones of what was sent, and longer ones of those. Prices are ticks, times seconds of the epoch.

A bar is a row of six int64: when it begins, open, high, low, close, volume. Every print that was sent counts, whether
or not a client was subscribed, at the second of the stamp that it was sent with. A second without a print has no bar.
"""

from typing import Final

import numpy as np

from shm.timeframe import Unit

from .flow import Flow, Ints, Kind
from .truth import LOG_ROWS, StampLog

COLUMNS = 6
START, OPEN, HIGH, LOW, CLOSE, VOLUME = range(COLUMNS)
KEPT_SECONDS = 1 << 18  # three days, if every second has a print; then the older half is forgotten
_FIRST_ROOM = 1 << 10
_WEEK_SHIFT_S = 3 * 86_400  # the epoch was a Thursday, weeks begin on Mondays


UNITS: Final = tuple(unit for unit in Unit if unit <= Unit.MONTH)  # fact sheet 4.3, without 0 Unspecified and 7 Tick
_SECONDS = {Unit.SECOND: 1, Unit.MINUTE: 60, Unit.HOUR: 3_600, Unit.DAY: 86_400, Unit.WEEK: 604_800}


def opening_ticks(flow: Flow) -> int:
    """The price at which a flow begins: its best bid, else its first print, else where generated flow would."""
    if len(flow.opening_bids):
        return int(flow.opening_bids[0, 0])
    trades = flow.records[flow.records["kind"] == Kind.TRADES]
    return int(flow.entries["price"][trades["first"][0]]) if len(trades) else flow.contract.middle_ticks


def begins(seconds: Ints, unit: Unit, number: int) -> tuple[Ints, Ints]:
    """Where the bar of each second begins and ends. Days are UTC's, months the calendar's counted from 1970."""
    if unit is Unit.MONTH:
        months = seconds.astype("M8[s]").astype("M8[M]").astype(np.int64) // number * number
        first, after = months.astype("M8[M]"), (months + number).astype("M8[M]")
        return first.astype("M8[s]").astype(np.int64), after.astype("M8[s]").astype(np.int64)
    width = _SECONDS[unit] * number
    shift = _WEEK_SHIFT_S if unit is Unit.WEEK else 0
    first = (seconds + shift) // width * width - shift
    return first, first + width


def joined(bars: Ints, starts: Ints) -> Ints:
    """Bars in order of time made into longer ones: those with equal `starts` become one."""
    if not len(bars):
        return bars
    firsts = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    made = np.empty((len(firsts), COLUMNS), np.int64)
    made[:, START] = starts[firsts]
    made[:, OPEN] = bars[firsts, OPEN]
    made[:, HIGH] = np.maximum.reduceat(bars[:, HIGH], firsts)
    made[:, LOW] = np.minimum.reduceat(bars[:, LOW], firsts)
    made[:, CLOSE] = bars[np.append(firsts[1:], len(bars)) - 1, CLOSE]
    made[:, VOLUME] = np.add.reduceat(bars[:, VOLUME], firsts)
    return made


def of_prints(seconds: Ints, ticks: Ints, sizes: Ints) -> Ints:
    """One-second bars of prints in order of time."""
    return joined(np.column_stack((seconds, ticks, ticks, ticks, ticks, sizes)), seconds)


class SentBars:
    """The one-second bars of one contract. `row`: log rows below it are in them; `take` more before the log's ring
    overwrites them."""

    def __init__(self, flow: Flow) -> None:
        self.row = 0
        self._bars = np.empty((_FIRST_ROOM, COLUMNS), np.int64)
        self._n = 0
        self._is_trades = flow.records["kind"] == Kind.TRADES
        self._firsts = np.ascontiguousarray(flow.records["first"])
        self._counts = np.ascontiguousarray(flow.records["entries"])
        self._ticks = np.ascontiguousarray(flow.entries["price"])
        self._sizes = np.ascontiguousarray(flow.entries["size"])

    def take(self, log: StampLog) -> None:
        """Count the prints of all rows that are new in the log; at most LOG_ROWS are."""
        rows = np.arange(self.row, log.count) % LOG_ROWS
        self.row = log.count
        records = log.records[rows]
        keep = records >= 0  # the others are snapshots
        keep[keep] = self._is_trades[records[keep]]
        records = records[keep]
        counts = self._counts[records]
        offsets = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        entries = np.repeat(self._firsts[records], counts) + offsets
        seconds = np.repeat(log.stamps[rows[keep]] // 1_000_000_000, counts)
        self._add(of_prints(seconds, self._ticks[entries], self._sizes[entries]))

    def _add(self, new: Ints) -> None:
        if self._n and len(new) and new[0, START] == self._bars[self._n - 1, START]:
            self._n -= 1
            both = np.vstack((self._bars[self._n : self._n + 1], new[:1]))
            new = np.vstack((joined(both, both[:, START]), new[1:]))
        if self._n + len(new) > KEPT_SECONDS:
            half = self._n // 2
            self._bars[: self._n - half] = self._bars[half : self._n].copy()
            self._n -= half
        while self._n + len(new) > len(self._bars):
            self._bars = np.vstack((self._bars, np.empty_like(self._bars)))
        self._bars[self._n : self._n + len(new)] = new
        self._n += len(new)

    def since(self, second: int) -> Ints:
        """A copy of the bars from that second on."""
        first = int(np.searchsorted(self._bars[: self._n, START], second))
        return self._bars[first : self._n].copy()
