"""Questions to session rows: against a plain loop over the rows, for every time that could matter."""

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shm.layout import LEVEL, SESSION
from shm.timeframe import Unit
from shm.trading_days import UNKNOWN_DAY, Change, is_open, next_changes, periods, trading_day_of


def rows_of(*sessions: tuple[int, int, int]) -> npt.NDArray[np.void]:
    return np.array([(*session, 0) for session in sessions], SESSION)


WEEK = rows_of((10, 20, 100), (22, 30, 100), (30, 40, 101), (60, 70, 104))


@st.composite
def tables(draw: st.DrawFn) -> npt.NDArray[np.void]:
    """Up to twelve sessions, some of which touch, some of one day."""
    at, day, sessions = draw(st.integers(-50, 50)), draw(st.integers(-10, 20_000)), []
    for _ in range(draw(st.integers(1, 12))):
        opens = at + draw(st.integers(0, 5))
        at = opens + draw(st.integers(1, 9))
        sessions.append((opens, at, day))
        day += draw(st.integers(0, 40))
    return rows_of(*sessions)


@given(tables())
def test_every_time_is_in_the_session_that_a_loop_finds(rows: npt.NDArray[np.void]) -> None:
    times = list(range(int(rows["open_ns"][0]) - 3, int(rows["close_ns"][-1]) + 3))
    inside = [sum(row["open_ns"] <= at < row["close_ns"] for row in rows) for at in times]
    assert set(inside) <= {0, 1}
    assert list(is_open(rows, times)) == [bool(count) for count in inside]
    days = trading_day_of(rows, times)
    for at, found in zip(times, days.tolist(), strict=True):
        begun = [int(row["trading_day"]) for row in rows if row["open_ns"] <= at]
        assert found == (begun[-1] if begun and at < rows["close_ns"][-1] else UNKNOWN_DAY)
    known = days[days != UNKNOWN_DAY]
    assert (np.diff(known) >= 0).all()


@given(tables(), st.sampled_from([Unit.DAY, Unit.WEEK, Unit.MONTH]))
def test_periods_are_what_the_calendar_of_trading_days_says(rows: npt.NDArray[np.void], unit: Unit) -> None:
    def key(day: int) -> object:
        at = date(1970, 1, 1) + timedelta(days=day)
        return {Unit.DAY: at, Unit.WEEK: at.isocalendar()[:2], Unit.MONTH: (at.year, at.month)}[unit]

    expected: dict[object, list[int]] = {}
    for row in rows:
        day = int(row["trading_day"])
        period = expected.setdefault(key(day), [int(row["open_ns"]), 0, day])
        period[1] = int(row["close_ns"])
    found = [[int(row[name]) for name in ("open_ns", "close_ns", "trading_day")] for row in periods(rows, unit)]
    assert found == list(expected.values())


@given(tables(), st.integers(-60, 250), st.integers(1, 30))
def test_next_changes_are_all_that_come_next(rows: npt.NDArray[np.void], after: int, count: int) -> None:
    every = [
        Change(int(row[name]), name == "open_ns", int(row["trading_day"]))
        for row in rows
        for name in ("open_ns", "close_ns")
    ]
    assert next_changes(rows, after, count) == [change for change in every if change.at_ns > after][:count]


def test_a_session_includes_its_open_and_not_its_close() -> None:
    assert list(is_open(WEEK, [9, 10, 19, 20, 21, 22, 29, 30, 69, 70])) == [
        False,
        *[True] * 2,
        *[False] * 2,
        *[True] * 4,
        False,
    ]


def test_a_late_print_counts_to_the_session_before() -> None:
    assert list(trading_day_of(WEEK, [21, 45, 59, 60])) == [100, 101, 101, 104]
    assert list(trading_day_of(WEEK, [9, 70])) == [UNKNOWN_DAY, UNKNOWN_DAY]
    assert trading_day_of(WEEK, 30) == 101


def test_nothing_is_changed_in_the_rows_that_are_asked() -> None:
    before = WEEK.copy()
    periods(WEEK, Unit.WEEK)
    assert (before == WEEK).all()
    assert len(periods(WEEK[:0], Unit.DAY)) == 0


def test_what_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="minute bars are not bounded by sessions"):
        periods(WEEK, Unit.MINUTE)
    with pytest.raises(ValueError, match="there are no session rows"):
        is_open(WEEK[:0], [1])
    with pytest.raises(ValueError, match=r"session rows are of layout\.SESSION"):
        trading_day_of(np.zeros(1, LEVEL), [1])
