"""Moments in nanoseconds."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shm.layout import NEVER_NS
from shm.moments import Moment, nanoseconds, stamp_ns


def test_a_moment_is_the_same_however_it_is_named() -> None:
    wanted = 1_772_409_600_000_001_000
    assert nanoseconds(wanted) == wanted
    assert nanoseconds(datetime(2026, 3, 2, microsecond=1)) == wanted
    assert nanoseconds(datetime(2026, 3, 2, microsecond=1, tzinfo=UTC)) == wanted
    assert nanoseconds(datetime(2026, 3, 1, 18, microsecond=1, tzinfo=timezone(timedelta(hours=-6)))) == wanted


@pytest.mark.parametrize("moment", [datetime(9999, 1, 1), datetime(1, 1, 1), 2**63, -(2**63), 10**30])
def test_a_stamp_is_within_64_bits(moment: Moment) -> None:
    with pytest.raises(ValueError, match=r"is no time: nanoseconds since 1970 are .* up to the year 2262"):
        stamp_ns(moment)
    assert [stamp_ns(each) for each in (NEVER_NS, 0, -NEVER_NS)] == [NEVER_NS, 0, -NEVER_NS]
