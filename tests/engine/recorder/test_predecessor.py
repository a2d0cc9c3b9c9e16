"""What a killed recorder had written the next one knows: it writes none of it again, and marks what is missing."""

import random
from pathlib import Path

from engine.recorder.predecessor import Left, read_left
from engine.recorder.recorder import Options, Recorder
from shm.journal import journal_files
from shm.journal_entries import Dropped, Loss, Piece, span
from tests import made_journal
from tests.made_journal import GENERATION, later

AT_ONCE = Options(block_bytes=1)


def test_it_goes_on_where_the_other_was_killed(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 40)
    dropped = Dropped(1, 99, 2, 3, memoryview(b"full"))
    entries = [*made.entries[:20], dropped]
    made_journal.record(tmp_path, entries, AT_ONCE)  # not closed
    left = read_left(tmp_path, GENERATION)
    assert left.lanes == {lane.lane: lane for lane in made.entries[:2]}
    assert left.dropped == {1: 99}
    ends = {entry.lane: (entry.end, span(entry.data).last_sequence) for entry in entries if isinstance(entry, Piece)}  # type: ignore[union-attr]
    assert left.through == ends

    recorder = Recorder(tmp_path, GENERATION, AT_ONCE, left=left)
    recorder.take([dropped, *made.entries[10:]], later(1))
    recorder.close(later(1))
    assert recorder.counts.doubles == 11
    found = [entry for entry in made_journal.all_entries(tmp_path) if isinstance(entry, Piece | Dropped)]
    assert found == [*entries[2:], *made.entries[20:]]


def test_half_of_a_piece_is_new(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 2, lanes=1)
    first, second = (entry for entry in made.entries if isinstance(entry, Piece))
    recorder = made_journal.record(tmp_path, made.entries[:2], AT_ONCE)
    both = Piece(0, first.begin, second.end, memoryview(bytes(first.data) + bytes(second.data)))
    recorder.take([both], later(1))
    assert [entry for entry in made_journal.all_entries(tmp_path) if isinstance(entry, Piece)] == [first, second]


def test_what_is_missing_behind_it_is_marked(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 6, lanes=1)
    made_journal.record(tmp_path, made.entries[:3], AT_ONCE)
    recorder = Recorder(tmp_path, GENERATION, AT_ONCE, left=read_left(tmp_path, GENERATION))
    recorder.take(made.entries[5:], later(1))
    before, after = made.entries[2], made.entries[5]
    assert isinstance(before, Piece)
    assert isinstance(after, Piece)
    (loss,) = [entry for entry in made_journal.all_entries(tmp_path) if isinstance(entry, Loss)]
    first, last = span(before.data), span(after.data)
    assert first is not None
    assert last is not None
    assert loss == Loss(0, before.end, after.begin, first.last_sequence + 1, last.first_sequence - 1)


def test_of_a_ring_that_was_never_seen_all_before_its_first_piece_is_missing(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 3, lanes=1)
    recorder = made_journal.record(tmp_path, [made.entries[0], made.entries[3]], AT_ONCE)
    piece = made.entries[3]
    assert isinstance(piece, Piece)
    assert recorder.counts.jumps == 1
    (loss,) = [entry for entry in made_journal.all_entries(tmp_path) if isinstance(entry, Loss)]
    assert loss == Loss(0, 0, piece.begin, 0, 0)


def test_other_generations_and_damaged_files_say_nothing(tmp_path: Path, seed: int) -> None:
    assert read_left(tmp_path / "none", GENERATION) == Left()
    made = made_journal.stream(random.Random(seed), 20)
    made_journal.record(tmp_path, made.entries, AT_ONCE)
    assert read_left(tmp_path, GENERATION + 1) == Left()
    (path,) = journal_files(tmp_path)
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    assert read_left(tmp_path, GENERATION) == Left()
    assert read_left(path, GENERATION) == Left()  # no folder
