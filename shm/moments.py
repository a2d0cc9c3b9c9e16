"""Moments as readers name them, in nanoseconds since 1970."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(moment: datetime | int) -> int:
    """A datetime without a zone is UTC, an int is nanoseconds already."""
    if not isinstance(moment, datetime):
        return int(moment)  # numpy's integers too, which are what rows have
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000
