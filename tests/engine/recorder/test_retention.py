"""Which journal files go beyond a limit."""

from pathlib import Path

import pytest

from engine.recorder.disk import Kept
from engine.recorder.retention import Limits, expired

NOW_NS = 1_000
FILES = [Kept(Path(f"{day}"), 100, day) for day in range(1, 6)]


@pytest.mark.parametrize(
    ("limits", "gone"),
    [
        (Limits(), 0),
        (Limits(bytes=500), 0),
        (Limits(bytes=499), 1),
        (Limits(bytes=200), 3),
        (Limits(bytes=0), 4),  # the newest stays
        (Limits(age_ns=NOW_NS - 1), 0),
        (Limits(age_ns=NOW_NS - 3), 2),
        (Limits(age_ns=0), 4),
        (Limits(bytes=400, age_ns=NOW_NS - 4), 3),
    ],
)
def test_limits(limits: Limits, gone: int) -> None:
    assert expired(FILES, limits, NOW_NS) == FILES[:gone]


def test_a_file_goes_with_all_that_is_older() -> None:
    files = [Kept(Path("touched"), 100, NOW_NS), *FILES]
    assert expired(files, Limits(age_ns=NOW_NS - 2), NOW_NS) == files[:2]
    assert expired([], Limits(bytes=0), NOW_NS) == []
