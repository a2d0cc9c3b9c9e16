"""engine/clock.py: clock frames, and the gap that comes before them when our own tick was late."""

import pytest

from engine.clock import LATE_NS, TICK_NS, Clock
from shm.layout import Reason
from tests.engine.recording import RecordingRing, page


def test_a_tick_writes_a_visible_clock_frame_into_every_ring() -> None:
    rings, counters = [RecordingRing(), RecordingRing()], page()
    clock = Clock(rings, counters, lambda: 77)
    clock.tick()
    clock.tick()
    assert all(ring.done == [("clock",), ("publish",)] * 2 for ring in rings)
    assert (counters.read("heartbeat"), counters.read("tick_ns"), counters.read("pauses")) == (2, 77, 0)


@pytest.mark.parametrize(("late_ns", "paused"), [(LATE_NS - 1, False), (LATE_NS, True)])
def test_a_late_tick_says_so_before_its_clock_frame(late_ns: int, paused: bool) -> None:
    ring, counters, now = RecordingRing(), page(), [0]
    clock = Clock([ring], counters, lambda: now[0])
    now[0] = TICK_NS + late_ns
    clock.tick()
    gap = [("gap", Reason.ENGINE_PAUSED)] if paused else []
    assert ring.done == [*gap, ("clock",), ("publish",)]
    assert counters.read("pauses") == paused


def test_data_that_comes_before_a_late_tick_finds_the_gap_in_front_of_it() -> None:
    ring, now = RecordingRing(), [0]
    clock = Clock([ring], page(), lambda: now[0])
    now[0] = 10 * LATE_NS
    clock.notice(now[0])
    ring.push(b"data")
    clock.tick()
    assert ring.done == [("gap", Reason.ENGINE_PAUSED), ("push", b"data"), ("clock",), ("publish",)]


def test_a_ring_that_comes_hears_the_time_and_one_that_leaves_does_not() -> None:
    stays, leaves, comes = RecordingRing(), RecordingRing(), RecordingRing()
    clock = Clock([stays, leaves], page(), lambda: 77)
    clock.add(comes)
    clock.remove(leaves)
    clock.tick()
    assert stays.done == comes.done == [("clock",), ("publish",)]
    assert leaves.done == []
