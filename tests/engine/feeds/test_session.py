"""engine/feeds/session.py: the table is whole, and the pauses grow."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.feeds.session import TABLE, Event, State, advance, backoff_ns


def test_every_state_can_be_reached() -> None:
    reached = {State.OFFLINE}
    for _ in State:
        reached |= {after for (before, _), after in TABLE.items() if before in reached}
    assert reached == set(State)


def test_every_state_but_the_last_can_be_stopped_and_nothing_follows_the_last() -> None:
    assert all(TABLE[state, Event.STOP] is State.CLOSED for state in State if state is not State.CLOSED)
    assert not any(before is State.CLOSED for before, _ in TABLE)


def test_every_loss_ends_in_a_pause_and_every_pause_in_a_login() -> None:
    assert {after for (_, event), after in TABLE.items() if event is Event.LOST} == {State.BACKING_OFF}
    assert TABLE[State.BACKING_OFF, Event.DONE] is State.LOGGING_IN


def test_streaming_is_reached_only_by_subscribing() -> None:
    assert [pair for pair, after in TABLE.items() if after is State.STREAMING] == [(State.SUBSCRIBING, Event.DONE)]


def test_a_pair_that_is_not_there_is_an_error() -> None:
    for pair in itertools.product(State, Event):
        if pair in TABLE:
            assert advance(*pair) is TABLE[pair]
        else:
            with pytest.raises(LookupError, match=f"{pair[1].name} cannot happen to a feed that is {pair[0].name}"):
                advance(*pair)


@given(attempt=st.integers(0, 10_000), random=st.floats(0, 1, exclude_max=True))
def test_a_pause_is_between_half_of_it_and_all_of_it(attempt: int, random: float) -> None:
    longest = min(30_000, 100 << min(attempt, 20))
    assert longest / 2 <= backoff_ns(attempt, random, 100, 30_000) <= longest
    assert backoff_ns(attempt, random, 100, 30_000) >= backoff_ns(attempt, 0.999999, 100, 30_000)
