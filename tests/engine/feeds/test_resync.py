"""engine/feeds/resync.py: when one instrument is subscribed again, and when only a new connection helps."""

import itertools
from dataclasses import dataclass, field

import pytest

from engine.feeds.resync import FORGIVEN_AFTER_NS, MAX_PAUSE_NS, Action, Limits, Seen, Watched, decide, pause_ns
from shm.layout import Reason

MS = 1_000_000
LIMITS = Limits(timeout_ns=2000 * MS, max_silence_ns=30_000 * MS)


@dataclass
class Instrument:
    """One instrument that is polled; it remembers what it was told."""

    now_ms: int = 1000
    watched: Watched = field(default_factory=lambda: Watched(wanted=0))
    told: list[tuple[int, Action, Reason]] = field(default_factory=list)

    def look(self, after_ms: int, **seen: object) -> Action:
        self.now_ms += after_ms
        values = {"wanted": self.watched.wanted, "messages": self.watched.messages} | seen
        decision = decide(self.watched, LIMITS, self.now_ms * MS, Seen(**values))  # type: ignore[arg-type]
        self.watched = decision.watched
        if decision.action is not Action.WAIT:
            self.told.append((self.now_ms, decision.action, decision.reason))
        return decision.action


def test_nothing_wanted_nothing_done() -> None:
    instrument = Instrument()
    assert {instrument.look(20, messages=n) for n in range(100)} == {Action.WAIT}


def test_the_first_wish_is_answered_at_once_and_once() -> None:
    instrument = Instrument()
    assert instrument.look(20, wanted=3) is Action.RESUBSCRIBE
    assert instrument.look(20, answered=True) is Action.WAIT
    assert instrument.look(10_000) is Action.WAIT
    assert instrument.told == [(1020, Action.RESUBSCRIBE, Reason.RESYNC)]


def test_more_wishes_wait_longer_and_longer_but_never_end_the_connection() -> None:
    instrument = Instrument()
    for wanted in range(1, 2001):
        instrument.look(20, wanted=wanted, answered=True)
    assert {action for _, action, _ in instrument.told} == {Action.RESUBSCRIBE}
    times = [time for time, _, _ in instrument.told]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses[:5] == [500, 1000, 2000, 4000, 8000]
    assert set(pauses[5:]) == {8000}


def test_a_quiet_while_is_forgiven() -> None:
    instrument = Instrument()
    for wanted in (1, 2, 3):
        instrument.look(5000, wanted=wanted, answered=True)
    assert instrument.watched.attempts == 3
    instrument.look(20, answered=True)
    instrument.look(FORGIVEN_AFTER_NS // MS)
    assert instrument.watched.attempts == 0
    assert instrument.look(20, wanted=4) is Action.RESUBSCRIBE


@pytest.mark.parametrize(("after_ms", "action"), [(1999, Action.WAIT), (2000, Action.RECONNECT)])
def test_no_snapshot_in_time_ends_the_connection(after_ms: int, action: Action) -> None:
    instrument = Instrument()
    instrument.look(20, wanted=1)
    assert instrument.look(after_ms, messages=50) is action


def test_an_error_ends_the_connection() -> None:
    instrument = Instrument()
    instrument.look(20, wanted=1)
    assert instrument.look(20, failed=True) is Action.RECONNECT


@pytest.mark.parametrize(("after_ms", "action"), [(29_999, Action.WAIT), (30_000, Action.RESUBSCRIBE)])
def test_silence_after_speech_is_a_wish(after_ms: int, action: Action) -> None:
    instrument = Instrument()
    instrument.look(20, messages=1)
    assert instrument.look(after_ms) is action
    if action is Action.RESUBSCRIBE:
        assert instrument.told[0][2] is Reason.SILENCE


def test_an_instrument_that_never_spoke_is_not_silent() -> None:
    instrument = Instrument()
    assert instrument.look(10**9) is Action.WAIT


def test_silence_is_told_once_until_it_speaks_again() -> None:
    instrument = Instrument()
    instrument.look(20, messages=1)
    instrument.look(30_000)
    instrument.look(500, answered=True)
    for _ in range(10):
        instrument.look(30_000)
    assert len(instrument.told) == 1
    instrument.look(20, messages=2)
    assert instrument.look(30_000) is Action.RESUBSCRIBE


def test_a_frozen_stream_is_subscribed_again_at_once_and_the_second_time_ends_the_connection() -> None:
    instrument = Instrument()
    instrument.look(20, wanted=1)
    assert instrument.look(20, answered=True, frozen=True) is Action.RESUBSCRIBE
    assert instrument.look(20, answered=True) is Action.WAIT
    assert instrument.look(29_959, messages=9, frozen=True) is Action.RECONNECT
    assert [reason for _, _, reason in instrument.told] == [Reason.RESYNC, Reason.SILENCE, Reason.SILENCE]


def test_a_proof_that_comes_while_a_snapshot_is_awaited_does_not_put_the_cure_off() -> None:
    instrument = Instrument()
    instrument.look(20, messages=1)
    assert instrument.look(30_000) is Action.RESUBSCRIBE
    assert instrument.look(500, frozen=True) is Action.WAIT
    assert instrument.look(1500) is Action.RECONNECT


def test_a_stream_that_freezes_again_much_later_is_subscribed_again() -> None:
    instrument = Instrument()
    instrument.look(20, frozen=True)
    instrument.look(20, answered=True)
    assert instrument.look(FORGIVEN_AFTER_NS // MS, frozen=True) is Action.RESUBSCRIBE


def test_who_is_vouched_for_is_not_silent_and_the_limit_counts_from_the_last_time() -> None:
    instrument = Instrument()
    instrument.look(20, messages=1)
    assert {instrument.look(1000, vouched=True) for _ in range(100)} == {Action.WAIT}
    assert instrument.look(29_999) is Action.WAIT
    assert instrument.look(1) is Action.RESUBSCRIBE


def test_pauses_double_up_to_a_limit() -> None:
    assert [pause_ns(attempts) // MS for attempts in (1, 2, 3, 4, 5, 6, 999)] == [
        500,
        1000,
        2000,
        4000,
        8000,
        8000,
        8000,
    ]
    assert pause_ns(10**6) == MAX_PAUSE_NS
