"""Which files go, and when the bytes of what went may be deleted: decisions on values, no clock and no file.

`rows` and `age_ns` say what must stay: a file goes only when all of its bars are beyond the limit. `bytes` says what
may stay: the oldest files go until the rest is within it, but the newest always stays.

A series goes from its beginning, so that a hole in its row numbers is always a loss: a file in which there are but
late revisions, older bars than those of the file before it, is as old as that one.
"""

from collections.abc import Sequence
from typing import NamedTuple

from shm.sealed import Listing, Name, Sealed

GRACE_NS = 3_600_000_000_000  # an hour in which reads that were planned before can be collected


class Limits(NamedTuple):
    """Of one timeframe of one instrument, sealed files only; None: no limit."""

    rows: int | None = None
    bytes: int | None = None
    age_ns: int | None = None


def expired(files: Sequence[Sealed], limits: Limits, now_wall_ns: int) -> list[Sealed]:
    """The files that are beyond a limit, oldest first, out of those of a listing that are read."""
    newest_first = _by_age(files)[::-1]
    gone: list[Sealed] = []
    rows = size = 0
    for i, (last_start_ns, file) in enumerate(newest_first):
        beyond = (
            (limits.rows is not None and rows >= limits.rows)
            or (limits.age_ns is not None and last_start_ns < now_wall_ns - limits.age_ns)
            or (limits.bytes is not None and size + file.bytes > limits.bytes)
        )
        rows += file.rows
        size += file.bytes
        if beyond and i > 0:
            gone.append(file)
    return gone[::-1]


def beyond_together(stores: Sequence[Sequence[Sealed]], limit_bytes: int) -> list[list[Sealed]]:
    """Of the files of each timeframe those that go so that all together are within a limit: the oldest of all first.

    The newest file of a timeframe always stays, so the rest may be more than the limit.
    """
    left_bytes = sum(file.bytes for files in stores for file in files)
    gone: list[list[Sealed]] = [[] for _ in stores]
    may_go = [(age_ns, file, place) for place, files in enumerate(stores) for age_ns, file in _by_age(files)[:-1]]
    for _, file, place in sorted(may_go, key=lambda each: (each[0], each[1].name, each[2])):
        if left_bytes <= limit_bytes:
            break
        left_bytes -= file.bytes
        gone[place].append(file)
    return gone


def _by_age(files: Sequence[Sealed]) -> list[tuple[int, Sealed]]:
    """The oldest first, each with the start of the newest bar that it or a file before it in its series has."""
    newest: dict[str, int] = {}
    aged: list[tuple[int, Sealed]] = []
    for file in sorted(files, key=lambda file: file.name):
        series = file.name.series
        newest[series] = max(newest.get(series, file.last_start_ns), file.last_start_ns)
        aged.append((newest[series], file))
    return sorted(aged, key=lambda each: (each[0], each[1].name))


def deletable(found: Listing, now_wall_ns: int) -> list[Name]:
    """The files whose hour is over, in the order in which they are to be unlinked.

    What was compacted goes before the file that it is in, and a mark after the file that it marks: whatever of this
    a kill leaves undone, nothing that went is read again.
    """
    old = now_wall_ns - GRACE_NS
    replaced = [name for name, since_ns in found.replaced if since_ns <= old]
    kept = {name for name, since_ns in found.replaced if since_ns > old}
    gone = [
        name for name, since_ns in found.gone if since_ns <= old and not any(_within(other, name) for other in kept)
    ]
    return [*replaced, *gone, *(name._replace(gone=True) for name in gone)]


def _within(name: Name, wider: Name) -> bool:
    return name.series == wider.series and wider.first <= name.first and name.last <= wider.last
