"""Which journal files go, by size and by age: decisions on values, no clock and no file."""

from collections.abc import Sequence
from typing import NamedTuple

from .disk import Kept


class Limits(NamedTuple):
    """Of all journal files together; None: no limit."""

    bytes: int | None = None
    age_ns: int | None = None  # since a file was last written


def expired(files: Sequence[Kept], limits: Limits, now_wall_ns: int) -> list[Kept]:
    """The files beyond a limit, oldest first. `files`: oldest first; the newest is being written and always stays.

    A file goes with all that is older, so that what is left is one stretch of time.
    """
    size = 0
    for i in range(len(files) - 1, -1, -1):
        size += files[i].bytes
        beyond = (limits.bytes is not None and size > limits.bytes) or (
            limits.age_ns is not None and files[i].modified_wall_ns < now_wall_ns - limits.age_ns
        )
        if beyond:
            return list(files[: min(i + 1, len(files) - 1)])
    return []
