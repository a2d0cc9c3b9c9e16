"""What scripts/inspect says of hot bars, and of a folder of bars: whole, damaged, foreign."""

import os
from datetime import date
from pathlib import Path

import pytest

from engine import inspection
from engine.keeper.doubts import Doubts
from engine.keeper.store import Store
from engine.sessions import marked_sessions
from shm import layout
from shm.bars_frame import frame
from shm.life import LifeLock
from shm.sealed import open_sealed
from tests import made_bars
from tests.made_bars import BEGIN_NS, QUARTERS, plain
from tests.made_hot import MadeHot

HOUR_NS = 3600 * 10**9


@pytest.fixture
def hot(tmp_path: Path) -> MadeHot:
    """Sixty hours, of which forty are sealed; one of those was told by the venue too."""
    made = MadeHot(tmp_path / "bars" / "MNQ")
    rows = plain(60, step_ns=HOUR_NS)
    made.append(rows, forming=plain(1, 60, BEGIN_NS + 60 * HOUR_NS, HOUR_NS))
    store = Store(made.path.parent / "1hr", made_bars.subject("1hr"))
    made.sealed_to = store.seal(rows[:40], 1)
    again = rows[5:6].copy()
    again["revision"] = 1
    store.add(frame(again, QUARTERS), 1)
    made.tell_hours(marked_sessions("CME_Equity", date(2026, 3, 2), date(2026, 3, 3)))
    return made


def _said(capsys: pytest.CaptureFixture[str], *paths: Path) -> tuple[int, str]:
    status = inspection.main([str(path) for path in paths])
    said = capsys.readouterr()
    return status, said.out + said.err


def test_hot_bars_are_printed_and_whole(hot: MadeHot, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = _said(capsys, hot.path)
    assert status == 0
    for part in (
        *("kind            bars", "price step  0.25", "row 60 is next, sealed to 40, 1 forming"),
        *("6, 2 of them regular hours", "2026-03-01 23:00 to 2026-03-03 22:00 UTC", "1hr: 20 hot rows"),
    ):
        assert part in text
    assert max(len(line) for line in text.splitlines()[1:]) <= 100


def test_what_is_damaged_in_hot_bars_is_named(hot: MadeHot, capsys: pytest.CaptureFixture[str]) -> None:
    hot.segment.array("rows")["volume"][45] += 1
    hot.segment.array("sessions")["rows"]["close_ns"][1, 0] = 0
    status, text = _said(capsys, hot.path)
    assert status == 1
    assert "BAD  1hr: 20 hot rows" not in text
    assert "BAD  1hr: 19 hot rows with their checksums: 1 torn" in text
    assert "0, 0 of them" in text  # hours that are not whole count as none
    bad = plain(1, 60, BEGIN_NS + 60 * HOUR_NS, HOUR_NS)
    bad["low"] = bad["high"] + 1
    hot.append(bad)
    assert "prices, volumes and times of a bar fit: 1 rows" in _said(capsys, hot.path)[1]
    hot.segment.array("slots")["count"] += 1
    assert "BAD  1hr: one of its two copies is whole" in _said(capsys, hot.path)[1]
    hot.segment.array("frames")["amount"] = 2  # hours of two would be sound: only the checksum tells
    assert "BAD  what it says of itself: " in _said(capsys, hot.path)[1]
    assert "table of timeframes is damaged: a checksum does not fit" in _said(capsys, hot.path)[1]


def test_a_damaged_scale_in_hot_bars_is_named(hot: MadeHot, capsys: pytest.CaptureFixture[str]) -> None:
    hot.segment.array("control")[layout.BARS_SCALE + 1] += 1
    status, text = _said(capsys, hot.path)
    assert status == 1
    assert "scale of prices and sizes is damaged" in text


@pytest.mark.parametrize("below", ["bars", "bars/MNQ"])
def test_a_folder_of_bars_is_all_that_is_in_it(
    hot: MadeHot, tmp_path: Path, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = _said(capsys, tmp_path / below)
    assert (status, text.count(": whole\n")) == (0, 2)
    assert f"{hot.path}: whole" in text
    assert f"{hot.path.parent / '1hr'}: whole" in text
    assert "1 files, 40 bars, 2026-03-02 00:00:00 UTC to 2026-03-03 15:00:00 UTC, rows to 40" in text


def test_a_damaged_file_in_a_folder_is_named(hot: MadeHot, capsys: pytest.CaptureFixture[str]) -> None:
    folder = hot.path.parent / "1hr"
    live, fetched = sorted(folder.iterdir())
    data = bytearray(live.read_bytes())
    batch = open_sealed(live).batches[0]
    data[batch.offset + batch.header_bytes + 16] ^= 8
    live.write_bytes(data)
    fetched.write_bytes(fetched.read_bytes()[:-1])
    status, text = _said(capsys, folder)
    assert status == 1
    assert f"{live.name}: checksums of batches: 0 hold: batch 0" in text
    assert f"BAD  files with a name of ours: 1 believed: {fetched}" in text


def test_a_folder_without_bars_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "any").mkdir()
    status, text = _said(capsys, tmp_path)
    assert (status, text.count("\n")) == (1, 1)
    assert "holds no bars" in text


def test_a_file_set_aside_is_read_and_said_to_be_one(hot: MadeHot, capsys: pytest.CaptureFixture[str]) -> None:
    aside = hot.path.with_name("hot.aside-1")
    hot.path.rename(aside)
    status, text = _said(capsys, aside)
    assert status == 0
    for part in ("set aside", "another file took its place", "row 60 is next, sealed to 40"):
        assert part in text
    aside.write_bytes(aside.read_bytes()[:-1])
    status, text = _said(capsys, aside)
    assert status == 1
    assert "set aside" in text
    assert "BAD  a whole file of hot bars" in text


@pytest.mark.parametrize("what", ["a folder", "a fifo", "text"])
def test_what_is_no_file_of_hot_bars_is_bad_and_the_rest_is_told(
    hot: MadeHot, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hot.path.unlink()
    if what == "a folder":
        hot.path.mkdir()
    elif what == "a fifo":
        os.mkfifo(hot.path)
    else:
        hot.path.write_text("bars")
    for path in (hot.path, hot.path.parent):
        status, text = _said(capsys, path)
        assert status == 1
        assert f"{hot.path}: DAMAGED" in text
        assert "BAD  a whole file of hot bars: " in text
    assert f"{hot.path.parent / '1hr'}: whole" in text


def test_what_lies_beside_bars_is_told_in_words(hot: MadeHot, capsys: pytest.CaptureFixture[str]) -> None:
    lock, listed = hot.path.with_name("writer.lock"), hot.path.parent / "1hr" / "doubts.json"
    held = LifeLock.take(lock)
    status, text = _said(capsys, lock)
    assert (status, "held: a process works here" in text) == (0, True)
    held.release()
    assert "free" in _said(capsys, lock)[1]
    listed.write_bytes(Doubts(60, open=((BEGIN_NS, BEGIN_NS + HOUR_NS),)).to_json())
    status, text = _said(capsys, listed)
    assert status == 0
    assert "what the keeper asks the venue for" in text
    assert "1, from 2026-03-02 00:00:00 UTC to 2026-03-02 01:00:00 UTC" in text
    listed.write_text("{")
    status, text = _said(capsys, listed)
    assert (status, "BAD  a list of what the venue is to be asked for" in text) == (1, True)
