"""Which sealed files become one: those of a finished day, and later those of a finished month.

A file belongs to the time of its last bar. Files of the same month become one when that month is over, files of the
same day when only the day is; today's stay as they were sealed. Only neighbours in row numbers are put together, and
never more than a file may hold, so a long month of short bars becomes a few files. What was put together once is
put together again only with a file that came later.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from shm.sealed import MAX_FILE_ROWS, Sealed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plan(files: Sequence[Sealed], now_wall_ns: int, max_rows: int = MAX_FILE_ROWS) -> list[tuple[Sealed, ...]]:
    """Groups of two files and more that should be one, out of those of a listing that are read."""
    return [group for group in _groups(files, _day(now_wall_ns), max_rows) if len(group) > 1]


def _groups(files: Sequence[Sealed], today: date, max_rows: int) -> Iterator[tuple[Sealed, ...]]:
    group: list[Sealed] = []
    rows = 0
    for file in sorted(files, key=lambda file: (file.name.series, file.name.first)):
        if group and (rows + file.rows > max_rows or not _together(group[-1], file, today)):
            yield tuple(group)
            group, rows = [], 0
        group.append(file)
        rows += file.rows
    if group:
        yield tuple(group)


def _together(before: Sealed, after: Sealed, today: date) -> bool:
    if before.name.series != after.name.series or before.name.last != after.name.first or before.scale != after.scale:
        return False
    return _period(before, today) == _period(after, today) != (0, 0, 0)


def _period(file: Sealed, today: date) -> tuple[int, int, int]:
    """Its month or day; (0, 0, 0) for a file of today or later."""
    day = _day(file.last_start_ns)
    if (day.year, day.month) < (today.year, today.month):
        return day.year, day.month, 0
    return (day.year, day.month, day.day) if day < today else (0, 0, 0)


def _day(wall_ns: int) -> date:
    return (_EPOCH + timedelta(microseconds=wall_ns // 1000)).date()
