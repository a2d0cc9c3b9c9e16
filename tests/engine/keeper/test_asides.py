"""Hot files that were set aside: which of them go, and when."""

import time
from pathlib import Path

from engine.keeper import asides
from engine.keeper.asides import MAX_AGE_NS, MAX_KEPT, Aside, beyond
from engine.keeper.disk import Disk

NOW_NS = 10**18


def _numbers(gone: list[Aside]) -> list[int]:
    return [each.number for each in gone]


def test_what_is_more_than_a_few_goes_oldest_first() -> None:
    found = [Aside(number, NOW_NS) for number in (10, 2, 9, 7, 8, 3)]
    assert _numbers(beyond(found, NOW_NS)) == [2, 3]
    assert len(found) - 2 == MAX_KEPT
    assert beyond(found[:MAX_KEPT], NOW_NS) == []


def test_what_is_old_goes_but_the_newest_stays() -> None:
    """A worker numbers its rows above those of the file with the highest number, so there is always one."""
    old = NOW_NS - MAX_AGE_NS - 1
    assert _numbers(beyond([Aside(1, old), Aside(2, NOW_NS), Aside(3, old)], NOW_NS)) == [1]
    assert beyond([Aside(3, old)], NOW_NS) == []
    assert beyond([], NOW_NS) == []


def test_only_what_has_such_a_name_is_deleted(tmp_path: Path) -> None:
    others = {"hot", "hot.aside-", "hot.aside-x", "hot.aside-01", "1min", "writer.lock"}
    for name in (*others, *(f"hot.aside-{number}" for number in range(1, 7))):
        (tmp_path / name).touch()
    assert asides.sweep(Disk(), tmp_path, time.time_ns()) == 2
    assert {path.name for path in tmp_path.iterdir()} == others | {f"hot.aside-{number}" for number in range(3, 7)}
    assert asides.sweep(Disk(), tmp_path, time.time_ns() + MAX_AGE_NS + 10**9) == 3
    assert {path.name for path in tmp_path.iterdir()} == others | {"hot.aside-6"}
