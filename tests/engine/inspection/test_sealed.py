"""What scripts/inspect says of a bar file that is whole, damaged, or wrong in what it says."""

from pathlib import Path

import polars as pl
import pytest

from engine.inspection.__main__ import main
from engine.inspection.report import render
from engine.inspection.sealed import examine
from engine.keeper.sealing import file_bytes
from shm.bars_frame import frame
from shm.sealed import FETCHED, LIVE, Name
from tests import made_bars


def _write(folder: Path, bars: pl.DataFrame, series: str = LIVE) -> Path:
    name = Name(series, 0, len(bars))
    path = folder / name.text
    path.write_bytes(file_bytes(bars, name, made_bars.subject(), 1))
    return path


def test_a_bar_file_is_printed_and_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path, frame(made_bars.plain(300), made_bars.QUARTERS))
    assert main([str(path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{path}: whole\n")
    for part in ("MNQ", "1min", "0.25", "300 in 1 batches", "0 to 299", "2026-03-02 00:00:00", "04:59:00", "1 hold"):
        assert part in text
    assert max(len(line) for line in text.splitlines()[1:]) <= 100
    told = _write(tmp_path, frame(made_bars.plain(3), made_bars.QUARTERS), FETCHED)
    assert "the venue told" in render(examine(told))


def test_a_damaged_column_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path, frame(made_bars.plain(300), made_bars.QUARTERS))
    data = bytearray(path.read_bytes())
    data[3000] ^= 8
    path.write_bytes(data)
    assert main([str(path)]) == 1
    text = capsys.readouterr().out
    assert ": DAMAGED" in text
    assert "BAD  checksums of batches: 0 hold: batch 0: its checksum does not fit its bytes" in text


@pytest.mark.parametrize("content", [b"", b"ARROW1" + b"x" * 500, b"x" * 10])
def test_a_foreign_file_is_one_sentence(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / Name(LIVE, 0, 10).text
    path.write_bytes(content)
    other = tmp_path / "any.arrow"
    pl.DataFrame({"a": [1]}).write_ipc(other)
    assert main([str(path), str(other)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 2
    assert str(path) in said.err
    assert "none that shardbook sealed" in said.err


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (pl.all().reverse(), "in order"),
        (pl.col("start").first(), "no key is twice: 4 rows"),
        (pl.col("number") + 1, "in the range of the file: 1 rows"),
        (pl.col("high") - 100, "low <= open, close <= high: 5 rows"),
        (pl.col("buy_volume") + pl.col("volume"), "not more than volume: 5 rows"),
        (pl.col("end").dt.offset_by("-9d"), "ends before it starts: 5 rows"),
    ],
)
def test_rows_that_cannot_be_are_counted(tmp_path: Path, change: pl.Expr, what: str) -> None:
    bars = frame(made_bars.plain(5), made_bars.QUARTERS).with_columns(change)
    if what == "in order":  # as the table says it, or the file would not open
        bars = pl.concat([bars[4:], bars[2:3], bars[1:2], bars[3:4], bars[:1]])
    report = examine(_write(tmp_path, bars))
    faults = [f"{check.what}: {check.fault}" for check in report.checks if check.fault]
    assert len(faults) == 1
    assert what in faults[0]
