"""Intervals of a file: cut by count, by time, and where a ring was made anew; and what the next file begins with."""

from pathlib import Path

import numpy as np
import pytest

from shm.journal import JournalFile, journal_files
from shm.journal_entries import Entry, Lane
from shm.layout import NEVER_NS
from shm.stretches import Stream
from tests import made_past
from tests.made_journal import BEGIN
from tests.made_past import of_lane, pieces, slow_replay
from workers import passage
from workers.passage import Passage

MNQ = Lane(0, "MNQ", 7, 1, 1 << 20)


@pytest.fixture
def made(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    monkeypatch.setattr(made_past, "FILE_BYTES", 1 << 20)
    return of_lane(MNQ, pieces(np.random.default_rng(seed), 150, Stream(7, 1), BEGIN.wall_ns))


def run(folder: Path, entries: list[Entry]) -> Passage:
    made_past.record(folder, 7, entries)
    found = Passage("MNQ", None)
    with JournalFile(journal_files(folder)[-1]) as file:
        found.advance(file)
    return found


def test_an_interval_ends_after_so_many_records(
    tmp_path: Path, made: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(run(tmp_path / "one", made).intervals) == 1
    monkeypatch.setattr(passage, "MAX_RECORDS", 50)
    found = run(tmp_path / "many", made).intervals
    assert len(found) > 3
    assert [each.position for each in found] == sorted({each.position for each in found})
    assert found[0].checkpoint is None
    assert all(each.checkpoint is not None for each in found[1:])


def test_an_interval_ends_after_so_much_time(
    tmp_path: Path, made: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passage, "MAX_NS", 50_000_000)
    found = run(tmp_path, made).intervals
    assert len(found) > 2
    begins = [each.least_wall_ns for each in found]
    assert max(begins) < NEVER_NS
    assert begins[-1] - begins[0] > 50_000_000


def test_it_ends_with_what_the_next_file_begins_with(tmp_path: Path, made: list[Entry]) -> None:
    carried = run(tmp_path, made).carried
    assert carried is not None
    assert carried.checkpoint is not None
    last = slow_replay(made[1:])[-1]  # type: ignore[arg-type]
    assert carried.checkpoint.sequence == last.state["sequence"]
    assert tuple(side.tobytes() for side in carried.checkpoint.sides) == last.sides
    assert carried.position == made[-1].end  # type: ignore[union-attr]
    assert carried.least_wall_ns == carried.least_venue_ns == NEVER_NS


def test_a_ring_made_anew_begins_from_nothing(tmp_path: Path, made: list[Entry]) -> None:
    again = pieces(np.random.default_rng(2), 10, Stream(7, 2), BEGIN.wall_ns + 10**9)
    found = run(tmp_path, made + of_lane(Lane(1, "MNQ", 7, 2, 1 << 20), again)).intervals
    assert [(each.stream.made, each.checkpoint) for each in found] == [(1, None), (2, None)]


def test_of_an_instrument_that_is_not_there_there_is_nothing(tmp_path: Path, made: list[Entry]) -> None:
    made_past.record(tmp_path, 7, made)
    found = Passage("MES", None)
    with JournalFile(journal_files(tmp_path)[0]) as file:
        found.advance(file)
    assert found.intervals == []
    assert found.carried is None
