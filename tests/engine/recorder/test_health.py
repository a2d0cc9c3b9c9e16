"""The states of a disk, and when it is tried again."""

import errno
import os

import pytest

from engine.recorder.health import FIRST_DELAY_NS, MAX_DELAY_NS, STALLED_NS, Health, State


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (errno.ENOSPC, State.FULL),
        (errno.EDQUOT, State.FULL),
        (errno.EIO, State.BROKEN),
        (errno.EROFS, State.BROKEN),
        (errno.EACCES, State.BROKEN),
    ],
)
def test_full_is_apart_from_broken_and_a_block_that_was_taken_ends_both(number: int, state: State) -> None:
    health = Health()
    health.failed(_error(number), 0)
    assert (health.state, health.why, health.is_writable) == (state, os.strerror(number), False)
    health.turned(10 * STALLED_NS)
    assert health.state == state  # a late turn says nothing new
    health.wrote()
    assert (health.state, health.why, health.is_writable) == (State.RECORDING, "", True)


def test_it_is_tried_after_a_time_that_doubles_up_to_a_limit() -> None:
    health, now_ns, delays = Health(), 0, []
    for _ in range(9):
        health.failed(_error(errno.EIO), now_ns)
        delay_ns = FIRST_DELAY_NS
        while not health.may_try(now_ns + delay_ns):
            delay_ns += FIRST_DELAY_NS
        delays.append(delay_ns)
        assert not health.may_try(now_ns + delay_ns - 1)
        now_ns += delay_ns
    assert delays == [min(FIRST_DELAY_NS << n, MAX_DELAY_NS) for n in range(9)]
    health.wrote()
    health.failed(_error(errno.EIO), now_ns)
    assert health.may_try(now_ns + FIRST_DELAY_NS)


def test_a_late_turn_is_a_stall_until_one_in_time() -> None:
    health = Health()
    states = []
    for now_ns in (5, 5 + STALLED_NS, 6 + 2 * STALLED_NS, 7 + 2 * STALLED_NS):
        health.turned(now_ns)
        states.append(health.state)
        assert health.is_writable
    assert states == [State.RECORDING, State.RECORDING, State.STALLED, State.RECORDING]
