"""The tape against the trades that were sent: print by print, in order, each exactly once.

Pure but for the truth's mapped log. What is missing is lost, unless it was on its way into a connection that ended:
no venue sends those again, so they are counted apart.
"""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from shm.layout import Rows

from .flow import Ints
from .truth import ContractTruth, UnknownStamp

Trade = tuple[int, int, int]  # ticks, size, aggressor


class Sent(NamedTuple):
    """A trade list in a log row. end: the row at which its subscription ended, or -1."""

    row: int
    end: int
    trades: list[Trade]


@dataclass(slots=True)
class PrintCounts:
    """compared: prints seen. lost: sent and not seen. wrong: never sent, or seen twice, or in another order.
    cut: sent shortly before a connection ended, with nothing seen behind them. unjudged: out of the truth's window
    before anyone asked."""

    compared: int = 0
    lost: int = 0
    wrong: int = 0
    cut: int = 0
    unjudged: int = 0


class Prints:
    """Where one instrument's tape has got to in the log of what was sent."""

    def __init__(self, truth: ContractTruth) -> None:
        self.counts = PrintCounts()
        self._truth = truth
        self._next_row = 0  # trades of log rows below it are accounted for

    def start_at(self, stamp_ns: int) -> None:
        """Leave out of account what was sent before the row of that stamp."""
        try:
            self._next_row = max(self._next_row, self._truth.row_of(stamp_ns))
        except UnknownStamp:
            self._next_row = max(self._next_row, self._truth.oldest_row)

    def judge(self, seen: Ints) -> None:
        """Judge new prints, whole records of them: (n, 4) int64 of stamp, ticks, size, aggressor, in tape order."""
        truth = self._truth
        if self._next_row < truth.oldest_row:
            kept = seen[:, 0] >= truth.oldest_ns
            self.counts.unjudged += len(seen) - int(np.count_nonzero(kept))
            seen = seen[kept]
            self._next_row = truth.oldest_row
        end_row = self._next_row
        for stamp_ns in seen[::-1, 0].tolist():  # the last one that is known: nearly always the first tried
            try:
                end_row = max(end_row, truth.row_of(stamp_ns) + 1)
                break
            except UnknownStamp:
                continue
        self._account(max(end_row, self._repeats_seen(seen)), seen)

    def _repeats_seen(self, seen: Ints) -> int:
        """The row behind the last list that was sent once more and seen once more; 0 if there is none."""
        end_row = 0
        due: Counter[int] = Counter()  # by the row that is repeated: prints to be seen before the next repetition's
        for row, first_row in self._truth.repeats(self._next_row):
            trades = len(self._truth.trades_sent(row, row + 1))
            due[first_row] += trades * (2 if first_row >= self._next_row and first_row not in due else 1)
            if np.count_nonzero(seen[:, 0] == self._truth.stamp_of(first_row)) >= due[first_row]:
                end_row = row + 1
        return end_row

    def finish(self) -> None:
        """All was read: what is still expected is lost."""
        self._next_row = max(self._next_row, self._truth.oldest_row)
        self._account(self._truth.rows, np.zeros((0, 4), np.int64))

    def _account(self, end_row: int, seen: Ints) -> None:
        """Settle all rows from `_next_row` to `end_row` with the prints seen."""
        intervals = np.array(self._truth.trade_intervals(), np.int64).reshape(-1, 3)
        expected = self._truth.trades_sent(self._next_row, end_row)
        which = np.searchsorted(intervals[:, 0], expected["row"], side="right") - 1
        delivered = which >= 0
        delivered[delivered] = expected["row"][delivered] < intervals[which[delivered], 1]
        expected, which = expected[delivered], which[delivered]
        self._next_row = end_row
        self.counts.compared += len(seen)
        fields = ("venue_ns", "price", "size", "side")
        if len(expected) != len(seen) or any(
            not np.array_equal(seen[:, i], expected[name]) for i, name in enumerate(fields)
        ):
            running = intervals[which, 2] != 0
            self._settle(expected, np.where(running, -1, intervals[which, 1]), seen)

    def _settle(self, expected: Rows, ends: Ints, seen: Ints) -> None:
        """Go through it record by record. ends: for each expected trade the row at which its interval ended, or -1."""
        counts = self.counts
        sent: dict[int, list[Sent]] = {}  # by stamp: a list that was sent once more has it twice
        for row, group in groupby(zip(expected.tolist(), ends.tolist(), strict=True), key=lambda pair: pair[0][0]):
            listed = list(group)
            trades = [(price, size, side) for (_, _, price, size, side), _ in listed]
            sent.setdefault(listed[0][0][1], []).append(Sent(row, listed[0][1], trades))
        seen_rows = [-1]
        for stamp_ns, prints_of in groupby(seen.tolist(), key=lambda row: int(row[0])):
            prints = [(price, size, side) for _, price, size, side in prints_of]
            wanted: list[Trade] = []
            while sent.get(stamp_ns) and len(wanted) < len(prints):
                first = sent[stamp_ns].pop(0)
                wanted += first.trades
                seen_rows.append(max(first.row, seen_rows[-1]))
            missing, extra = Counter(wanted) - Counter(prints), Counter(prints) - Counter(wanted)
            counts.lost += missing.total()
            counts.wrong += extra.total()
            if not missing and not extra:
                counts.wrong += sum(a != b for a, b in zip(wanted, prints, strict=True))
        for row, end, trades in (one for rest in sent.values() for one in rest):
            later = bisect_right(seen_rows, row)
            seen_behind = later < len(seen_rows) and seen_rows[later] < end
            if end >= 0 and not seen_behind:
                counts.cut += len(trades)
            else:
                counts.lost += len(trades)
