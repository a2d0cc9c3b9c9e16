"""What scripts/inspect says of a journal: a file or a folder, whole, unfinished, damaged, or with something missing."""

import errno
import os
import random
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from engine.inspection.__main__ import main
from engine.inspection.journal import examine
from engine.inspection.report import render
from engine.recorder.recorder import Options
from shm.journal import BLOCK, JournalFile, journal_files
from shm.journal_entries import Dropped, Entry, Loss, Piece, RingRecord
from shm.layout import GAP, REASON_TEXT, Reason, Record
from tests import made_journal
from tests.made_journal import GENERATION, later

SMALL = Options(block_bytes=2000, block_ns=10**18)
SEVERAL = Options(block_bytes=500, file_bytes=3000)


def _recorded(folder: Path, entries: list[Entry], options: Options = SMALL) -> list[Path]:
    recorder = made_journal.record(folder, entries, options)
    recorder.close(later(10**6))
    return journal_files(folder)


def _piece(begin: int, *parts: RingRecord) -> Piece:
    data = b"".join(map(made_journal.ring_bytes, parts))
    return Piece(0, begin, begin + len(data), memoryview(data))


def _record(sequence: int, kind: Record = Record.DATA, payload: bytes = b"x") -> RingRecord:
    return RingRecord(0, kind, sequence, 5, later(0).wall_ns, 1, payload)


def _gap_record(sequence: int, count: int, first: int) -> RingRecord:
    row = np.array((Reason.DROPPED, count, count, first), GAP)
    return _record(sequence, Record.GAP, row.tobytes())


def test_a_journal_file_is_printed_and_whole(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    made = made_journal.stream(random.Random(seed), 200)
    (path,) = _recorded(tmp_path, made.entries)
    assert main([str(path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{path}: whole\n")
    counts = [sum(record.lane == lane for record in made.records) for lane in (0, 1)]
    for part in (
        f"generation {GENERATION}, number 0",
        f"MNQ {GENERATION}.1",
        f"{counts[0]:,} records, {counts[0]:,} of them messages",
        f"MES {GENERATION}.1",
        f"{counts[1]:,} records",
        "unfinished  none",
        "2026-03-02 00:00:00 UTC to 2026-03-02 00:00:01 UTC",
    ):
        assert part in text, part
    assert max(len(line) for line in text.splitlines()[1:]) <= 100


def test_a_folder_is_one_stream(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    made = made_journal.stream(random.Random(seed), 200)
    files = _recorded(tmp_path, made.entries, SEVERAL)
    assert main([str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert f"files       {len(files)}\n" in text
    assert sum(record.lane == 0 for record in made.records) > 100
    assert f"{sum(record.lane == 0 for record in made.records):,} records" in text
    files[1].unlink()  # what a person may do, and no limit does
    assert "MNQ" in examine(tmp_path).faults[0]


def test_an_unfinished_file_is_whole_and_says_so(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 100)
    (path,) = _recorded(tmp_path, made.entries)
    path.write_bytes(path.read_bytes()[:-700])
    report = examine(path)
    assert report.whole
    assert "bytes behind their last whole blocks" in render(report)
    path.write_bytes(b"")
    assert examine(path).whole


def test_what_is_missing_is_shown_and_what_no_mark_names_is_a_fault(tmp_path: Path) -> None:
    first = _piece(0, _record(1), _record(2))
    after_drop = _piece(first.end, _gap_record(5, 2, 3), _record(6))
    dropped = Dropped(0, 3, 5, later(0).wall_ns, memoryview(b"dropped"))
    after_loss = _piece(after_drop.end + 800, _record(20))
    entries: list[Entry] = [made_journal.lane(0), first, dropped, after_drop]
    marked = [*entries, Loss(0, after_drop.end, after_loss.begin, 7, 19), after_loss]
    (path,) = _recorded(tmp_path / "marked", marked)
    report = examine(path)
    text = render(report)
    assert report.whole, text
    for part in (
        f"1 times: {REASON_TEXT[Reason.DROPPED]}",
        "2 messages missed",
        "1 messages dropped",
        f"bytes {after_drop.end:,} to {after_loss.begin:,}, sequences 7 to 19",
    ):
        assert part in text, part
    (path,) = _recorded(tmp_path / "hole", [*entries, _piece(after_drop.end, _record(9))])
    assert examine(path).faults == [f"MNQ {GENERATION}.1: 9 after 6"]


def test_damage_in_a_file_is_named(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    made = made_journal.stream(random.Random(seed), 300)
    files = _recorded(tmp_path, made.entries, SEVERAL)
    with JournalFile(files[1]) as file:
        place = file.blocks[2].offset + BLOCK.itemsize
    _flip(files[1], place)
    _flip(files[3], 40)
    assert main([str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert ": DAMAGED" in text
    assert f"the block at byte {place - BLOCK.itemsize:,} has a body that its checksum does not fit" in text
    assert f"{files[3]} has a header that its checksum does not fit" in text
    assert len(examine(tmp_path).faults) == 1  # what follows damage is no hole
    assert main([str(files[3]), str(tmp_path / "none.sbj")]) == 1
    said = capsys.readouterr().err
    assert "it is damaged" in said
    assert "none.sbj does not exist" in said


def test_salvage_by_the_command(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    made = made_journal.stream(random.Random(seed), 200)
    (path,) = _recorded(tmp_path / "journal", made.entries)
    with JournalFile(path) as file:
        _flip(path, file.blocks[-2].offset)
    out = tmp_path / "out"
    out.mkdir()
    assert main([str(path), "--salvage", str(out)]) == 0
    said = capsys.readouterr().out
    assert "are salvaged" in said
    assert "checksum does not fit" in said
    assert f"{out / path.name}: whole" in said
    assert main([str(path), "--salvage", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([str(tmp_path / "none"), "--salvage", str(tmp_path / "other")]) == 1
    assert "none does not exist" in capsys.readouterr().err
    path.write_bytes(b"nothing of ours")
    assert main([str(path), "--salvage", str(tmp_path / "other")]) == 1
    assert "is no journal" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(path), str(path), "--salvage", str(out)])


def test_salvage_of_a_folder_is_a_folder(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each file what lies before the damage; what has nothing is named, and the others are there."""
    files = _recorded(tmp_path / "journal", made_journal.stream(random.Random(seed), 300).entries, SEVERAL)
    out = tmp_path / "out"
    assert main([str(tmp_path), "--salvage", str(out)]) == 0  # a data folder: its journal is meant
    assert [path.read_bytes() for path in journal_files(out)] == [path.read_bytes() for path in files]
    capsys.readouterr()
    with JournalFile(files[1]) as file:
        _flip(files[1], file.blocks[2].offset)
    _flip(files[3], 40)
    again = tmp_path / "again"
    assert main([str(tmp_path / "journal"), "--salvage", str(again)]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert f"{files[3]} has a header that its checksum does not fit" in said.err
    assert f"{files[1].name}: 2 blocks of" in said.out
    assert f"{again}: DAMAGED" in said.out  # what is missing now has no mark
    assert [path.name for path in journal_files(again)] == [path.name for path in files if path != files[3]]
    with JournalFile(again / files[1].name) as file:
        assert (len(file.blocks), file.finished) == (2, True)
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), "--salvage", str(out)]) == 1
    assert "has no journal files" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_one_fault_and_the_others_are_told(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = made_journal.stream(random.Random(seed), 300)
    files = _recorded(tmp_path, made.entries, SEVERAL)
    kept = tmp_path / "kept"
    opened = os.open

    def refused(path: Path, flags: int, mode: int = 0o777) -> int:
        if path == files[1] and stat.S_IMODE(files[1].stat().st_mode) == 0:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))  # the superuser is not refused
        return opened(path, flags, mode)

    monkeypatch.setattr("shm.journal_bytes.os.open", refused)
    files[1].rename(kept)
    for make, said in (
        (lambda: files[1].symlink_to(kept), f"{files[1]} is a symbolic link, and those are not followed"),
        (lambda: files[1].mkdir(), "it is not a regular file"),
        (lambda: os.mkfifo(files[1]), "it is not a regular file"),
        (lambda: os.mknod(files[1], 0), f"{files[1]} cannot be read: Permission denied"),
        (lambda: shutil.copy(files[2], files[1]), f"{files[1]} was {files[2].name} when it was written"),
        (
            lambda: _lengthen(kept, files[1]),
            f"{files[1]} has an end that its checksum does not fit, or bytes behind it",
        ),
    ):
        make()
        report = examine(tmp_path)
        assert len(report.faults) == 1
        assert said in report.faults[0]
        assert f"files       {len(files) - 1}\n" in render(report)
        files[1].rmdir() if files[1].is_dir() else files[1].unlink()
    files[1].symlink_to(kept)
    assert main([str(files[1])]) == 1
    assert "is a symbolic link" in capsys.readouterr().err
    files[1].unlink()
    files[1].write_bytes(b"")  # nothing was written: what is missing shows by the positions
    assert "MNQ" in examine(tmp_path).faults[0]


def _lengthen(path: Path, to: Path) -> None:
    shutil.copy(path, to)
    os.truncate(to, 200 << 30)


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
