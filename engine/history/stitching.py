"""Bars of two makers made into one row of bars: no bar twice, none missing. Pure, on rows of layout.BAR.

A closed row is never rewritten: what changes a bar is a row of the same start with a higher revision, and of rows
with one start the one of the highest revision counts.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shm.layout import BarFlag
from shm.timeframe import Timeframe

from .page import Rows

_VALUES: Final = ("open", "high", "low", "close", "volume")
_KNOWN_BY_US: Final = ("buy_volume", "sell_volume", "trades", "notional")
_OPEN: Final = BarFlag.FORMING | BarFlag.SUSPECT  # what such a row says is not the last word


class Stitched(NamedTuple):
    """`rows` are to be appended, in order of time; `number`, `sequence` and `checksum` are for who appends them.

    added: bars that were not there. raised: bars that were there and get a higher revision.
    """

    rows: Rows
    added: int
    raised: int


def newest(rows: Rows) -> Rows:
    """Of each start the row that counts, in order of time; of equal revisions the later row."""
    order = np.lexsort((np.arange(len(rows)), rows["revision"], rows["start_ns"]))
    ordered: Rows = rows[order]
    if not len(ordered):
        return ordered
    last: Rows = ordered[np.append(ordered["start_ns"][1:] != ordered["start_ns"][:-1], True)]
    return last


def stitch(stored: Rows, fetched: Rows) -> Stitched:
    """What has to be appended to `stored`, of any order, so that it says what the venue says.

    `fetched` has each start once. A bar that agrees in prices and volume needs nothing, unless it is suspect or
    forming: then it is confirmed, and keeps its buy and sell volume, trades and notional, which the venue does not
    tell. One that differs gets the venue's values, with those four not known. A bar the venue does not have stays.
    """
    ours, theirs = newest(stored), fetched[np.argsort(fetched["start_ns"])]
    places = np.searchsorted(ours["start_ns"], theirs["start_ns"])
    known = np.zeros(len(theirs), np.bool_)
    below = places < len(ours)
    known[below] = ours["start_ns"][places[below]] == theirs["start_ns"][below]
    added = theirs[~known]

    before, raised = ours[places[known]], theirs[known].copy()
    agrees = np.ones(len(before), np.bool_)
    for name in _VALUES:
        agrees &= before[name] == raised[name]
    raised["revision"] = before["revision"] + 1
    raised["trading_day"], raised["end_ns"] = before["trading_day"], before["end_ns"]  # ours end with the session
    for name in _KNOWN_BY_US:
        raised[name] = np.where(agrees, before[name], raised[name])
    raised = raised[~agrees | ((before["flags"] & int(_OPEN)) != 0)]

    rows = np.concatenate((added, raised))
    rows["flags"] |= int(BarFlag.COMPLETE | BarFlag.REPAIRED)
    return Stitched(rows[np.argsort(rows["start_ns"], kind="stable")], len(added), len(raised))


def holes(
    rows: Rows, sessions: npt.NDArray[np.void], timeframe: Timeframe, told: Sequence[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """The times, half-open, in which the exchange was open and no closed, trusted bar lies; in order.

    rows: of any order. sessions: open_ns, close_ns, sorted by open_ns, not overlapping. told: times for which the
    venue has given all it has: a period without a trade has no bar there either, and is not a hole for ever. Bars of
    the clock have their holes widened to whole bars; two that touch are one.
    """
    ours = newest(rows)
    ours = ours[(ours["flags"] & int(_OPEN)) == 0]
    starts = np.concatenate((ours["start_ns"], np.array([start for start, _ in told], np.int64)))
    ends = np.concatenate((ours["end_ns"], np.array([end for _, end in told], np.int64)))
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order]) if len(order) else ends
    # Between what is covered lie the gaps; the first and the last have no end.
    far = np.iinfo(np.int64).max
    begins, stops = np.concatenate(([-far], ends)), np.concatenate((starts, [far]))
    is_gap = begins < stops
    begins, stops = begins[is_gap], stops[is_gap]

    length_ns = 1 if timeframe.is_session or not timeframe.is_time else timeframe.length_ns
    found: list[tuple[int, int]] = []
    for open_ns, close_ns in zip(sessions["open_ns"].tolist(), sessions["close_ns"].tolist(), strict=True):
        first = int(np.searchsorted(stops, open_ns, "right"))
        last = int(np.searchsorted(begins, close_ns, "left"))
        lows = np.maximum(begins[first:last], open_ns) // length_ns * length_ns
        highs = -(-np.minimum(stops[first:last], close_ns) // length_ns) * length_ns
        for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
            if found and low <= found[-1][1]:
                found[-1] = found[-1][0], max(high, found[-1][1])
            elif low < high:
                found.append((low, high))
    return found


def on_trading_days(rows: Rows, sessions: npt.NDArray[np.void]) -> Rows:
    """The same bars, each with the trading day of the session that it lies in; the others keep what they have.

    sessions: open_ns, close_ns, trading_day, sorted by open_ns, not overlapping.
    """
    made = rows.copy()
    places = np.searchsorted(sessions["close_ns"], made["start_ns"], "right")
    is_in = places < len(sessions)
    is_in[is_in] = sessions["open_ns"][places[is_in]] < made["end_ns"][is_in]
    made["trading_day"][is_in] = sessions["trading_day"][places[is_in]]
    return made
