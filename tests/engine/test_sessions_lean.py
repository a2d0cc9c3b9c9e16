"""The session tables against two other witnesses: the market-hours database, and recorded minutes of ES and GC.

Every day from 2009 to 2026 is compared, and the days of 2027 that the database has. Where the two differ, the
reason is here, and which of them is right.
"""

from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final

import numpy as np
import pytest

from engine.calendars import calendar_of
from engine.corrections import NO_PAUSE_FROM, SHORTER_DAY_FROM
from engine.sessions import sessions_of
from shm.timeframe import Unit
from shm.trading_days import is_open, periods, trading_day_of
from tests.engine.lean_hours import (
    MIDNIGHT,
    Hours,
    Spans,
    entries_equal,
    hours_of,
    local_spans,
    merged,
    minutes_of,
    needs_lean,
)

pytestmark = needs_lean

FIRST, LAST = date(2009, 1, 1), date(2026, 12, 31)
MARKETS: Final = {"ES": "cme", "NQ": "cme", "MNQ": "cme", "MES": "cme", "GC": "comex", "CL": "nymex"}
EQUITY: Final = ("ES", "NQ", "MNQ", "MES")
EVENING: Final = (18 * 60, MIDNIGHT)

# Two differences of all days, not of holidays: the database knows one week, today's. We have the pause of 16:15 to
# 16:30 in New York up to June 2021, and the end at 17:15 up to September 2015; the recorded minutes below have both.
PAUSE: Final = (16 * 60 + 15, 16 * 60 + 30)

# What else differs on a day, with the reason, and for whom.
DIFFERENT: Final[dict[str, dict[tuple[str, ...], tuple[str, ...]]]] = {
    "the database forgets that it reopens on the evening of 3 July, though it has 4 July open from midnight": {
        EQUITY: ("2012-07-03", "2013-07-03", "2014-07-03", "2017-07-03", "2018-07-03", "2019-07-03")
    },
    "the database lacks the early close of 3 July and of the day after Thanksgiving in these years (it has others)": {
        EQUITY: ("2023-07-03", "2024-07-03", "2024-11-29"),
        ("GC", "CL"): ("2024-11-29",),
    },
    "the database has the stock exchange's closing for Sandy; CME Group's notices: equities to 8:15, others normal": {
        (*EQUITY, "GC", "CL"): ("2012-10-29", "2012-10-30")
    },
    "a day of mourning; CME Group's notices: equities to 8:30, energy and metals normal": {
        (*EQUITY, "GC", "CL"): ("2018-12-05",),
        (*EQUITY, "GC"): ("2025-01-09",),
    },
    "Christmas: the database has an early close at 17:00 that year, the usual end, and so an open day": {
        (*EQUITY, "CL"): ("2025-12-25",)
    },
    "the database ends at 13:30, all other holidays of these years at 13:15: no third source, left as the others": {
        ("GC", "CL"): ("2009-07-03",)
    },
}


def reasons(symbol: str) -> dict[date, str]:
    return {
        date.fromisoformat(day): reason
        for reason, groups in DIFFERENT.items()
        for group, days in groups.items()
        for day in days
        if symbol in group
    }


def witness(symbol: str, day: date) -> Hours:
    """The entry to compare with. GC's own begins in 2024, and what it takes before from the market's common entry are
    the pit's holidays; CL's goes back to 2009, and both keep to one schedule (NYMEX's notices speak of both)."""
    if symbol == "GC" and day.year < 2024:
        return hours_of("nymex", "CL")
    return hours_of(MARKETS[symbol], symbol)


def ours_as_of_today(day: date, spans: Spans) -> Spans:
    """What we have, less what differs on all days."""
    out = list(spans)
    if day < SHORTER_DAY_FROM:
        out = [(start, 17 * 60 if end == 17 * 60 + 15 else end) for start, end in out]
    if day < NO_PAUSE_FROM and any(end == PAUSE[0] for _, end in out) and any(start == PAUSE[1] for start, _ in out):
        out.append(PAUSE)
    return merged(out)


def is_closing_of_a_calendar_day(hours: Hours, day: date, theirs: Spans, ours: Spans) -> bool:
    """The database closes a holiday from midnight to midnight, where the next session opens on its evening – it says so
    itself from 2023 on – and keeps the evening before it open, to which no session belongs."""
    tomorrow = day + timedelta(days=1)
    if day in hours.holidays and theirs == ():
        return ours == (EVENING,) and hours.on(tomorrow)[:1] != ()
    shut_tomorrow = all(start >= EVENING[0] for start, _ in hours.on(tomorrow))
    return shut_tomorrow and EVENING in theirs and ours == tuple(span for span in theirs if span != EVENING)


@pytest.mark.parametrize("symbol", MARKETS)
def test_every_day_agrees_with_the_market_hours_database(symbol: str) -> None:
    own = hours_of(MARKETS[symbol], symbol).own_days
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    days += sorted(day for day in own if day > LAST)
    spans = local_spans(sessions_of(calendar_of(symbol), FIRST, max(days) + timedelta(days=10)))
    listed = reasons(symbol)
    unexplained, found, agreed = [], set(), 0
    for day in days:
        hours = witness(symbol, day)
        theirs, ours = hours.on(day), ours_as_of_today(day, spans.get(day, ()))
        if theirs == ours:
            agreed += day in hours.own_days
        elif day in listed:
            found.add(day)
        elif not is_closing_of_a_calendar_day(hours, day, theirs, ours):
            unexplained.append(f"{day} {theirs} {ours}")
    assert unexplained == []
    assert found == set(listed), "listed as different, but they are not"
    assert agreed > 180, "holidays and early closes on which both say the same"


def test_the_index_futures_share_one_entry() -> None:
    for symbol in EQUITY[1:]:
        assert entries_equal("cme", "ES", symbol)


def days_of(times: list[int], symbol: str) -> tuple[np.ndarray, np.ndarray]:
    first = datetime.fromtimestamp(times[0] // 10**9).date()
    rows = sessions_of(calendar_of(symbol), first - timedelta(days=5), first + timedelta(days=10))
    at = np.array(times)
    assert is_open(rows, at).all(), "a minute with trades lies outside of every session"
    return rows, trading_day_of(rows, at).astype("datetime64[D]")


@pytest.mark.parametrize(("sunday", "opens"), [("2013-10-06", "2013-10-06T22:00"), ("2020-01-05", "2020-01-05T23:00")])
def test_es_minutes_across_a_sunday_open(sunday: str, opens: str) -> None:
    """In October the session opens at 22:00 UTC, in January at 23:00: both are 17:00 in Chicago."""
    monday = np.datetime64(sunday, "D") + 1
    times = [at for day in (sunday, str(monday)) for at in minutes_of("ES", day.replace("-", ""))]
    rows, days = days_of(times, "ES")
    at = np.array(times).view("datetime64[ns]")
    assert at[0] == np.datetime64(opens), "the first bar is that of the open"
    assert at[0].view(np.int64) in rows["open_ns"]
    next_open = np.datetime64(opens) + np.timedelta64(24, "h")
    assert (days[at < next_open] == monday).all(), "Sunday evening and Monday are Monday"
    assert (days[at >= next_open] == monday + 1).all(), "Monday evening is Tuesday"
    assert set(days) == {monday, monday + 1}
    daily = periods(rows, Unit.DAY)
    place = np.searchsorted(daily["open_ns"], at.view(np.int64), side="right") - 1
    assert (daily["trading_day"][place].astype("datetime64[D]") == days).all()
    weekly = periods(rows, Unit.WEEK)
    assert at[0].view(np.int64) in weekly["open_ns"], "the week opens on Sunday"


@pytest.mark.parametrize(("symbol", "day"), [("ES", "2013-10-07"), ("ES", "2020-01-06"), ("GC", "2013-10-08")])
def test_recorded_trading_ends_and_pauses_when_a_session_does(symbol: str, day: str) -> None:
    """Every hole of the recorded day that is longer than ten minutes is exactly a hole between our sessions."""
    times = np.array(minutes_of(symbol, day.replace("-", "")))
    rows, _ = days_of(times.tolist(), symbol)
    minute = 60 * 10**9
    holes = [(a + minute, b) for a, b in pairwise(times.tolist()) if b - a > 10 * minute]
    gaps = {(int(a), int(b)) for a, b in zip(rows["close_ns"][:-1], rows["open_ns"][1:], strict=True)}
    assert holes
    assert set(holes) <= gaps
    assert len(holes) == (2 if symbol == "ES" else 1)
