"""Moments in nanoseconds."""

from datetime import UTC, datetime, timedelta, timezone

from shm.moments import nanoseconds


def test_a_moment_is_the_same_however_it_is_named() -> None:
    wanted = 1_772_409_600_000_001_000
    assert nanoseconds(wanted) == wanted
    assert nanoseconds(datetime(2026, 3, 2, microsecond=1)) == wanted
    assert nanoseconds(datetime(2026, 3, 2, microsecond=1, tzinfo=UTC)) == wanted
    assert nanoseconds(datetime(2026, 3, 1, 18, microsecond=1, tzinfo=timezone(timedelta(hours=-6)))) == wanted
