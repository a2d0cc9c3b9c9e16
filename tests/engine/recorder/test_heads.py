"""What a file begins with, so that those before it can be deleted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.recorder.heads import Heads
from engine.recorder.predecessor import read_left
from engine.recorder.recorder import Options, Recorder
from engine.replayer.stretches import entries_of, stretches
from shm.journal import JournalFile, journal_files
from shm.journal_entries import Entry, Head, Piece, Standing, standing
from shm.layout import Record
from shm.refill import words_of
from shm.stretches import StretchReader
from tests import made_journal, recorded_minute
from tests.made_journal import later
from tests.recorded_minute import GENERATION, SYMBOLS
from workers.passage import Passage
from workers.rerun import Rerun

SMALL = Options(block_bytes=2000, file_bytes=20_000)


@pytest.fixture
def entries(seed: int) -> list[Entry]:
    return recorded_minute.made(np.random.default_rng(seed), 400)


def test_the_newest_of_each_kind_stands_in_order_of_sequences() -> None:
    heads = Heads()
    config, hours, rolled = (
        Standing(kind, sequence, b"%d" % sequence)
        for kind, sequence in ((Record.CONFIG, 1), (Record.SESSIONS, 2), (Record.CONFIG, 3))
    )
    assert heads.take(0, [config, hours])
    assert bytes(heads.head(0, 99).data) == b"12"
    assert heads.take(0, [rolled])
    assert heads.head(0, 99) == Head(0, 99, memoryview(b"23"))
    assert not heads.take(0, [config, hours, rolled])  # they came once more
    assert not heads.take(1, [])
    assert list(heads.lanes()) == [0]
    heads.forget(0)
    assert list(heads.lanes()) == []


def test_each_file_begins_with_its_lanes_and_their_heads(tmp_path: Path, entries: list[Entry]) -> None:
    made_journal.record(tmp_path, entries, SMALL).close(later(1000))
    first, *others = (_entries([path]) for path in journal_files(tmp_path))
    assert len(others) > 2
    stands = {entry.lane: bytes(entry.data) for entry in first if isinstance(entry, Head)}
    assert sorted(stands) == [0, 1]
    for found in others:
        assert found[:2] == entries[:2]
        heads = [entry for entry in found[2:4] if isinstance(entry, Head)]
        assert {head.lane: bytes(head.data) for head in heads} == stands
        for head in heads:
            assert [each.kind for each in standing(head.data)] == [Record.CONFIG]
            assert head.position == next(
                each.begin for each in found if isinstance(each, Piece) and each.lane == head.lane
            )


def test_who_takes_the_place_of_a_recorder_goes_on_with_its_heads(tmp_path: Path, entries: list[Entry]) -> None:
    made_journal.record(tmp_path, entries[:200], SMALL)  # killed
    left = read_left(tmp_path, GENERATION)
    assert sorted(left.heads) == [0, 1]
    recorder = Recorder(tmp_path, GENERATION, SMALL, left=left)
    recorder.take(entries[150:], later(1000))
    recorder.close(later(1000))
    last = _entries(journal_files(tmp_path)[-1:])
    assert {entry.lane for entry in last[:4] if isinstance(entry, Head)} == {0, 1}


def test_killed_between_piece_and_head_the_next_one_writes_it(tmp_path: Path, entries: list[Entry]) -> None:
    made_journal.record(tmp_path, entries[:4], Options(block_bytes=1))
    (path,) = journal_files(tmp_path)
    with JournalFile(path) as file:
        (block,) = [each for each in file.blocks if any(isinstance(entry, Head) for entry in file.entries_of(each))][:1]
    path.write_bytes(path.read_bytes()[: block.offset])
    left = read_left(tmp_path, GENERATION)
    assert left.heads == {}
    recorder = Recorder(tmp_path, GENERATION, SMALL, left=left)
    recorder.take(entries[2:], later(1000))
    recorder.close(later(1000))
    assert {entry.lane for entry in _entries(journal_files(tmp_path)) if isinstance(entry, Head)} == {0, 1}


def test_without_the_first_files_the_rest_plays(tmp_path: Path, entries: list[Entry]) -> None:
    """The contract is known, all later trades are there, and the book comes with the next snapshot."""
    made_journal.record(tmp_path, entries, SMALL).close(later(1000))
    kept = journal_files(tmp_path)[1:]
    pieces = [entry for entry in _entries(kept) if isinstance(entry, Piece)]
    for lane, symbol in enumerate(SYMBOLS):
        bare = Rerun()
        for piece in pieces:
            if piece.lane == lane:
                bare.take(words_of(bytes(piece.data)))
        assert bare.memory.state["trades"][0] == 0  # nobody knows whose they are
        rerun, played = Rerun(), Rerun()
        for stretch in StretchReader(symbol).read(_entries(kept)):
            rerun.take(words_of(bytes(stretch.data or b"")))
        for found in stretches(entries_of(kept), [symbol]):
            played.take(found.words)
        assert rerun.memory.state["trades"][0] > 0
        assert rerun.memory.state["tape_digest"][0] == played.memory.state["tape_digest"][0] != 0

        passage = Passage(symbol, None)
        with JournalFile(kept[0]) as file:
            passage.advance(file)
            first_wall_ns = min(block.first_wall_ns for block in file.blocks if block.first_wall_ns)
        assert min(interval.least_wall_ns for interval in passage.intervals) >= first_wall_ns


def _entries(files: Sequence[Path]) -> list[Entry]:
    return list(entries_of(files))
