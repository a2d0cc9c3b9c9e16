"""When an exchange is open: sessions of a calendar as rows of whole nanoseconds UTC, by trading day.

The tables are pandas-market-calendars', mended where they are wrong (engine/corrections.py). That library brings
pandas, in memory and in time to start, so that only the keeper imports this file. Everyone else gets the rows, and asks
them with shm/trading_days.py.

A session is taken from the library as wall clock times of the exchange's zone and becomes UTC only here, each end by
itself. The clocks of Chicago change at 2:00 on a Sunday, when nothing trades: so each session has the hours it always
has, and it is the weekend that is an hour longer or shorter.

A trading day is CME's trade date. What is traded on a holiday counts to the next business day – the hours of
Thanksgiving are part of Friday's bar – as the exchange clears it and its notices say ("not a trade date"). A Good
Friday with a short session, and a day of mourning, are trade dates of their own.
"""

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pandas_market_calendars

from shm.layout import SESSION
from shm.trading_days import is_open, trading_day_of

from .calendars import CALENDARS, Calendar
from .corrections import Day, at, corrected

FIRST_YEAR: Final = 2009  # holidays were held against a second source from here on
LAST_YEAR: Final = 2100
BLOCK_YEARS: Final = 8  # asked of the library at once: most of its time goes into the asking, not into the years
MAX_KEPT_BLOCKS: Final = 64  # of all calendars and both views: below 100 KiB each
GOOD_FRIDAY_CLOSE: Final = at(10, 15)  # the latest of all calendars

_MARGIN: Final = timedelta(days=10)  # the longest way from a holiday to its trade date is over a weekend
_EPOCH: Final = date(1970, 1, 1)
_MINUTE_NS: Final = 60 * 10**9
_NO_TIME: Final = np.iinfo(np.int64).min  # what pandas makes of a break that is not there

View = Literal["eth", "rth"]


def sessions_of(calendar: str, first: date, last: date, view: View = "eth") -> npt.NDArray[np.void]:
    """The sessions of the trading days `first` to `last`, both with, as rows of layout.SESSION by `open_ns`.

    `eth` has all of trading; a day with a break in it has several rows. `rth` has what of it lies in regular hours, on
    trade dates only, and says so in the rows' `rth`; where a calendar has none apart, it is all of trading. Raises
    ValueError for a calendar and for years that we have no table of. The array is the caller's own.
    """
    if calendar not in CALENDARS:
        raise ValueError(f"there is no calendar {calendar[:64]!r}; there are {', '.join(CALENDARS)}")
    if first.year < FIRST_YEAR or last.year > LAST_YEAR:
        raise ValueError(f"sessions are known from {FIRST_YEAR} to {LAST_YEAR}, not from {first} to {last}")
    blocks = range(first.year // BLOCK_YEARS, last.year // BLOCK_YEARS + 1)
    rows = np.concatenate([np.empty(0, SESSION), *(_rows(calendar, block, view) for block in blocks)])
    days = rows["trading_day"]
    return rows[(days >= (first - _EPOCH).days) & (days <= (last - _EPOCH).days)]


def marked_sessions(calendar: str, first: date, last: date) -> npt.NDArray[np.void]:
    """All of trading, as `sessions_of`, cut where regular hours begin and end, and `rth` is 1 in the rows that are in
    them: what is stored with the bars, so that a reader has both views. Most days have three rows."""
    whole, regular = sessions_of(calendar, first, last), sessions_of(calendar, first, last, "rth")
    edges = np.unique(np.concatenate([rows[end] for rows in (whole, regular) for end in ("open_ns", "close_ns")]))
    rows = np.zeros(max(len(edges) - 1, 0), SESSION)
    rows["open_ns"], rows["close_ns"] = edges[:-1], edges[1:]
    rows = rows[is_open(whole, rows["open_ns"])] if len(rows) else rows
    rows["trading_day"] = trading_day_of(whole, rows["open_ns"]) if len(rows) else 0
    rows["rth"] = is_open(regular, rows["open_ns"]) if len(regular) else 0
    return rows


@lru_cache(MAX_KEPT_BLOCKS)
def _rows(name: str, block: int, view: View) -> npt.NDArray[np.void]:
    """The sessions whose trading day lies in the block of years."""
    calendar = CALENDARS[name]
    zone, days = _days(name, block)
    trading = trade_dates(days, _clearing_holidays(block) if calendar.cme else frozenset())
    rows = [
        (opens, closes, (trading_day - _EPOCH).days, int(view == "rth"))
        for day, trading_day in zip(days, trading, strict=True)
        if trading_day is not None and trading_day.year // BLOCK_YEARS == block
        for opens, closes in _spans(day, zone, calendar, view, trading_day)
    ]
    table = np.array(rows, SESSION)
    table.setflags(write=False)  # it is kept: what sessions_of gives away are copies
    return table


@lru_cache(MAX_KEPT_BLOCKS)
def _days(name: str, block: int) -> tuple[ZoneInfo, list[Day]]:
    """The days of a block of years and of the margins beside it, mended."""
    calendar = CALENDARS[name]
    zone, listed = _listed(calendar.library, *_reach(block))
    return zone, corrected(listed, calendar.family)


@lru_cache(MAX_KEPT_BLOCKS)
def _clearing_holidays(block: int) -> frozenset[date]:
    """The days that are no trade dates at CME. Days of mourning are trade dates, which the library's schedule omits."""
    calendar = pandas_market_calendars.get_calendar("CME_TradeDate").regular_holidays
    return frozenset(stamp.date() for stamp in calendar.holidays(*(pd.Timestamp(day) for day in _reach(block))))


def _reach(block: int) -> tuple[date, date]:
    first, last = date(block * BLOCK_YEARS, 1, 1), date(block * BLOCK_YEARS + BLOCK_YEARS - 1, 12, 31)
    return first - _MARGIN, last + _MARGIN


def trade_dates(days: list[Day], holidays: frozenset[date]) -> list[date | None]:
    """Of each session its trade date: its own day, or, of one on `holidays`, that of the session after it.

    None where that lies past the last of `days`. What is open on Good Friday ends in the morning, before any holiday's
    half does, and keeps its own.
    """
    out: list[date | None] = []
    following: date | None = None
    for day in reversed(days):
        if day.date not in holidays or day.close <= GOOD_FRIDAY_CLOSE:
            following = day.date
        out.append(following)
    return out[::-1]


def _spans(day: Day, zone: ZoneInfo, calendar: Calendar, view: View, trading_day: date) -> list[tuple[int, int]]:
    """The unbroken times of one day, in ns UTC."""
    low, high = day.open, day.close
    if view == "rth" and calendar.rth_open is not None and calendar.rth_close is not None:
        if trading_day != day.date:
            return []  # a holiday's half has no regular hours
        low, high = max(low, calendar.rth_open), min(high, calendar.rth_close)
    edges = [day.open]
    for start, end in day.breaks:
        edges += [start, end]
    edges.append(day.close)
    spans = [(max(start, low), min(end, high)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return [(_utc_ns(day.date, start, zone), _utc_ns(day.date, end, zone)) for start, end in spans if start < end]


def _utc_ns(day: date, minute: int, zone: ZoneInfo) -> int:
    """A wall clock time of the exchange. None falls into the hour that a clock change doubles or leaves out."""
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minute)
    return int(wall.timestamp()) * 10**9


def _listed(library_name: str, first: date, last: date) -> tuple[ZoneInfo, list[Day]]:
    """The library's days, and the zone whose wall clock they are told in."""
    calendar = pandas_market_calendars.get_calendar(library_name)
    zone = ZoneInfo(str(calendar.tz))
    frame = calendar.schedule(first, last, tz="UTC")
    dates = [stamp.date() for stamp in frame.index]
    opens, closes = (_wall_minutes(frame[column], dates, zone) for column in ("market_open", "market_close"))
    breaks: list[tuple[tuple[int, int], ...]] = [()] * len(dates)
    if "break_start" in frame:
        starts, ends = (_wall_minutes(frame[column], dates, zone) for column in ("break_start", "break_end"))
        breaks = [
            ((start, end),) if opens[i] < start < end < closes[i] else ()
            for i, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]
    return zone, [Day(*row) for row in zip(dates, opens, closes, breaks, strict=True)]


def _wall_minutes(column: object, dates: list[date], zone: ZoneInfo) -> list[int]:
    """Stamps as minutes of the local day that they stand at."""
    stamps = pd.DatetimeIndex(column).tz_convert(zone).tz_localize(None).as_unit("ns").asi8
    midnights = np.array(dates, "datetime64[ns]").view(np.int64)
    return [int(minutes) for minutes in np.where(stamps == _NO_TIME, 0, stamps - midnights) // _MINUTE_NS]
