"""When exchanges are open: the shape of the tables, the changes of the clock, holidays, and the two views."""

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pytest

from engine.calendars import ALWAYS_OPEN, CALENDARS
from engine.corrections import Day, at
from engine.sessions import FIRST_YEAR, LAST_YEAR, View, marked_sessions, sessions_of, trade_dates
from shm.layout import SESSION
from shm.timeframe import Unit
from shm.trading_days import is_open, periods, trading_day_of

CHICAGO = ZoneInfo("America/Chicago")
MINUTE_NS = 60 * 10**9
HOUR_NS = 60 * MINUTE_NS
CME = [name for name in CALENDARS if name != ALWAYS_OPEN]
GLOBEX = ["CME_Equity", "CMEGlobex_Metals", "CMEGlobex_Energy", "CMEGlobex_FX", "CME_Rate", "CME_Crypto"]


def shown(rows: npt.NDArray[np.void]) -> list[tuple[str, str, str]]:
    return [
        (
            f"{datetime.fromtimestamp(int(row['open_ns']) // 10**9, CHICAGO):%a %H:%M}",
            f"{datetime.fromtimestamp(int(row['close_ns']) // 10**9, CHICAGO):%a %H:%M}",
            f"{date(1970, 1, 1) + timedelta(days=int(row['trading_day'])):%a}",
        )
        for row in rows
    ]


@pytest.mark.parametrize("view", ["eth", "rth"])
@pytest.mark.parametrize("calendar", CALENDARS)
def test_sessions_come_in_order_and_never_overlap(calendar: str, view: View) -> None:
    rows = sessions_of(calendar, date(2009, 1, 1), date(2035, 12, 31), view)
    assert rows.dtype == SESSION
    assert (rows["open_ns"] < rows["close_ns"]).all()
    assert (rows["close_ns"][:-1] <= rows["open_ns"][1:]).all()
    assert (np.diff(rows["trading_day"]) >= 0).all()
    assert (rows["open_ns"] % MINUTE_NS == 0).all()
    ends = (rows["trading_day"].astype(np.int64) + 1) * 24 * HOUR_NS + 6 * HOUR_NS
    assert (rows["close_ns"] <= ends).all(), "a session ends on its trading day in Chicago"
    assert (ends - rows["open_ns"] <= 5 * 24 * HOUR_NS + 12 * HOUR_NS).all(), "or on a holiday shortly before"
    assert set(rows["rth"]) == {int(view == "rth")}


@pytest.mark.parametrize("calendar", CALENDARS)
def test_regular_hours_are_part_of_all_hours(calendar: str) -> None:
    first, last = date(2011, 1, 1), date(2026, 12, 31)
    eth, rth = (sessions_of(calendar, first, last, view) for view in ("eth", "rth"))
    place = np.searchsorted(eth["open_ns"], rth["open_ns"], side="right") - 1
    assert (rth["close_ns"] <= eth["close_ns"][place]).all()
    assert (rth["trading_day"] == eth["trading_day"][place]).all()


@pytest.mark.parametrize("calendar", CALENDARS)
def test_marked_rows_hold_both_views(calendar: str) -> None:
    days = date(2025, 6, 30), date(2025, 12, 31)
    whole, regular = (sessions_of(calendar, *days, view) for view in ("eth", "rth"))
    marked = marked_sessions(calendar, *days)
    assert (marked["open_ns"] < marked["close_ns"]).all()
    assert (marked["close_ns"][:-1] <= marked["open_ns"][1:]).all()
    bounds = ["open_ns", "close_ns", "trading_day"]
    assert (periods(marked, Unit.DAY)[bounds] == periods(whole, Unit.DAY)[bounds]).all()
    inside = marked[marked["rth"] == 1]
    assert (inside == regular).all()
    edges = np.unique([*whole["open_ns"], *whole["close_ns"], *marked["open_ns"], *marked["close_ns"]])
    assert (is_open(whole, edges) == is_open(marked, edges)).all()
    assert (trading_day_of(whole, edges) == trading_day_of(marked, edges)).all()
    assert len(marked_sessions(calendar, date(2025, 11, 29), date(2025, 11, 30))) in (0, 2)  # of a weekend


def test_any_span_of_days_is_a_piece_of_the_whole(seed: int) -> None:
    chance = random.Random(seed)
    whole = sessions_of("CME_Equity", date(2018, 1, 1), date(2022, 12, 31))
    for _ in range(50):
        first, last = sorted(date(2018, 1, 1) + timedelta(days=chance.randrange(1826)) for _ in range(2))
        days = whole["trading_day"].astype("datetime64[D]")
        expected = whole[(days >= np.datetime64(first)) & (days <= np.datetime64(last))]
        assert (sessions_of("CME_Equity", first, last) == expected).all()
    assert len(sessions_of("CME_Equity", date(2026, 11, 21), date(2026, 11, 22))) == 0, "a weekend"
    assert len(sessions_of("CME_Equity", date(2026, 11, 22), date(2026, 11, 20))) == 0, "no days"


def test_what_is_given_is_the_callers_own() -> None:
    day = date(2026, 11, 23)
    sessions_of("CME_Equity", day, day)["open_ns"] = 0
    assert shown(sessions_of("CME_Equity", day, day)) == [("Sun 17:00", "Mon 16:00", "Mon")]


def is_regular(wall: datetime) -> bool:
    """Is Globex open at this wall clock time of a week without a holiday? Sunday 17:00 to Friday 16:00, 23 h a day."""
    if wall.hour == 16:
        return False
    after_open = wall.hour >= 17
    return wall.weekday() <= 3 or (wall.weekday() == 4 and not after_open) or (wall.weekday() == 6 and after_open)


@pytest.mark.parametrize("calendar", ["CME_Equity", "CMEGlobex_Metals", "CMEGlobex_Energy", "CMEGlobex_FX"])
@pytest.mark.parametrize("change", ["2022-03-13", "2022-11-06", "2024-03-10", "2024-11-03", "2026-11-01"])
def test_a_change_of_the_clock_neither_doubles_nor_loses_an_hour(calendar: str, change: str) -> None:
    """Each minute of the two weeks around it, in UTC: open when the wall clock in Chicago says so, in one session."""
    sunday = datetime.fromisoformat(change).replace(tzinfo=UTC)
    first, last = sunday - timedelta(days=7), sunday + timedelta(days=6)
    rows = sessions_of(calendar, (first - timedelta(days=7)).date(), (last + timedelta(days=7)).date())
    minutes = np.arange(int(first.timestamp()), int(last.timestamp()), 60, dtype=np.int64)
    walls = [datetime.fromtimestamp(second, CHICAGO) for second in minutes.tolist()]
    assert {wall.utcoffset() for wall in walls} == {timedelta(hours=-5), timedelta(hours=-6)}
    at_ns = minutes * 10**9
    expected = np.array([is_regular(wall) for wall in walls])
    assert (is_open(rows, at_ns) == expected).all()
    inside = (rows["open_ns"][None, :] <= at_ns[:, None]) & (at_ns[:, None] < rows["close_ns"][None, :])
    assert (inside.sum(axis=1) == expected).all(), "a minute lies in one session at most"
    days = trading_day_of(rows, at_ns)[expected].astype("datetime64[D]").astype(date)
    shifted = [(wall + timedelta(hours=7)).date() for wall, regular in zip(walls, expected, strict=True) if regular]
    assert list(days) == shifted, "from 17:00 on it is the next day"


@pytest.mark.parametrize("calendar", GLOBEX[1:])
def test_hours_of_a_year(calendar: str) -> None:
    """23 hours each trading day, in every year with its 24-hour changes of the clock, but for what holidays take."""
    for year in range(2016, 2031):
        rows = sessions_of(calendar, date(year, 1, 1), date(year, 12, 31))
        lengths = rows["close_ns"] - rows["open_ns"]
        assert lengths.max() == 23 * HOUR_NS
        assert (lengths < 23 * HOUR_NS).sum() <= 12
        assert 256 <= len(rows) <= 262


def test_hours_of_a_year_of_equities_are_the_same_hours_in_utc_and_at_the_wall() -> None:
    for year in range(2022, 2031):
        rows = sessions_of("CME_Equity", date(year, 1, 1), date(year, 12, 31))
        in_utc = int((rows["close_ns"] - rows["open_ns"]).sum())
        walls = [
            [
                datetime.fromtimestamp(int(row[key]) // 10**9, CHICAGO).replace(tzinfo=None)
                for key in ("open_ns", "close_ns")
            ]
            for row in rows
        ]
        at_wall = sum((close - opens for opens, close in walls), timedelta())
        assert in_utc == int(at_wall.total_seconds()) * 10**9


def test_the_sunday_open_moves_in_utc_and_not_at_the_wall() -> None:
    for day, hour in (
        (date(2026, 3, 9), 22),
        (date(2026, 3, 2), 23),
        (date(2026, 10, 26), 22),
        (date(2026, 11, 2), 23),
    ):
        row = sessions_of("CME_Equity", day, day)[0]
        assert datetime.fromtimestamp(int(row["open_ns"]) // 10**9, UTC).hour == hour


def test_thanksgiving_counts_to_friday() -> None:
    rows = sessions_of("CME_Equity", date(2026, 11, 25), date(2026, 11, 27))
    assert shown(rows) == [
        ("Tue 17:00", "Wed 16:00", "Wed"),
        ("Wed 17:00", "Thu 12:00", "Fri"),
        ("Thu 17:00", "Fri 12:15", "Fri"),
    ]
    regular = sessions_of("CME_Equity", date(2026, 11, 25), date(2026, 11, 27), "rth")
    assert shown(regular) == [("Wed 08:30", "Wed 15:00", "Wed"), ("Fri 08:30", "Fri 12:15", "Fri")]


def test_a_holiday_on_friday_counts_to_monday_and_to_its_week() -> None:
    """4 July 2025: open up to noon (energy), of the trade date of 7 July."""
    rows = sessions_of("CMEGlobex_Energy", date(2025, 7, 3), date(2025, 7, 7))
    assert shown(rows) == [
        ("Wed 17:00", "Thu 16:00", "Thu"),
        ("Thu 17:00", "Fri 12:00", "Mon"),
        ("Sun 17:00", "Mon 16:00", "Mon"),
    ]
    month = sessions_of("CMEGlobex_Energy", date(2025, 6, 20), date(2025, 7, 20))
    week = next(row for row in periods(month, Unit.WEEK) if row["trading_day"] == rows["trading_day"][-1])
    assert week["open_ns"] == rows["open_ns"][1]


def test_the_last_holiday_of_a_year_counts_to_the_next() -> None:
    """Nothing is lost or doubled where two yearly tables meet."""
    whole = sessions_of("CME_Equity", date(2009, 1, 1), date(2035, 12, 31))
    assert len(np.unique(whole["open_ns"])) == len(whole)
    gaps = whole["open_ns"][1:] - whole["close_ns"][:-1]
    assert gaps.max() <= (4 * 24 + 8) * HOUR_NS, "never closed for longer than over Christmas or Easter"


def test_good_friday_keeps_its_own_day() -> None:
    rows = sessions_of("CME_Equity", date(2026, 4, 2), date(2026, 4, 6))
    assert [row[2] for row in shown(rows)] == ["Thu", "Fri", "Mon"]
    assert shown(rows)[1] == ("Thu 17:00", "Fri 08:15", "Fri")
    assert len(sessions_of("CME_Equity", date(2026, 4, 3), date(2026, 4, 3), "rth")) == 0


@pytest.mark.parametrize("calendar", ["CME_Equity", "CMEGlobex_Energy"])
def test_a_day_of_mourning_is_a_trade_date(calendar: str) -> None:
    rows = sessions_of(calendar, date(2025, 1, 9), date(2025, 1, 9))
    assert shown(rows) == [("Wed 17:00", "Thu 08:30" if calendar == "CME_Equity" else "Thu 16:00", "Thu")]


def test_a_pause_makes_two_rows_of_one_day() -> None:
    rows = sessions_of("CME_Equity", date(2020, 1, 6), date(2020, 1, 6))
    assert shown(rows) == [("Sun 17:00", "Mon 15:15", "Mon"), ("Mon 15:30", "Mon 16:00", "Mon")]
    assert shown(sessions_of("CME_Equity", date(2020, 1, 6), date(2020, 1, 6), "rth")) == [
        ("Mon 08:30", "Mon 15:00", "Mon")
    ]


def test_a_market_that_never_closes() -> None:
    rows = sessions_of(ALWAYS_OPEN, date(2023, 12, 30), date(2024, 3, 1))
    assert len(rows) == 63
    assert (rows["close_ns"][:-1] == rows["open_ns"][1:]).all()
    assert (rows["open_ns"] == rows["trading_day"].astype(np.int64) * 24 * HOUR_NS).all()
    regular = sessions_of(ALWAYS_OPEN, date(2023, 12, 30), date(2024, 3, 1), "rth")
    assert (regular["open_ns"] == rows["open_ns"]).all()


def test_trade_dates_of_holidays() -> None:
    days = [Day(date(2026, 5, day), at(17) - at(24), at(16)) for day in (21, 22, 25, 26)]
    memorial = date(2026, 5, 25)
    assert trade_dates(days, frozenset({memorial})) == [days[0].date, days[1].date, days[3].date, days[3].date]
    assert trade_dates(days[:3], frozenset({memorial})) == [days[0].date, days[1].date, None], "it is not reached"
    assert trade_dates(days, frozenset()) == [day.date for day in days]


def test_what_has_no_table_is_refused() -> None:
    day = date(2026, 11, 23)
    with pytest.raises(ValueError, match="there is no calendar 'NYSE'; there are 24/7, CME_Equity"):
        sessions_of("NYSE", day, day)
    for first, last in ((date(FIRST_YEAR - 1, 12, 31), day), (day, date(LAST_YEAR + 1, 1, 1))):
        with pytest.raises(ValueError, match="sessions are known from 2009 to"):
            sessions_of("CME_Equity", first, last)
