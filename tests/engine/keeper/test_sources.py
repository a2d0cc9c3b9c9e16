"""Which hours of the venue's make our days, weeks and months, on the calendars themselves."""

import random
from datetime import UTC, date, datetime

import numpy as np
import pytest

from engine.calendars import CALENDARS
from engine.config import SymbolSettings
from engine.keeper.sources import HOUR, LONGEST_PAST_NS, Clock, Sessions, Settled
from engine.sessions import sessions_of
from shm.layout import NEVER_NS, BarFlag, Rows
from shm.timeframe import Unit, parse
from shm.trading_days import UNKNOWN_DAY, periods, trading_day_of
from tests import made_bars
from tests.made_bars import DAY_NS, SECOND_NS

HOUR_NS = HOUR.length_ns
MNQ = SymbolSettings("MNQ")
NAMES = ["1d", "1w", "1mo"]
PRICES = ("open", "high", "low", "close", "volume")
ALL = Settled(NEVER_NS, 0)


def at_ns(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * SECOND_NS  # type: ignore[arg-type,misc]


def days(rows: Rows) -> list[date]:
    return [date.fromordinal(date(1970, 1, 1).toordinal() + int(day)) for day in rows["trading_day"]]


def hours(start_ns: int, end_ns: int, calendar: str = "CME_Equity") -> Rows:
    """As the venue tells them: those in which the exchange was open, and now and then one does not come."""
    rows = made_bars.plain((end_ns - start_ns) // HOUR_NS, start_ns=start_ns, step_ns=HOUR_NS)
    sessions = sessions_of(calendar, date(2025, 1, 1), date(2027, 12, 31))
    places = np.searchsorted(sessions["close_ns"], rows["start_ns"], "right")
    rows = rows[sessions["open_ns"][places] < rows["end_ns"]]
    rows["flags"] = BarFlag.COMPLETE | BarFlag.REPAIRED
    rows["trading_day"] = rows["number"] = 0
    return rows


@pytest.mark.parametrize("calendar", CALENDARS)
def test_no_hour_has_two_trading_days_in_it(calendar: str) -> None:
    found = periods(sessions_of(calendar, date(2009, 1, 1), date(2035, 12, 31)), Unit.DAY)
    over_ns = -(-found["close_ns"][:-1] // HOUR_NS) * HOUR_NS
    next_ns = found["open_ns"][1:] // HOUR_NS * HOUR_NS
    wrong = over_ns > next_ns
    assert not wrong.any(), days(found[:-1][wrong])


@pytest.mark.parametrize("name", NAMES)
def test_hours_are_folded_by_trading_day(name: str, seed: int) -> None:
    """Against one hour after the other, in stretches that begin and end anywhere."""
    chance = random.Random(seed)
    source, unit = Sessions(MNQ, parse(name)), parse(name).unit
    sessions = sessions_of("CME_Equity", date(2025, 1, 1), date(2027, 12, 31))
    groups = periods(sessions, unit)
    for _ in range(10):
        begin_ns = at_ns(2026, 1, 1) + chance.randrange(300) * DAY_NS + chance.randrange(24) * HOUR_NS
        (stretch,) = source.whole(((begin_ns, begin_ns + chance.randrange(5, 90) * DAY_NS),))
        rows = hours(*stretch)
        rows = rows[np.random.default_rng(chance.randrange(2**32)).random(len(rows)) < 0.9]
        made = source.bars(rows, stretch, ALL, past=False)
        expected: dict[int, list[int]] = {}
        for row in rows:
            day = int(trading_day_of(sessions, row["start_ns"]))
            assert day != UNKNOWN_DAY
            place = int(np.searchsorted(groups["trading_day"], day, "right")) - 1
            o, h, low, c, v = (int(row[field]) for field in PRICES)
            bar = expected.setdefault(place, [o, h, low, c, 0])
            bar[1], bar[2], bar[3], bar[4] = max(bar[1], h), min(bar[2], low), c, bar[4] + v
        assert [[int(row[field]) for field in PRICES] for row in made] == list(expected.values())
        for theirs, ours in (("open_ns", "start_ns"), ("close_ns", "end_ns"), ("trading_day", "trading_day")):
            assert made[ours].tolist() == groups[theirs][list(expected)].tolist()
        assert set(made["flags"]) == {int(BarFlag.COMPLETE | BarFlag.REPAIRED)}


def test_the_days_before_a_bar_are_trading_days() -> None:
    """Back from Tuesday, 1 December 2026: Thanksgiving is part of Friday, and a Sunday evening of Monday."""
    day = Sessions(MNQ, parse("1d"))
    first_ns = at_ns(2026, 11, 30, 23)  # 17:00 in Chicago
    stretch = day.before(first_ns, 4)
    assert stretch == (at_ns(2026, 11, 23, 23), first_ns)
    found = day.bars(hours(*stretch), stretch, ALL, past=True)
    assert days(found) == [date(2026, 11, day) for day in (24, 25, 27, 30)]
    assert (found["start_ns"][-1], found["end_ns"][-1]) == (at_ns(2026, 11, 29, 23), at_ns(2026, 11, 30, 22))
    assert day.before(first_ns, 0) == (first_ns, first_ns)


def test_a_clock_asks_for_the_time_that_the_exchange_was_open() -> None:
    """Three hours before the second one of a Monday's session are its first and Friday's last two."""
    clock = Clock(MNQ, parse("1h"))
    first_ns = at_ns(2026, 11, 23, 0)
    assert clock.before(first_ns, 3) == (at_ns(2026, 11, 20, 20), first_ns)
    assert clock.before(at_ns(2026, 11, 21), 0) == (at_ns(2026, 11, 21), at_ns(2026, 11, 21))


def test_weeks_and_months_before_a_bar_are_whole() -> None:
    week, month = Sessions(MNQ, parse("1w")), Sessions(MNQ, parse("1mo"))
    assert week.before(at_ns(2026, 11, 29, 23), 2) == (at_ns(2026, 11, 15, 23), at_ns(2026, 11, 29, 23))
    # Daylight time ended on 1 November; 30 October was a Friday, and Monday's session is November's first.
    assert month.before(at_ns(2026, 11, 30, 23), 2) == (at_ns(2026, 9, 30, 22), at_ns(2026, 11, 30, 23))
    assert month.before(at_ns(2026, 11, 30, 23), 1) == (at_ns(2026, 11, 1, 23), at_ns(2026, 11, 30, 23))


@pytest.mark.parametrize("name", NAMES)
def test_no_more_past_is_asked_for_than_a_contract_has(name: str) -> None:
    first_ns = at_ns(2026, 11, 29, 23)
    start_ns, end_ns = Sessions(MNQ, parse(name)).before(first_ns, 20_000)
    assert LONGEST_PAST_NS - 40 * DAY_NS < first_ns - start_ns <= LONGEST_PAST_NS
    assert end_ns == (at_ns(2026, 11, 1, 23) if name == "1mo" else first_ns)


def test_times_that_no_table_has_are_not_asked_for() -> None:
    source = Sessions(MNQ, parse("1d"))
    assert source.before(5, 100) == (5, 5)
    assert source.whole(((5, 10),)) == ()
    assert source.newest(((5, 10),)) is None
    assert source.end_ns(5) == 6
    assert len(source.bars(hours(at_ns(2026, 3, 2), at_ns(2026, 3, 3)), (5, 10), ALL, past=False)) == 0


def test_time_in_which_the_exchange_is_closed_is_nothing_to_ask_for() -> None:
    """From Friday's close to Sunday's open; with a second of Friday it is all of Friday."""
    source = Sessions(MNQ, parse("1d"))
    close_ns, open_ns = at_ns(2026, 11, 20, 22), at_ns(2026, 11, 22, 23)
    assert source.whole(((close_ns, open_ns),)) == ()
    friday = at_ns(2026, 11, 19, 23), open_ns
    assert source.whole(((close_ns - 1, open_ns),)) == (friday,)
    assert source.whole((friday,)) == (friday,)
    assert source.whole(((close_ns - 1, open_ns + 1),)) == ((friday[0], at_ns(2026, 11, 23, 23)),)


def test_a_session_that_opens_within_an_hour_begins_with_that_hour() -> None:
    """Livestock: 8:30 to 13:05 in Chicago."""
    source = Sessions(SymbolSettings("LE"), parse("1d"))
    (stretch,) = source.whole(((at_ns(2026, 11, 18, 15), at_ns(2026, 11, 18, 16)),))
    assert stretch == (at_ns(2026, 11, 18, 14), at_ns(2026, 11, 19, 14))
    rows = hours(*stretch, calendar="CMEGlobex_Livestock")
    (made,) = source.bars(rows, stretch, ALL, past=True)
    assert made["volume"] == rows["volume"].sum()
    assert (made["start_ns"], made["end_ns"]) == (at_ns(2026, 11, 18, 14, 30), at_ns(2026, 11, 18, 19, 5))


def test_a_long_time_is_asked_for_in_whole_bars_the_newest_first() -> None:
    for name in NAMES:
        source = Sessions(MNQ, parse(name))
        (left,) = source.whole(((at_ns(2019, 1, 5), at_ns(2026, 11, 20)),))
        asked = []
        while (part := source.newest((left,) if left[0] < left[1] else ())) is not None:
            assert part[1] - part[0] <= LONGEST_PAST_NS
            assert part[1] == left[1]
            assert source.whole((part,)) == (part,)
            asked.append(part)
            left = left[0], part[0]
        assert left[0] == left[1]
        assert 4 <= len(asked) <= 5


def test_a_day_is_made_when_all_its_hours_are_settled() -> None:
    source = Sessions(MNQ, parse("1d"))
    close_ns = at_ns(2026, 11, 27, 18, 15)  # the day after Thanksgiving ends at 12:15
    (stretch,) = source.whole(((at_ns(2026, 11, 24, 23), close_ns),))
    rows = hours(*stretch)
    half = source.settled(stretch, close_ns)
    assert half == Settled(at_ns(2026, 11, 25, 23), 45 * 60 * SECOND_NS)  # the hour of 18:00 goes on
    assert days(source.bars(rows, stretch, half, past=False)) == [date(2026, 11, 25)]
    assert source.settled(stretch, at_ns(2026, 11, 27, 19)) == Settled(stretch[1], 0)


def test_a_day_within_which_the_history_may_begin_is_left_out_of_the_past() -> None:
    source = Sessions(MNQ, parse("1d"))
    (stretch,) = source.whole(((at_ns(2026, 11, 17, 23), at_ns(2026, 11, 19, 22)),))
    rows = hours(*stretch)
    assert len(source.bars(rows, stretch, ALL, past=True)) == 2
    assert days(source.bars(rows[1:], stretch, ALL, past=True)) == [date(2026, 11, 19)]
    assert len(source.bars(rows[1:], stretch, ALL, past=False)) == 2
    assert len(source.bars(rows[:0], stretch, ALL, past=True)) == 0
    assert len(source.bars(rows[1:2], stretch, ALL, past=True)) == 0


def test_an_hour_without_a_trade_has_no_say() -> None:
    source = Sessions(MNQ, parse("1d"))
    (stretch,) = source.whole(((at_ns(2026, 11, 17, 23), at_ns(2026, 11, 18, 22)),))
    rows = hours(*stretch)
    rows["volume"][[0, -1]] = 0
    rows["high"][0] = 1 << 40
    (made,) = source.bars(rows, stretch, ALL, past=False)
    assert (made["open"], made["close"]) == (rows["open"][1], rows["close"][-2])
    assert made["high"] == rows["high"][1:-1].max()
