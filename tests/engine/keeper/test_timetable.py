"""Which months are told, and what is made of impossible times."""

from datetime import UTC, date, datetime

import pytest

from engine.config import SymbolSettings
from engine.keeper.timetable import months_about, sessions_between
from shm.layout import KEPT_SESSIONS
from tests.made_bars import DAY_NS


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (date(2026, 3, 1), date(2026, 2, 1), date(2026, 4, 30)),
        (date(2026, 1, 31), date(2025, 12, 1), date(2026, 2, 28)),
        (date(2026, 12, 31), date(2026, 11, 1), date(2027, 1, 31)),
        (date(2028, 1, 15), date(2027, 12, 1), date(2028, 2, 29)),
    ],
)
def test_three_months(day: date, first: date, last: date) -> None:
    assert months_about(day) == (first, last)


@pytest.mark.parametrize("calendar", ["24/7", "CMEGlobex_Grains", "CME_Equity"])
def test_three_months_of_any_calendar_fit_into_a_worker(calendar: str) -> None:
    at_ns = int(datetime(2026, 8, 15, tzinfo=UTC).timestamp()) * 10**9
    settings = SymbolSettings("X", calendar=calendar)
    assert 60 < len(sessions_between(settings, at_ns - 38 * DAY_NS, at_ns + 38 * DAY_NS)) < KEPT_SESSIONS


@pytest.mark.parametrize("at_ns", [0, -(10**18), 200 * 365 * DAY_NS])
def test_times_beyond_the_tables_have_no_sessions(at_ns: int) -> None:
    assert len(sessions_between(SymbolSettings("MNQ"), at_ns, at_ns + DAY_NS)) == 0
