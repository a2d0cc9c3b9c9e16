"""Trades and quotes of the past: what the tape had, each row once with its key, and where some are missing."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from shm import layout
from shm.errors import Hole, JournalDamaged
from shm.journal import JournalFile, journal_files
from shm.journal_entries import Entry, Lane, Piece
from shm.layout import NEVER_NS
from shm.past_rows import DTYPES, Part, Through
from shm.refill import words_of
from shm.stretches import Stream
from tests import made_past
from tests.made_journal import BEGIN
from tests.made_past import of_lane, pieces
from tests.shm.test_refill import recorded
from tests.workers.rig import Rig
from workers import passage
from workers.finder import Finder
from workers.historian import Historian
from workers.history import Wanted, earlier
from workers.rerun import Rerun
from workers.tail import Tail

BEGIN_NS = BEGIN.wall_ns
S = 1_000_000_000
MNQ = Lane(0, "MNQ", 7, 1, 1 << 20)
REGIONS = ("tape", "quotes")
REGION = pytest.mark.parametrize("region", REGIONS)

Row = tuple[int, ...]


class Told(NamedTuple):
    rows: list[Row]
    holes: list[Hole]
    through: Through


def ask(folder: Path, region: str, start_ns: int = 0, end_ns: int = NEVER_NS, finder: Finder | None = None) -> Told:
    found = list(earlier(finder or Finder(folder), Wanted("MNQ", region, start_ns, end_ns)))
    assert isinstance(found[-1], Through)
    rows = [row for each in found if isinstance(each, Part) for row in each.rows.tolist()]
    return Told(rows, [each for each in found if isinstance(each, Hole)], found[-1])


def slow(region: str, *streams: list[Piece]) -> list[Row]:
    """Record after record, each ring from nothing, as an export does it."""
    names = DTYPES[region].names or ()
    rows = []
    for stream in streams:
        rerun = Rerun(passage.LEVELS, passage.MAX_DEPTH)
        tail = Tail(region, layout.TAPE_COUNT if region == "tape" else layout.QUOTE_COUNT)
        for memory in (m for piece in stream for m in rerun.step(words_of(piece.data))):
            for row in tail.take(memory):
                wall_ns = int(memory.state["wall_ns"][0])
                rows.append((wall_ns, *(int(row[name]) for name in names[1:])))
    return rows


def first_ns(made: list[Piece]) -> int:
    """When the first record was received: that of the contract, with which the first quote comes."""
    return slow("quotes", made)[0][0]


@REGION
@pytest.mark.parametrize("with_waypoints", [True, False])
def test_between_any_two_times_are_the_rows_of_a_slow_replay(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, with_waypoints: bool, region: str
) -> None:
    chance = np.random.default_rng(seed)
    monkeypatch.setattr(passage, "MAX_RECORDS", 60)
    made, again = pieces(chance, 250, Stream(7, 1), BEGIN_NS), pieces(chance, 150, Stream(8, 1), BEGIN_NS + 2 * S)
    made_past.record(tmp_path, 7, of_lane(MNQ, made[:150]), close=False)
    made_past.record(tmp_path, 7, of_lane(MNQ, made[140:]))  # some were taken down twice
    made_past.record(tmp_path, 8, of_lane(Lane(3, "MNQ", 8, 1, 1 << 20), again), close=False)
    if with_waypoints:
        assert Historian(tmp_path).turn() > 3
    wanted = slow(region, made, again)
    assert len(wanted) > 40
    finder = Finder(tmp_path)
    through = ask(tmp_path, region, finder=finder).through
    assert (through.stream, through.sequence >> 40) == ((8, 1), 8)
    for _ in range(60):
        one, other = sorted(
            int(wanted[i][0]) + int(chance.integers(-1, 2)) for i in chance.integers(len(wanted), size=2)
        )
        told = ask(tmp_path, region, one, other, finder)
        assert told.rows == [row for row in wanted if one <= row[0] < other]
        assert told.holes == [] or one < first_ns(made)


@REGION
def test_before_the_journal_begins_is_a_hole_and_behind_its_end_is_none(tmp_path: Path, seed: int, region: str) -> None:
    made = pieces(np.random.default_rng(seed), 40, Stream(7, 1), BEGIN_NS)
    made_past.record(tmp_path, 7, of_lane(MNQ, made))
    wanted = slow(region, made)
    assert ask(tmp_path, region, BEGIN_NS - S).holes[0].from_ns == BEGIN_NS - S
    assert ask(tmp_path, region, BEGIN_NS - S).rows == wanted
    late = ask(tmp_path, region, BEGIN_NS + 1000 * S)
    assert late[:2] == ([], [])
    assert late.through == ask(tmp_path, region).through
    nothing = list(earlier(Finder(tmp_path), Wanted("GC", region, 0, NEVER_NS)))
    assert [each.sequence for each in nothing if isinstance(each, Through)] == [0]
    assert ask(tmp_path / "none", region).through.sequence == 0


@pytest.mark.parametrize("marked", [True, False])
def test_where_records_are_missing_is_a_hole_and_no_row_is_made_up(tmp_path: Path, seed: int, marked: bool) -> None:
    made = pieces(np.random.default_rng(seed), 400, Stream(7, 1), BEGIN_NS, set_back_ns=0)
    cut = made[:100] + made[110:]
    if marked:
        made_past.record(tmp_path, 7, of_lane(MNQ, cut))
    else:
        made_past.record(tmp_path, 7, of_lane(MNQ, cut[:100]))
        made_past.record(tmp_path, 7, of_lane(MNQ, cut[100:]))
    wanted = {region: slow(region, made) for region in REGIONS}
    tape, quotes = (ask(tmp_path, region, first_ns(made)) for region in REGIONS)
    (hole,) = tape.holes
    assert tape.rows == [row for row in wanted["tape"] if not hole.from_ns < row[0] < hole.to_ns]
    (blind,) = quotes.holes
    assert blind.from_ns == hole.from_ns
    assert blind.to_ns >= hole.to_ns
    assert set(quotes.rows[1:]) >= {row for row in wanted["quotes"] if row[0] > blind.to_ns}
    late = ask(tmp_path, "quotes", blind.to_ns + 1)
    assert late.holes == []
    assert late.rows == [row for row in wanted["quotes"] if row[0] > blind.to_ns]
    inside = (hole.to_ns + blind.to_ns) // 2
    if inside > hole.to_ns:
        assert ask(tmp_path, "quotes", inside).holes[0].from_ns == inside
        assert ask(tmp_path, "tape", inside).holes == []


@REGION
def test_an_engine_that_was_killed_with_its_recorder_leaves_a_hole_and_one_that_ended_in_order_none(
    tmp_path: Path, seed: int, region: str
) -> None:
    chance = np.random.default_rng(seed)
    made, again = pieces(chance, 30, Stream(7, 1), BEGIN_NS), pieces(chance, 30, Stream(8, 1), BEGIN_NS + 2 * S)
    for folder, close in ((tmp_path / "killed", False), (tmp_path / "ended", True)):
        made_past.record(folder, 7, of_lane(MNQ, made), close=close)
        made_past.record(folder, 8, of_lane(MNQ._replace(generation=8), again))
        told = ask(folder, region, first_ns(made))
        assert len(told.holes) == (0 if close else 1)
        assert told.rows == [row for row in slow(region, made, again) if row[0] >= first_ns(made)]


def test_a_file_that_was_deleted_leaves_a_hole_before_the_next(tmp_path: Path, seed: int) -> None:
    made = pieces(np.random.default_rng(seed), 300, Stream(7, 1), BEGIN_NS, set_back_ns=0)
    made_past.record(tmp_path, 7, of_lane(MNQ, made))
    files = journal_files(tmp_path)
    files[0].unlink()
    with JournalFile(files[1]) as file:
        first_ns = min(block.first_wall_ns for block in file.blocks if block.last_wall_ns)
    (hole,) = ask(tmp_path, "tape", BEGIN_NS).holes
    assert hole.from_ns == BEGIN_NS
    assert hole.to_ns <= first_ns
    told = ask(tmp_path, "tape", hole.to_ns)
    assert told.holes == []
    assert told.rows == [row for row in slow("tape", made) if row[0] >= hole.to_ns]


def test_where_only_the_clock_was_heard_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage, "MAX_RECORDS", 5)
    rig, made, through = Rig(generation=7), [], 0
    words = rig.ring.array("words")
    rig.configure()
    for _ in range(100):
        rig.engine.clock()
        rig.drain()
        end = int(words[layout.TAIL])
        made.append(Piece(0, through, end, memoryview(recorded(words, through, end))))
        through = end
    made_past.record(tmp_path, 7, of_lane(MNQ, made))
    with JournalFile(journal_files(tmp_path)[0]) as file:
        walls = [block.last_wall_ns for block in file.blocks if block.last_wall_ns]
    assert len(walls) > 1
    for region in REGIONS:
        assert ask(tmp_path, region, walls[-1]).holes == []


@REGION
def test_a_damaged_file_is_refused_only_where_rows_may_lie_in_it(tmp_path: Path, seed: int, region: str) -> None:
    made = pieces(np.random.default_rng(seed), 400, Stream(7, 1), BEGIN_NS)
    made_past.record(tmp_path, 7, of_lane(MNQ, made))
    files = journal_files(tmp_path)
    assert len(files) > 3
    hurt = bytearray(files[1].read_bytes())
    hurt[len(hurt) // 2] ^= 1
    files[1].write_bytes(hurt)
    wanted = slow(region, made)
    with JournalFile(files[3]) as file:
        late_ns = next(block.last_wall_ns for block in file.blocks if block.last_wall_ns)
    with pytest.raises(JournalDamaged):
        ask(tmp_path, region, BEGIN_NS, late_ns)
    late = ask(tmp_path, "tape", late_ns)
    assert late.rows == [row for row in slow("tape", made) if row[0] >= late_ns]
    with JournalFile(files[0]) as file:
        early_ns = next(block.last_wall_ns for block in file.blocks if block.last_wall_ns)
    assert ask(tmp_path, region, 0, early_ns).rows == [row for row in wanted if row[0] < early_ns]


def test_parts_follow_one_another_and_none_is_large(tmp_path: Path, seed: int) -> None:
    made: list[Entry] = of_lane(MNQ, pieces(np.random.default_rng(seed), 300, Stream(7, 1), BEGIN_NS))
    made_past.record(tmp_path, 7, made)
    parts = [each for each in earlier(Finder(tmp_path), Wanted("MNQ", "quotes", 0, NEVER_NS)) if isinstance(each, Part)]
    assert max(len(part.rows) for part in parts) <= 4096
    ends = [(part.rows["sequence"][0], part.rows["sequence"][-1]) for part in parts]
    assert all(one[1] < other[0] for one, other in pairwise(ends))
