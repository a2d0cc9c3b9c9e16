"""The book at any time: as a slow replay of everything up to that record has it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shm.errors import JournalDamaged, NotRecorded
from shm.journal import JournalFile, journal_files
from shm.journal_entries import Entry, Lane
from shm.layout import Reason
from shm.past import By
from shm.stretches import Stream
from tests import made_past
from tests.made_journal import BEGIN
from tests.made_past import SAME, Past, of_lane, pieces, slow_replay
from workers import finder, passage
from workers.finder import Finder, Found
from workers.historian import Historian

BEGIN_NS = BEGIN.wall_ns
S = 1_000_000_000


def expected(seen: list[Past], time_ns: int, by: By) -> Past | None:
    stamps = [(each.wall_ns, each.venue_ns)[by] for each in seen]
    last = [i for i, stamp in enumerate(stamps) if 0 < stamp <= time_ns]
    return seen[last[-1]] if last else None


def check(found: Found, wanted: Past) -> None:
    state = found.checkpoint.state[0]
    assert {name for name in SAME if state[name] != wanted.state[name]} == set()
    assert tuple(side.tobytes() for side in found.checkpoint.sides) == wanted.sides
    assert found.wall_ns == wanted.wall_ns


def two_lives(folder: Path, rng: np.random.Generator) -> list[Past]:
    """Two instruments; a recorder that was killed, and took down twice what it had; an engine that was started anew."""
    mnq, mes = pieces(rng, 250, Stream(7, 1), BEGIN_NS), pieces(rng, 100, Stream(7, 1), BEGIN_NS)
    entries: list[Entry] = [Lane(0, "MES", 7, 1, 1 << 20), Lane(1, "MNQ", 7, 1, 1 << 20)]
    for i, piece in enumerate(mnq[:150]):
        entries.append(piece._replace(lane=1))
        entries += [mes[i]] if i < len(mes) else []
    made_past.record(folder, 7, entries, close=False)
    made_past.record(folder, 7, of_lane(Lane(0, "MNQ", 7, 1, 1 << 20), mnq[140:]))
    again = pieces(rng, 150, Stream(8, 1), BEGIN_NS + 2 * S)
    made_past.record(folder, 8, of_lane(Lane(3, "MNQ", 8, 1, 1 << 20), again), close=False)
    return slow_replay(mnq, again)


@pytest.mark.parametrize("with_waypoints", [True, False])
def test_the_book_at_1000_times_is_that_of_a_slow_replay(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, with_waypoints: bool
) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(passage, "MAX_RECORDS", 60)
    seen = two_lives(tmp_path, rng)
    files = journal_files(tmp_path)
    assert len(files) > 5
    if with_waypoints:
        assert Historian(tmp_path).turn() == len(files) - 1
    past = Finder(tmp_path)
    for _ in range(1000):
        by = By(int(rng.integers(2)))
        one = seen[int(rng.integers(len(seen)))]
        time_ns = int((one.wall_ns, one.venue_ns)[by] + rng.integers(-2, 3) * rng.integers(0, 2000))
        wanted = expected(seen, time_ns, by)
        if wanted is None:
            with pytest.raises(NotRecorded):
                past.book_at("MNQ", time_ns, by)
        else:
            check(past.book_at("MNQ", time_ns, by), wanted)


def test_between_two_lives_and_after_both_it_is_the_last_one_that_was(tmp_path: Path, seed: int) -> None:
    seen = two_lives(tmp_path, np.random.default_rng(seed))
    past = Finder(tmp_path)
    for time_ns in (BEGIN_NS + 3 * S // 2, BEGIN_NS + 100 * S):
        wanted = expected(seen, time_ns, By.RECEIVE)
        assert wanted is not None
        check(past.book_at("MNQ", time_ns, By.RECEIVE), wanted)
    first_ns = min(each.wall_ns for each in seen)  # the clock of these goes back now and then
    for symbol, time_ns in (("MNQ", first_ns - 1), ("GC", BEGIN_NS + S), ("MNQX", BEGIN_NS + S)):
        with pytest.raises(NotRecorded, match=symbol):
            past.book_at(symbol, time_ns, By.RECEIVE)


def test_a_file_that_grows_is_seen_as_far_as_it_has_come(tmp_path: Path, seed: int) -> None:
    made = pieces(np.random.default_rng(seed), 60, Stream(7, 1), BEGIN_NS)
    seen = slow_replay(made)
    past = Finder(tmp_path / "journal")
    whole = of_lane(Lane(0, "MNQ", 7, 1, 1 << 20), made)
    made_past.record(tmp_path / "made", 7, whole, close=False)
    (written,) = journal_files(tmp_path / "made")[:1]
    with JournalFile(written) as file:
        ends = [block.end for block in file.blocks if block.last_wall_ns]
    (tmp_path / "journal").mkdir()
    grown = tmp_path / "journal" / written.name
    for end in ends:
        grown.write_bytes(written.read_bytes()[:end])
        found = past.book_at("MNQ", BEGIN_NS + 100 * S, By.RECEIVE)
        check(found, next(each for each in seen if each.state["sequence"] == found.checkpoint.sequence))


@pytest.mark.parametrize("marked", [True, False])
def test_where_records_are_missing_the_book_is_not_live_before_the_next_snapshot(tmp_path: Path, marked: bool) -> None:
    made = pieces(np.random.default_rng(5), 40, Stream(7, 1), BEGIN_NS)
    last_ns = slow_replay(made[:20])[-1].wall_ns
    lane = Lane(0, "MNQ", 7, 1, 1 << 20)
    if marked:
        made_past.record(tmp_path, 7, of_lane(lane, made[:20] + made[25:]))  # the recorder sees it, and says so
    else:
        made_past.record(tmp_path, 7, of_lane(lane, made[:20]))
        made_past.record(tmp_path, 7, of_lane(lane, made[25:]))
    state = Finder(tmp_path).book_at("MNQ", last_ns + 1, By.RECEIVE).checkpoint.state[0]
    assert state["synced"] == 0
    assert state["cause"] == Reason.DROPPED
    assert state["gap_reason"] != 0


def test_a_damaged_file_is_refused_only_where_the_answer_may_lie_in_it(tmp_path: Path, seed: int) -> None:
    seen = two_lives(tmp_path, np.random.default_rng(seed))
    files = journal_files(tmp_path)
    hurt = bytearray(files[1].read_bytes())
    hurt[len(hurt) // 2] ^= 1
    files[1].write_bytes(hurt)
    past = Finder(tmp_path)
    wanted = expected(seen, BEGIN_NS + 100 * S, By.RECEIVE)
    assert wanted is not None
    check(past.book_at("MNQ", BEGIN_NS + 100 * S, By.RECEIVE), wanted)
    with JournalFile(files[0]) as file:
        first_ns = next(block.first_wall_ns for block in file.blocks if block.last_wall_ns)
    with JournalFile(files[2]) as file:
        behind_ns = min(block.first_wall_ns for block in file.blocks if block.first_wall_ns) - 10_000_000
    with pytest.raises(JournalDamaged):
        past.book_at("MNQ", behind_ns, By.RECEIVE)
    check(past.book_at("MNQ", first_ns, By.RECEIVE), _required(expected(seen, first_ns, By.RECEIVE)))


def _required(found: Any) -> Any:
    assert found is not None
    return found


def test_no_more_than_a_few_passages_are_kept(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "MAX_PASSAGES", 2)
    seen = two_lives(tmp_path, np.random.default_rng(seed))
    past = Finder(tmp_path)
    for one in seen[:: len(seen) // 10]:
        check(past.book_at("MNQ", one.wall_ns, By.RECEIVE), _required(expected(seen, one.wall_ns, By.RECEIVE)))
        assert len(past._passages) <= 2
