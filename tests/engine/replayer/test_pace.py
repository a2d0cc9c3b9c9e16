"""When a record is due: as recorded, over the speed."""

from engine.replayer.pace import FOREVER_NS, MAX_PAUSE_NS, Pace

S = 1_000_000_000


def test_records_come_as_far_apart_as_they_did() -> None:
    pace = Pace(1.0, None)
    pace.meet(100 * S, 7 * S)
    assert pace.due_ns(7 * S) == 100 * S
    assert pace.due_ns(7 * S + 5) == 100 * S + 5
    assert pace.wait_ns(100 * S + 300, 7 * S + 100) == 200


def test_a_speed_is_so_many_times_as_fast() -> None:
    pace = Pace(4.0, None)
    pace.meet(100 * S, 0)
    assert pace.due_ns(10) == 100 * S + 40
    assert pace.wait_ns(100 * S + 40, 0) == 10


def test_without_a_speed_all_is_due() -> None:
    pace = Pace(None, None)
    pace.meet(100 * S, 0)
    assert pace.due_ns(0) == FOREVER_NS
    assert pace.wait_ns(200 * S, 0) == 0
    assert pace.free_ns == FOREVER_NS


def test_free_of_the_pace_is_only_what_is_from_before_its_beginning() -> None:
    assert Pace(1e6, None).free_ns == 0
    pace = Pace(1.0, 100 * S)
    assert pace.free_ns == 100 * S
    assert pace.due_ns(0) == pace.free_ns - 1


def test_a_pause_without_any_record_is_not_waited_for() -> None:
    pace = Pace(1.0, None)
    pace.meet(100 * S, 0)
    pace.meet(100 * S + MAX_PAUSE_NS, 0)
    assert pace.due_ns(0) == 100 * S
    pace.meet(5000 * S, 0)
    assert pace.due_ns(0) == 5000 * S


def test_a_clock_that_was_set_back_and_a_slow_worker_begin_a_new_count() -> None:
    pace = Pace(1.0, None)
    pace.meet(100 * S, 0)
    pace.meet(50 * S, 1)
    assert pace.due_ns(1) == 50 * S


def test_what_is_before_the_beginning_is_due_at_once() -> None:
    pace = Pace(1.0, 200 * S)
    pace.meet(100 * S, 0)
    assert pace.due_ns(0) == 200 * S - 1
    pace.meet(200 * S, 3 * S)
    assert pace.due_ns(3 * S) == 200 * S
    assert pace.due_ns(4 * S) == 201 * S
