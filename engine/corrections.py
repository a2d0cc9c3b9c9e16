"""Where the calendar library is wrong or silent about a shipped future, and what is right, with the source.

Each rule looks at one day of the library and gives it back as it was at the exchange. Rules know the wall clock of
Chicago only, as minutes of the local day; the open of a session lies before midnight and is below 0. Exchange notices
are named by who issued them and when; "the captures" are the recorded ES and GC minutes that the tests read.
"""

from collections.abc import Callable, Iterable
from datetime import date
from typing import Final, NamedTuple

from .calendars import Family


class Day(NamedTuple):
    """One session as the library has it. Minutes of the local day `date`: the evening before is below 0."""

    date: date
    open: int
    close: int
    breaks: tuple[tuple[int, int], ...] = ()


def at(hour: int, minute: int = 0) -> int:
    """A wall clock time as minutes of the day."""
    return hour * 60 + minute


FRIDAY: Final = 4

# CME's day ended at 16:15 until Friday, 18 September 2015 (brokers' notices of that month), and the captures of 2013
# have trades up to 16:15. The library begins with 16:00.
REGULAR_CLOSE: Final = at(16)
EARLIER_REGULAR_CLOSE: Final = at(16, 15)
SHORTER_DAY_FROM: Final = date(2015, 9, 21)

# Equity futures paused 15:15 to 15:30 up to Friday, 25 June 2021: the library has that in its calendar CME_Equity, and
# not in the one whose early closes are right. The captures of 2013 and 2020 have the hole.
EQUITY_PAUSE: Final = (at(15, 15), at(15, 30))
NO_PAUSE_FROM: Final = date(2021, 6, 28)

EQUITY_CLOSES: Final = {
    # CME Group's notices of 28 and 29 October 2012, when Sandy shut the stock exchanges
    date(2012, 10, 29): at(8, 15),
    date(2012, 10, 30): at(8, 15),
    # CME Group's notices of 2 December 2018 and 30 December 2024: days of mourning
    date(2018, 12, 5): at(8, 30),
    date(2025, 1, 9): at(8, 30),
}

NYMEX_CLOSES: Final = {
    # New York Mercantile Exchange's schedule for those holidays: no halt before the usual end of the day
    date(2009, 1, 19): EARLIER_REGULAR_CLOSE,
    date(2009, 2, 16): EARLIER_REGULAR_CLOSE,
    # the Fridays before a holiday, up to early 2011 (the market-hours database; the library has 31 December 2010 alone)
    **dict.fromkeys(
        (
            date(2009, 5, 22),
            date(2009, 9, 4),
            date(2009, 10, 9),
            date(2010, 1, 15),
            date(2010, 2, 12),
            date(2010, 5, 28),
            date(2010, 7, 2),
            date(2010, 9, 3),
            date(2010, 10, 8),
            date(2011, 1, 14),
        ),
        at(15, 15),
    ),
}
# Holidays ended at 12:15 until spring 2014 (brokers' notices for 4 July 2013 and 20 January 2014).
NYMEX_NOON_FROM: Final = date(2014, 5, 1)
# The library leaves Labor Day at noon until 2025; all holidays moved to 13:30 in 2022, but for those on a Friday, which
# end at noon, as the library has it for 2026 and the market-hours database for 2025 and 2027.
NYMEX_LATER_FROM: Final = date(2022, 1, 1)
# The day after Thanksgiving ends an hour later since 2025 (the market-hours database; the library has 2026 alone).
NYMEX_BLACK_FRIDAY_FROM: Final = date(2025, 1, 1)


def _with_older_close(day: Day) -> Day:
    if day.date < SHORTER_DAY_FROM and day.close == REGULAR_CLOSE:
        return day._replace(close=EARLIER_REGULAR_CLOSE)
    return day


def _equity(day: Day) -> Day | None:
    # The library ends every Good Friday from 2023 on at 8:15. That is so when the jobs report falls on it, always in
    # the first week of April; else the exchange is closed, as in 2024 and 2025.
    if day.close == at(8, 15) and day.date.year > 2022 and day.date.day > 7:
        return None
    day = _with_older_close(day._replace(close=EQUITY_CLOSES.get(day.date, day.close)))
    if day.date < NO_PAUSE_FROM and day.close > EQUITY_PAUSE[1]:
        day = day._replace(breaks=(EQUITY_PAUSE,))
    return day


def _nymex(day: Day) -> Day | None:
    when, close = day.date, day.close
    if when in NYMEX_CLOSES:
        return day._replace(close=NYMEX_CLOSES[when])
    if close == at(12) and when < NYMEX_NOON_FROM:
        close = at(12, 15)
    elif close in (at(12), at(13, 30)) and when >= NYMEX_LATER_FROM:
        close = at(12) if when.weekday() == FRIDAY else at(13, 30)
    elif close == at(12, 45) and when.month == 11 and when >= NYMEX_BLACK_FRIDAY_FROM:
        close = at(13, 45)
    elif close == REGULAR_CLOSE and (when.month, when.day) == (12, 24):
        close = at(12, 45)  # the library has it for 2026 alone, the market-hours database for each year
    return _with_older_close(day._replace(close=close))


_RULES: Final[dict[Family, Callable[[Day], Day | None]]] = {
    Family.NONE: lambda day: day,
    Family.EQUITY: _equity,
    Family.ENERGY_AND_METALS: _nymex,
}


def corrected(days: Iterable[Day], family: Family) -> list[Day]:
    """The days as they were at the exchange; those on which it was closed are left out."""
    rule = _RULES[family]
    return [right for day in days if (right := rule(day)) is not None]
