"""The worker's bars of recorded trading: gold's ticks against the vendor's own minutes, and minutes of the S&P across
two Sunday opens against the calendar of Chicago, with the trading hours that the keeper would send."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.calendars import ALWAYS_OPEN, calendar_of
from engine.sessions import sessions_of
from shm.bars import highest
from tests.engine.lean_hours import needs_lean, recorded
from tests.workers.bar_rig import SECOND, BarRig

GC_DAYS = "20131007", "20131008"
GC_MONTHS = [
    "201310",
    "201311",
    "201312",
    "201402",
    "201404",
    "201406",
    "201408",
    "201410",
    "201412",
    "201506",
    "201512",
]
GC_TICKS_A_DOLLAR = 10
ES_TICKS_A_POINT = 4
A_RECORD = 50  # ticks
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
CHICAGO = ZoneInfo("America/Chicago")
AROUND = timedelta(days=30)  # of trading hours that are known: a bar of a week needs all of it, and what is beside

Ohlcv = tuple[int, ...]


def made(rig: BarRig, i: int) -> dict[int, Ohlcv]:
    """What timeframe `i` says of each closed bar in its highest revision."""
    names = ("open", "high", "low", "close", "volume")
    return {int(row["start_ns"]): tuple(int(row[name]) for name in names) for row in highest(rig.rows(i))}


def ohlcv(columns: list[str], ticks: int) -> Ohlcv:
    """Of a recorded minute, in ticks, of which so many make a dollar or a point."""
    return (*(round(float(price) * ticks) for price in columns[:4]), int(columns[4]))


def trading_date(ns: int) -> date:
    """Of a time within CME's hours, and no holiday: from 17:00 in Chicago on it is the next day's."""
    return (datetime.fromtimestamp(ns // SECOND, CHICAGO) + timedelta(hours=7)).date()


def dates(rows: Any) -> list[date]:
    return [date(1970, 1, 1) + timedelta(days=int(day)) for day in rows["trading_day"]]


@needs_lean
@pytest.mark.parametrize("month", GC_MONTHS)
def test_minutes_of_gold_equal_the_vendors_on_every_bar(tmp_path: Path, month: str) -> None:
    ticks = [
        (at, round(float(price) * GC_TICKS_A_DOLLAR), int(size), 0)
        for day in GC_DAYS
        for at, (price, size, *_) in recorded("gc_tick", day).get(month, [])
    ]
    rig = BarRig(tmp_path, "1m 1s", begin_ns=ticks[0][0] - MINUTE, tick_e9=10**9 // GC_TICKS_A_DOLLAR)
    rig.snapshot()
    for first in range(0, len(ticks), A_RECORD):
        part = ticks[first : first + A_RECORD]
        rig.until(part[0][0])
        rig.later(part[-1][0] - rig.wall_ns)
        rig.trades(part)
        rig.drain()
    rig.until(rig.wall_ns + 2 * MINUTE)
    rig.drain()
    theirs: dict[int, Ohlcv] = {}
    for day in GC_DAYS:
        lines = recorded("gc_minute", day).get(month, [])
        theirs |= {at: ohlcv(columns, GC_TICKS_A_DOLLAR) for at, columns in lines}
        if lines:  # the vendor's last bar of a day lacks the volume of the day's last tick
            last = lines[-1][0]
            theirs[last] = (*theirs[last][:-1], sum(size for at, _, size, _ in ticks if last <= at < last + MINUTE))
    assert made(rig, 0) == theirs
    assert sum(int(row["volume"]) for row in highest(rig.rows(1))) == sum(size for _, _, size, _ in ticks)


@needs_lean
@pytest.mark.parametrize(("sunday", "closed_min"), [(date(2013, 10, 6), 45), (date(2020, 1, 5), 60)])
def test_minutes_of_es_across_a_sunday_open_are_of_the_right_trading_day(
    tmp_path: Path, sunday: date, closed_min: int
) -> None:
    """In October the session opens at 22:00 UTC, in January at 23:00; it closed at 16:15 in Chicago, then at 16:00."""
    minutes: list[tuple[int, Ohlcv]] = []
    for day in (sunday, sunday + timedelta(days=1)):
        busiest = max(recorded("es_minute", f"{day:%Y%m%d}").values(), key=len)
        minutes += [(at, ohlcv(columns, ES_TICKS_A_POINT)) for at, columns in busiest]
    rig = BarRig(tmp_path, "1m 1h 1d 1w", begin_ns=minutes[0][0] - MINUTE)
    rig.sessions(sessions_of(calendar_of("ES"), sunday - AROUND, sunday + AROUND))
    rig.snapshot()
    for at, (opens, high, low, close, volume) in minutes:
        rig.until(at)
        rig.trades([(at, opens, volume, 0), (at, high, 0, 0), (at, low, 0, 1), (at + MINUTE - 100, close, 0, 1)])
        rig.drain()
    rig.until(rig.wall_ns + 2 * MINUTE)
    rig.drain()
    assert made(rig, 0) == dict(minutes)
    rows = rig.rows(0)
    assert dates(rows) == [trading_date(at) for at, _ in minutes]
    expected = {sunday + timedelta(days=1): 0, sunday + timedelta(days=2): 0}
    for at, (*_, volume) in minutes:
        expected[trading_date(at)] += volume
    monday, tuesday = rig.rows(2), rig.forming(2)
    assert (
        dict(zip([*dates(monday), *dates(tuesday)], [*monday["volume"], *tuesday["volume"]], strict=True)) == expected
    )
    assert int(monday["start_ns"][0]) == minutes[0][0], "the first minute is that of the open"
    assert [int(row["end_ns"] - row["start_ns"]) for row in (*monday, *tuesday)] == [
        24 * HOUR - closed_min * MINUTE
    ] * 2
    week = rig.forming(3)
    assert (dates(week), int(week["volume"][0])) == ([sunday + timedelta(days=1)], sum(expected.values()))
    assert [int(rig.slot(i)["unplaced"]) for i in range(4)] == [0] * 4


@pytest.mark.parametrize("change", [date(2024, 3, 10), date(2024, 11, 3)])
def test_a_change_of_the_clocks_neither_doubles_nor_loses_an_hour(tmp_path: Path, change: date) -> None:
    """A trade each ten minutes of trading, from the Wednesday before to the Thursday after."""
    table = sessions_of(calendar_of("ES"), change - AROUND, change + AROUND)
    days = [(day - date(1970, 1, 1)).days for day in (change - timedelta(days=4), change + timedelta(days=4))]
    chosen = table[(table["trading_day"] >= days[0]) & (table["trading_day"] <= days[1])]
    times = [at for row in chosen for at in range(int(row["open_ns"]), int(row["close_ns"]), 10 * MINUTE)]
    rows, hours, daily = _bars_of(tmp_path, table, times)
    assert [int(row["start_ns"]) for row in hours] == sorted({at - at % HOUR for at in times})
    assert {int(row["volume"]) for row in hours} == {6}
    assert dates(hours) == [trading_date(int(row["start_ns"])) for row in hours]
    assert dates(daily) == sorted({trading_date(at) for at in times})
    assert {int(row["end_ns"] - row["start_ns"]) for row in daily} == {23 * HOUR}
    assert {int(row["volume"]) for row in daily} == {23 * 6}
    assert len(rows) == len(times)


def test_a_market_that_never_closes_has_days_of_24_hours(tmp_path: Path) -> None:
    first = date(2024, 3, 9)
    table = sessions_of(ALWAYS_OPEN, first - AROUND, first + AROUND)
    begin_ns = (first - date(1970, 1, 1)).days * 24 * HOUR
    _, hours, daily = _bars_of(tmp_path, table, list(range(begin_ns, begin_ns + 72 * HOUR, 10 * MINUTE)))
    assert [int(row["start_ns"]) for row in hours] == [begin_ns + n * HOUR for n in range(72)]
    assert [int(row["volume"]) for row in daily] == [24 * 6] * 3
    assert dates(daily) == [first + timedelta(days=n) for n in range(3)]


def _bars_of(folder: Path, table: Any, times: list[int]) -> tuple[Any, Any, Any]:
    """Closed minutes, hours and days of one trade of one unit at each of `times`."""
    rig = BarRig(folder, "1m 1h 1d", begin_ns=times[0] - MINUTE)
    rig.sessions(table)
    rig.snapshot()
    for at in times:
        rig.until(at)
        rig.trades([(at, 20_000, 1, 0)])
        rig.drain()
    rig.until(times[-1] + 24 * HOUR)
    rig.drain()
    return rig.rows(0), rig.rows(1), rig.rows(2)
