"""engine/history/page.py: what of an answer are bars, and what is left out and counted."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.history import page
from engine.history.page import Page, read
from engine.history.planning import Window
from shm.layout import BAR, BarFlag
from tests.engine.history.kept_bars import SECOND_NS, TICK, sent

START_S = 1_795_357_920  # a whole minute
MINUTE_NS = 60 * SECOND_NS
WINDOW = Window(START_S * SECOND_NS, START_S * SECOND_NS + 10 * MINUTE_NS)
LATER_NS = WINDOW.end_ns + MINUTE_NS


def minute(number: int, **changed: Any) -> dict[str, Any]:
    return sent(START_S + 60 * number) | changed


def seen(*rows: object, now_ns: int = LATER_NS, increment: int = TICK) -> Page:
    return read(rows, WINDOW, MINUTE_NS, increment, now_ns)


def test_a_bar_becomes_ticks_and_is_closed_and_repaired() -> None:
    rows, refused, extent = seen(minute(3, o=-0.5, h=1.75, l=-2, c=0.25, v=87))
    assert not refused
    assert rows.dtype == BAR
    (row,) = rows
    start_ns = WINDOW.start_ns + 3 * MINUTE_NS
    assert extent == (start_ns, start_ns)
    expected = {name: 0 for name in BAR.names or ()} | {
        **{"start_ns": start_ns, "end_ns": start_ns + MINUTE_NS, "volume": 87},
        **{"open": -2, "high": 7, "low": -8, "close": 1, "flags": BarFlag.COMPLETE | BarFlag.REPAIRED},
    }
    assert {name: int(row[name]) for name in BAR.names or ()} == expected


def test_without_volume_it_says_no_trade() -> None:
    (row,) = seen(minute(0, v=0)).rows
    assert row["flags"] & BarFlag.NO_TRADE


@pytest.mark.parametrize(
    "stamp",
    [
        *("2026-11-22T14:32:00+00:00", "2026-11-22T14:32:00", "2026-11-22T14:32:00Z", "2026-11-22T08:32:00-06:00"),
        *("2026-11-22T14:32:00.0000000+00:00", "2026-11-22T14:32:00.000Z"),
    ],
)
def test_every_form_of_a_stamp_that_was_ever_seen(stamp: str) -> None:
    at = 1_795_357_920 * SECOND_NS
    assert seen(minute(0, t=stamp)).rows["start_ns"].tolist() == [at]


@pytest.mark.parametrize(
    "row",
    [
        *(None, [], "bar", 7, {}, minute(0, t=None), minute(0, t=START_S), minute(0, t="yesterday")),
        *(minute(0, t="9" * 41), minute(0, t="2026-11-22T14:32:00.5Z"), minute(0, t="0001-01-01T00:00:00+14:00")),
        *(minute(0, t="9999-12-31T23:59:00Z"), minute(0, t="1970-01-01T00:00:00Z")),
        *(minute(0, v=-1), minute(0, v=10**15 + 1), minute(0, v=1.0), minute(0, v=True), minute(0, v=None)),
        *(minute(0, c=value) for value in (None, "1", True, math.nan, math.inf, -math.inf, 1e18, -2e6, 10**400)),
    ],
)
def test_what_is_no_bar_is_left_out_and_counted(row: object) -> None:
    rows, refused, extent = seen(row, minute(1))
    assert len(rows) == 1
    assert refused == {page.NO_BAR: 1}
    assert extent == (WINDOW.start_ns + MINUTE_NS,) * 2


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (minute(0, c=100.3), page.OFF_GRID),
        (minute(0, o=100.250000001), page.OFF_GRID),
        (minute(0, h=99.75), page.UNORDERED),
        (minute(0, l=100.5, h=101), page.UNORDERED),
        (minute(-2), page.OUTSIDE),
        (minute(11), page.OUTSIDE),
    ],
)
def test_what_cannot_be_right_is_left_out_and_counted(row: dict[str, Any], why: str) -> None:
    rows, refused, _ = seen(row, minute(1))
    assert len(rows) == 1
    assert refused == {why: 1}


def test_the_bars_beside_the_window_were_asked_for_and_are_no_fault() -> None:
    rows, refused, extent = seen(minute(-1), minute(0), minute(9), minute(10))
    assert rows["start_ns"].tolist() == [WINDOW.start_ns, WINDOW.start_ns + 9 * MINUTE_NS]
    assert not refused
    assert extent == (WINDOW.start_ns, WINDOW.start_ns + 9 * MINUTE_NS)


def test_a_bar_that_is_not_over_is_left_out() -> None:
    over_ns = WINDOW.start_ns + 5 * MINUTE_NS
    rows, refused, _ = seen(minute(4), minute(5), now_ns=over_ns)
    assert rows["end_ns"].tolist() == [over_ns]
    assert refused == {page.UNFINISHED: 1}


def test_of_bars_that_came_twice_the_one_with_more_volume_stays() -> None:
    rows, refused, _ = seen(minute(2, v=5), minute(2, v=9), minute(1), minute(2, v=5))
    assert rows["volume"].tolist() == [3, 9]
    assert refused == {page.TWICE: 2}


@given(st.permutations(range(10)))
def test_the_order_of_an_answer_does_not_matter(order: list[int]) -> None:
    rows = seen(*(minute(number, v=number) for number in order)).rows
    assert rows["volume"].tolist() == list(range(10))


@given(st.integers(-2_000_000 * 20_000 + 1, 2_000_000 * 20_000 - 1))
def test_no_price_is_moved_by_being_a_float(ticks: int) -> None:
    """6E has ticks of 0.00005, which no float is."""
    price = ticks * 50_000 / 10**9
    (row,) = seen(minute(0, o=price, h=price, l=price, c=price), increment=50_000).rows
    assert {int(row[name]) for name in ("open", "high", "low", "close")} == {ticks}


def test_an_empty_page() -> None:
    rows, refused, extent = seen()
    assert (len(rows), refused, extent) == (0, {}, None)
    assert rows.dtype == BAR
    assert isinstance(rows, np.ndarray)
