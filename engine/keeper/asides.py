"""Hot files that a worker set aside, because one was damaged or had what was no longer wanted: they go in time.

The newest always stays: its number tells the worker which row numbers were given before.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from shm.bars import ASIDE

from .disk import Disk

MAX_KEPT: Final = 4  # of an instrument
MAX_AGE_NS: Final = 30 * 86_400 * 10**9

_log = logging.getLogger(__name__)


class Aside(NamedTuple):
    """One of them; `since_wall_ns`: when it was set aside."""

    number: int
    since_wall_ns: int


def beyond(found: Sequence[Aside], now_wall_ns: int) -> list[Aside]:
    """Those that go, oldest first: all above MAX_KEPT, and what is older than MAX_AGE_NS."""
    in_order = sorted(found)
    return [
        each
        for place, each in enumerate(in_order[:-1])
        if place < len(in_order) - MAX_KEPT or each.since_wall_ns < now_wall_ns - MAX_AGE_NS
    ]


def listed(folder: Path) -> list[Aside]:
    """Those in an instrument's folder. Raises OSError."""
    found = []
    for path in folder.glob(f"{ASIDE}*"):
        number = path.name.removeprefix(ASIDE)
        if number.isascii() and number.isdigit() and str(int(number)) == number:
            found.append(Aside(int(number), path.lstat().st_ctime_ns))  # a rename and a link set that time
    return found


def sweep(disk: Disk, folder: Path, now_wall_ns: int) -> int:
    """Delete those that go: how many. Raises OSError."""
    gone = beyond(listed(folder), now_wall_ns)
    for each in gone:
        path = folder / f"{ASIDE}{each.number}"
        disk.unlink(path)
        _log.info("%s is deleted: newer ones were set aside, or it was for long", path)
    return len(gone)
