"""Where the batches of a file end, and that the file is Arrow whatever they are."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.keeper.sealing import GAP_BARS, MAX_GAPS, file_bytes
from shm.bars_frame import frame
from shm.sealed import FETCHED, LIVE, Name, open_sealed, verify
from tests import made_bars
from tests.made_bars import QUARTERS, SECOND_NS

MINUTE_NS = 60 * SECOND_NS
MINUTES_APART = [GAP_BARS, GAP_BARS + 1, 5 * GAP_BARS]


def batches(folder: Path, series: str, apart: list[int]) -> list[int]:
    """The rows of each batch of a file with ten bars, these minutes, ten bars, and so on."""
    rows = made_bars.plain(10 * (len(apart) + 1))
    rows["start_ns"] += np.repeat(np.cumsum([0, *apart]), 10) * MINUTE_NS
    rows["end_ns"] = rows["start_ns"] + MINUTE_NS
    bars, name = frame(rows, QUARTERS), Name(series, 0, len(rows))
    path = folder / name.text
    path.write_bytes(file_bytes(bars, name, made_bars.subject(), 1))
    sealed = open_sealed(path)
    assert [fault for _, fault in verify(sealed) if fault] == []
    assert pl.read_ipc(path).equals(bars)
    assert pl.scan_ipc(path).slice(7, 9).collect().equals(bars[7:16])
    arrow = pytest.importorskip("pyarrow.ipc").open_file(str(path))
    counts = [arrow.get_batch(i).num_rows for i in range(arrow.num_record_batches)]
    assert counts == [batch.rows for batch in sealed.batches]
    return counts


def test_the_venues_bars_are_cut_where_time_is_left_out(tmp_path: Path) -> None:
    assert batches(tmp_path, FETCHED, MINUTES_APART) == [20, 10, 10]


def test_our_own_are_not(tmp_path: Path) -> None:
    assert batches(tmp_path, LIVE, MINUTES_APART) == [40]


def test_of_very_many_gaps_the_widest_count(tmp_path: Path) -> None:
    apart = [2 * GAP_BARS] * MAX_GAPS
    apart[3:5] = 3 * GAP_BARS, 3 * GAP_BARS
    counts = batches(tmp_path, FETCHED, [*apart, 4 * GAP_BARS, 4 * GAP_BARS])
    assert len(counts) == MAX_GAPS + 1
    assert counts[-2:] == [10, 10]


def test_batches_of_equal_size_with_gaps_between_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.keeper.sealing.BATCH_ROWS", 16)
    assert batches(tmp_path, FETCHED, MINUTES_APART) == [16, 4, 10, 2, 8]
