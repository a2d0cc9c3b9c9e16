"""engine/history/planning.py: windows that cover what is wanted, each within a page, few, and at fixed times."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.history.planning import (
    MAX_BARS,
    MAX_WINDOWS,
    HistoryRefusal,
    Window,
    asked,
    length_of,
    rest,
    windows,
)
from shm.timeframe import parse

MINUTE_NS = 60 * 10**9
moments = st.integers(0, 400)


@given(st.lists(st.tuples(moments, moments), max_size=6), st.integers(1, 7), st.integers(8, 30))
def test_all_that_is_wanted_is_in_exactly_one_window(ranges: list[tuple[int, int]], length_ns: int, limit: int) -> None:
    made = windows(ranges, length_ns, limit)
    assert made == sorted(made, reverse=True)
    for newer, older in pairwise(made):
        assert older.end_ns <= newer.start_ns
    for window in made:
        assert 0 < window.end_ns - window.start_ns <= (limit - 2) * length_ns
        assert window.start_ns % length_ns == window.end_ns % length_ns == 0
        wide = asked(window, length_ns)
        assert wide.end_ns // length_ns - wide.start_ns // length_ns + 1 <= limit, "with both ends it is a page"
    covered = {at for window in made for at in range(window.start_ns, window.end_ns)}
    assert {at for start, end in ranges for at in range(start, end)} <= covered


@given(moments, moments, moments)
def test_windows_of_the_past_stay_the_same_when_the_end_moves_on(start: int, first_end: int, later: int) -> None:
    before, after = (windows([(start, end)], 1, 20) for end in (first_end, first_end + later))
    assert set(before[1:]) <= set(after)


def test_many_small_ranges_near_each_other_are_one_request() -> None:
    ranges = [(minute * MINUTE_NS, (minute + 1) * MINUTE_NS) for minute in range(100, 1000, 7)]
    assert windows(ranges, MINUTE_NS) == [Window(100 * MINUTE_NS, 997 * MINUTE_NS)]


def test_more_than_is_fetched_at_once_is_refused_with_the_days_that_go() -> None:
    most_ns = (MAX_BARS - 2) * MAX_WINDOWS * MINUTE_NS
    assert len(windows([(0, most_ns)], MINUTE_NS)) == MAX_WINDOWS
    with pytest.raises(HistoryRefusal, match="at most 1389 days"):
        windows([(0, most_ns + 1)], MINUTE_NS)
    with pytest.raises(HistoryRefusal):
        windows([(0, 1), (most_ns, 10**30)], MINUTE_NS)
    with pytest.raises(HistoryRefusal):
        windows([(at * most_ns, at * most_ns + 1) for at in range(MAX_WINDOWS + 1)], MINUTE_NS)


@pytest.mark.parametrize(
    ("first", "last", "parts"),
    [
        (10, 19, []),
        (13, 19, [Window(10, 13)]),
        (10, 15, [Window(16, 20)]),
        (12, 17, [Window(10, 12), Window(18, 20)]),
    ],
)
def test_of_a_full_page_what_it_lacks_is_asked_for_again(first: int, last: int, parts: list[Window]) -> None:
    assert rest(Window(10, 20), first, last, 1) == parts


@pytest.mark.parametrize(("name", "length_s"), [("1s", 1), ("15min", 900), ("4hr", 14_400)])
def test_bars_of_the_clock_have_a_length(name: str, length_s: int) -> None:
    assert length_of(parse(name)) == length_s * 10**9


@pytest.mark.parametrize(("name", "why"), [("1day", "trading days"), ("1month", "1hr"), ("100tick", "keeps no")])
def test_others_are_refused(name: str, why: str) -> None:
    with pytest.raises(HistoryRefusal, match=why):
        length_of(parse(name))
