"""The recorder on a disk that does what it is told: blocks, files, days, limits, and what was missing when it came."""

import random
from pathlib import Path

from engine.recorder.recorder import Options, Recorder
from engine.recorder.retention import Limits
from shm.journal import JournalFile, journal_files, records
from shm.journal_entries import Dropped, Loss, Piece
from tests import made_journal
from tests.made_journal import GENERATION, later


def test_a_block_is_closed_by_size_or_by_time(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 40, lanes=1)
    recorder = Recorder(tmp_path, GENERATION, Options(block_bytes=10**6, block_ns=100 * made_journal.MS))
    recorder.take(made.entries, later(0))
    recorder.tick(later(99))
    assert (recorder.counts.blocks, recorder.unwritten) == (0, len(made.entries))
    recorder.tick(later(100))
    assert (recorder.counts.blocks, recorder.unwritten) == (2, 0)  # the lanes that a file begins with, and this
    small = made_journal.record(tmp_path, made.entries, Options(block_bytes=1, block_ns=10**18))
    assert small.counts.blocks == len(made.entries) + 1


def test_files_roll_by_size_and_by_day_and_name_their_lanes_again(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 120)
    recorder = made_journal.record(tmp_path, made.entries, Options(block_bytes=500, file_bytes=4000))
    files = len(journal_files(tmp_path))
    assert files > 3
    recorder.take([Dropped(0, 1, 2, 3, memoryview(b""))], later(86_400_000))
    recorder.close(later(86_400_000))
    opened = [JournalFile(path) for path in journal_files(tmp_path)]
    assert len(opened) == files + 1
    assert all(file.finished for file in opened)
    assert list(records(opened, symbols={"MNQ", "MES"})) == made.records
    assert all(list(file.entries())[:2] == made.entries[:2] for file in opened[1:])
    again = made_journal.record(tmp_path, made.entries[:3], Options(block_bytes=1))
    assert again.counts.files == 1
    assert len(journal_files(tmp_path)) == files + 2  # a successor in the same generation begins a file of its own
    for file in opened:
        file.close()


def test_the_oldest_files_go_and_never_the_open_one(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 200)
    limited = Options(block_bytes=500, file_bytes=3000, limits=Limits(bytes=10_000))
    recorder = made_journal.record(tmp_path, made.entries, limited)
    left = journal_files(tmp_path)
    assert recorder.counts.deleted == recorder.counts.files - len(left) > 0
    assert sum(path.stat().st_size for path in left) < 10_000 + 3000 + 1000
    small = Options(block_bytes=500, file_bytes=3000, limits=Limits(bytes=1))
    recorder = made_journal.record(tmp_path / "small", made.entries, small)
    assert len(journal_files(tmp_path / "small")) == 1


def test_pieces_that_do_not_touch_are_marked(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 20, lanes=1)
    gone = made.entries.pop(10)
    assert isinstance(gone, Piece)
    recorder = made_journal.record(tmp_path, made.entries, Options(block_bytes=1))
    (loss,) = (entry for entry in made_journal.all_entries(tmp_path) if isinstance(entry, Loss))
    assert loss[:3] == gone[:3]
    kept = [record.sequence for record in records([JournalFile(path) for path in journal_files(tmp_path)])]
    missing = sorted({record.sequence for record in made.records} - set(kept))
    assert [loss.first_sequence, loss.last_sequence] == [missing[0], missing[-1]]
    assert recorder.counts.jumps == 1
