"""What session rows (layout.SESSION) say about times: the trading day, whether it is open, the bounds of longer bars.

Rows come sorted by `open_ns`, do not overlap, and their trading days never go back: so each question is one binary
search, for a whole array of times at once. All times are whole nanoseconds UTC, all days are days since 1970-01-01.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .layout import SESSION
from .timeframe import Unit

UNKNOWN_DAY: Final = np.iinfo(np.int32).min  # of a time that the rows do not reach

_MONDAY: Final = 3  # 1970-01-01 was a Thursday: three days after one
Rows = npt.NDArray[np.void]
Times = npt.NDArray[np.int64]


class Change(NamedTuple):
    """The market opens or closes."""

    at_ns: int
    opens: bool
    trading_day: int  # of the session that begins or ends


def is_open(rows: Rows, at_ns: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which of the times lie in a session; its open does, its close does not. With rows of RTH: which are in RTH."""
    times, place = _places(rows, at_ns)
    found: npt.NDArray[np.bool_] = (place >= 0) & (times < rows["close_ns"][np.maximum(place, 0)])
    return found


def trading_day_of(rows: Rows, at_ns: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """The trading day of each time, as int32; UNKNOWN_DAY before the first row's open and from the last row's close on.

    A time between sessions counts to the one before: no trade is made there, but the print of one can come late.
    """
    times, place = _places(rows, at_ns)
    days = rows["trading_day"][np.maximum(place, 0)]
    beyond = times >= (rows["close_ns"][-1] if len(rows) else 0)
    return np.where((place < 0) | beyond, np.int32(UNKNOWN_DAY), days).astype(np.int32)


def periods(rows: Rows, unit: Unit) -> Rows:
    """Days, weeks or months of trading days: one row of layout.SESSION each, from its first open to its last close.

    `trading_day` is the first trading day in it. Weeks begin with Monday, months with the first; both by trading day,
    so a Sunday evening is in the new one. Rows of all days of a period must be there for its bounds to be right.
    Raises ValueError for a unit that no session bounds.
    """
    days = rows["trading_day"].astype(np.int64)
    if unit == Unit.DAY:
        key = days
    elif unit == Unit.WEEK:
        key = (days + _MONDAY) // 7
    elif unit == Unit.MONTH:
        key = days.astype("datetime64[D]").astype("datetime64[M]").view(np.int64)
    else:
        raise ValueError(f"{unit.name.lower()} bars are not bounded by sessions: days, weeks and months are")
    first = np.flatnonzero(np.diff(key, prepend=key[:1] - 1))
    out = rows[first]
    out["close_ns"] = rows["close_ns"][np.append(first[1:], len(rows)) - 1] if len(rows) else 0
    return out


def next_changes(rows: Rows, after_ns: int, count: int = 1) -> list[Change]:
    """The `count` openings and closings that come next after `after_ns`; fewer where the rows end."""
    start = int(np.searchsorted(rows["close_ns"], after_ns, side="right"))
    changes: list[Change] = []
    for row in rows[start : start + count + 1]:
        day = int(row["trading_day"])
        changes += [Change(int(row["open_ns"]), True, day), Change(int(row["close_ns"]), False, day)]
    return [change for change in changes if change.at_ns > after_ns][:count]


def _places(rows: Rows, at_ns: npt.ArrayLike) -> tuple[Times, npt.NDArray[np.intp]]:
    """The times, and for each the row that opened last at or before it; -1 before the first."""
    if rows.dtype != SESSION:
        raise ValueError(f"session rows are of layout.SESSION, not of {rows.dtype}")
    times = np.asarray(at_ns, np.int64)
    if not len(rows):
        raise ValueError("there are no session rows: ask for more days")
    return times, np.asarray(np.searchsorted(rows["open_ns"], times, side="right")) - 1
