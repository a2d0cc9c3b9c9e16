"""Names of bars: every alias means one thing, and what is no name is refused with a sentence."""

import pytest

from shm.timeframe import Timeframe, Unit, parse

SHOWN = [
    "1sec",
    "5sec",
    "15sec",
    "30sec",
    "1min",
    "5min",
    "15min",
    "30min",
    "1hr",
    "4hr",
    "1day",
    "1week",
    "1month",
    "100tick",
    "500vol",
    "1000000usd",
]


@pytest.mark.parametrize("name", SHOWN)
def test_a_shown_name_is_its_own_name(name: str) -> None:
    assert parse(name).name == name


@pytest.mark.parametrize(
    ("short", "shown"),
    [
        ("1s", "1sec"),
        ("1m", "1min"),
        ("1h", "1hr"),
        ("1d", "1day"),
        ("1w", "1week"),
        ("1mo", "1month"),
        (" 5M ", "5min"),
    ],
)
def test_short_names_mean_the_same(short: str, shown: str) -> None:
    assert parse(short).name == shown


@pytest.mark.parametrize(
    "name", ["", "m", "0m", "-1m", "1.5m", "7sec", "7min", "5hr", "2day", "1year", "1 m", "1" * 13 + "tick"]
)
def test_what_is_no_timeframe_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no timeframe|does not divide a day|one at a time"):
        parse(name)


def test_lengths_and_kinds() -> None:
    assert parse("15s").length_ns == 15 * 10**9
    assert parse("4hr").length_ns == 4 * 3600 * 10**9
    assert parse("1week").is_session
    assert parse("1week").is_time
    assert not parse("100tick").is_time
    assert parse("100tick") == Timeframe(Unit.TICK, 100)
    with pytest.raises(KeyError):
        _ = parse("1month").length_ns
