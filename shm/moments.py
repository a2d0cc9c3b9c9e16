"""Moments as readers name them, in nanoseconds since 1970."""

import operator
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeAlias

from .layout import NEVER_NS

Moment: TypeAlias = datetime | date | int  # a datetime without a zone is UTC, a date its midnight in UTC

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(moment: Moment, name: str = "the time") -> int:
    """Nanoseconds since 1970; a whole number is that already. TypeError, which calls it `name`, for what is no time."""
    if isinstance(moment, date):
        at = moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)
        aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(microseconds=1) * 1000
    try:
        return operator.index(moment)
    except TypeError:
        raise TypeError(f"{name} is a datetime, a date or nanoseconds since 1970, not {moment!r:.40}") from None


def stamp_ns(moment: Moment) -> int:
    """As `nanoseconds`, of a moment that records can have been stamped with. ValueError for one beyond 64 bits."""
    time_ns = nanoseconds(moment)
    if not -NEVER_NS <= time_ns <= NEVER_NS:
        raise ValueError(
            f"{moment} is no time: nanoseconds since 1970 are counted from the year 1677 up to the year 2262"
        )
    return time_ns
