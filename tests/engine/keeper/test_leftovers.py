"""Which rows of files that were set aside are sealed, and which are left alone."""

from pathlib import Path

import pytest

from engine.keeper.hot import Hot
from engine.keeper.leftovers import leftovers
from shm.layout import Rows
from tests import made_bars
from tests.engine.keeper.writing import HotWriter
from tests.made_bars import QUARTERS

NEXT = 1 << 24  # the first number of the file in its place


def aside(data: Path, number: int, timeframes: str, *counts: int, first: int = 0) -> HotWriter:
    """A file set aside, with so many rows of each timeframe."""
    writer = HotWriter(data, "MNQ", timeframes, first=first)
    for t, count in enumerate(counts):
        writer.put(made_bars.plain(count, first), t)
    writer.set_aside(number)
    return writer


def found(data: Path, timeframes: str = "1m 5m", first: int = NEXT) -> list[tuple[str, int, int]]:
    """Of each stretch of rows its timeframe, its first number and its last one."""
    folder = HotWriter(data, "MNQ", timeframes, first=first).folder

    def said(name: str, rows: Rows) -> tuple[str, int, int]:
        return name, int(rows["number"][0]), int(rows["number"][-1])

    return [said(timeframe.name, rows) for timeframe, rows in leftovers(folder, "MNQ", Hot(folder, "MNQ"))]


def test_files_in_the_order_in_which_they_were_set_aside(tmp_path: Path) -> None:
    aside(tmp_path, 2, "1m", 10, first=NEXT // 2)
    aside(tmp_path, 10, "1m", 10, first=NEXT - 100)
    aside(tmp_path, 1, "1m 5m", 20, 5)
    assert found(tmp_path) == [
        ("1min", 0, 19),
        ("5min", 0, 4),
        ("1min", NEXT // 2, NEXT // 2 + 9),
        ("1min", NEXT - 100, NEXT - 91),
    ]


def test_rows_that_were_carried_over_are_not_among_them(tmp_path: Path) -> None:
    aside(tmp_path, 1, "1m 5m 9tick", 20, 5, 7)
    assert found(tmp_path, "1m 5m", first=0) == [("9tick", 0, 6)]  # which nobody wants any more


def test_a_timeframe_whose_count_is_damaged_is_left_out_alone(tmp_path: Path) -> None:
    aside(tmp_path, 1, "1m 5m", 20, 5).damage_slots()
    assert found(tmp_path) == [("5min", 0, 4)]


def test_other_scales_and_what_is_no_file_of_bars_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    aside(tmp_path, 1, "1m", 20).rescale(QUARTERS._replace(price_increment=50))
    (tmp_path / "bars" / "MNQ" / "hot.aside-2").write_bytes(b"no bars")
    assert found(tmp_path) == []
    assert "hot.aside-1 have another tick or unit" in caplog.text
    assert "hot.aside-2 cannot be had" in caplog.text
