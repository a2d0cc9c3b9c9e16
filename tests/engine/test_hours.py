"""Trading hours handed from the keeper to the engine: whole or not at all, and nothing else is taken for them."""

from pathlib import Path

import numpy as np
import pytest

from engine import hours
from shm.errors import LayoutError
from shm.layout import KEPT_SESSIONS, SESSION

HOUR_NS = 3600 * 10**9


def rows_of(count: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    rows = np.zeros(count, SESSION)
    rows["open_ns"] = np.arange(count) * 24 * HOUR_NS
    rows["close_ns"] = rows["open_ns"] + 23 * HOUR_NS
    rows["trading_day"] = np.arange(count)
    return rows


@pytest.mark.parametrize("count", [1, KEPT_SESSIONS])
def test_what_was_written_is_read(tmp_path: Path, count: int) -> None:
    path = hours.path_of(tmp_path, "MNQ")
    hours.write(path, rows_of(1))
    hours.write(path, rows_of(count))
    assert hours.read(path).tobytes() == rows_of(count).tobytes()
    assert [each.name for each in tmp_path.iterdir()] == ["MNQ.sessions"]


@pytest.mark.parametrize("count", [0, KEPT_SESSIONS + 1])
def test_none_and_too_many_are_not_written(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match="sessions"):
        hours.write(tmp_path / "MNQ.sessions", rows_of(count))


def test_any_other_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "MNQ.sessions"
    hours.write(path, rows_of(2))
    good = path.read_bytes()
    for bad in (b"", good[:-1], good + b"\0", good[:5] + bytes([good[5] ^ 1]) + good[6:], good[:-8], good * 200):
        path.write_bytes(bad)
        with pytest.raises(LayoutError, match=r"MNQ\.sessions"):
            hours.read(path)


def test_hours_that_overlap_are_refused(tmp_path: Path) -> None:
    rows = rows_of(3)
    rows["close_ns"][0] = rows["open_ns"][1] + 1
    hours.write(tmp_path / "MNQ.sessions", rows)
    with pytest.raises(LayoutError, match="not in order"):
        hours.read(tmp_path / "MNQ.sessions")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    hours.write(tmp_path / "other", rows_of(1))
    (tmp_path / "MNQ.sessions").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic"):
        hours.read(tmp_path / "MNQ.sessions")
