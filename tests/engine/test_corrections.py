"""The mended days, each rule by a day that it changes and one beside it that it leaves."""

from datetime import date

import pytest

from engine.calendars import Family
from engine.corrections import Day, at, corrected

OPEN = at(17) - at(24)


def day(text: str, close: int = at(16)) -> Day:
    return Day(date.fromisoformat(text), OPEN, close)


def mended(text: str, close: int, family: Family) -> list[int]:
    return [right.close for right in corrected([day(text, close)], family)]


@pytest.mark.parametrize("family", [Family.EQUITY, Family.ENERGY_AND_METALS])
def test_the_day_was_a_quarter_of_an_hour_longer(family: Family) -> None:
    assert mended("2015-09-18", at(16), family) == [at(16, 15)]
    assert mended("2015-09-21", at(16), family) == [at(16)]


def test_equities_paused_until_june_2021() -> None:
    assert corrected([day("2021-06-25")], Family.EQUITY)[0].breaks == ((at(15, 15), at(15, 30)),)
    assert corrected([day("2021-06-28")], Family.EQUITY)[0].breaks == ()
    assert corrected([day("2020-11-27", at(12, 15))], Family.EQUITY)[0].breaks == ()
    assert corrected([day("2021-06-25")], Family.ENERGY_AND_METALS)[0].breaks == ()


@pytest.mark.parametrize(
    ("good_friday", "is_open"),
    [("2021-04-02", True), ("2023-04-07", True), ("2024-03-29", False), ("2025-04-18", False), ("2026-04-03", True)],
)
def test_good_friday_is_open_only_with_the_jobs_report(good_friday: str, is_open: bool) -> None:
    assert mended(good_friday, at(8, 15), Family.EQUITY) == ([at(8, 15)] if is_open else [])


@pytest.mark.parametrize(
    ("text", "listed", "right"),
    [
        ("2009-01-19", at(12), at(16, 15)),  # no halt that holiday
        ("2009-05-22", at(16), at(15, 15)),  # a Friday before a holiday
        ("2013-07-04", at(12), at(12, 15)),
        ("2014-07-04", at(12), at(12)),
        ("2021-09-06", at(12), at(12)),
        ("2022-09-05", at(12), at(13, 30)),
        ("2025-07-04", at(13, 30), at(12)),  # a Friday
        ("2024-07-04", at(13, 30), at(13, 30)),
        ("2024-11-29", at(12, 45), at(12, 45)),
        ("2025-11-28", at(12, 45), at(13, 45)),
        ("2025-12-24", at(16), at(12, 45)),
        ("2026-12-24", at(12, 45), at(12, 45)),
        ("2025-12-23", at(16), at(16)),
    ],
)
def test_energy_and_metals(text: str, listed: int, right: int) -> None:
    assert mended(text, listed, Family.ENERGY_AND_METALS) == [right]
    assert mended(text, listed, Family.NONE) == [listed]
