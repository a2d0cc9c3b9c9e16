"""Waypoints come back as they were, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from shm.layout import LEVEL, NEVER_NS, STATE
from shm.stretches import Stream
from workers import waypoints
from workers.passage import Interval
from workers.recovery import Checkpoint
from workers.waypoints import Ways

BYTES = 4711


def interval(position: int, bids: int = 0, asks: int = 0) -> Interval:
    state = np.zeros(1, STATE)
    state["n_bids"], state["n_asks"], state["sequence"], state["contract"] = bids, asks, position + 7, b"CON.F"
    levels = np.zeros((2, 40), LEVEL)
    levels["price"] = np.arange(80).reshape(2, 40) + position
    levels["size"] = 3
    return Interval(Stream(7, 2), position, 5, position + 100, NEVER_NS, Checkpoint(state, levels))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "000000000007-00000003.sbj"
    nothing = interval(0)._replace(checkpoint=None)
    found = {
        "MNQ": Ways([nothing, interval(80, 3, 40), interval(160, 0, 1)], interval(240, 2, 2)),
        "MES": Ways([], interval(8, 1, 0)),
    }
    waypoints.write(path, BYTES, found)
    return path


def plain(one: Interval) -> tuple[object, ...]:
    kept = one.checkpoint
    return (*one[:-1], kept and (kept.state.tobytes(), *(side.tobytes() for side in kept.sides)))


def test_they_come_back_as_they_were(journal: Path) -> None:
    ways = waypoints.read(journal, BYTES, "MNQ")
    assert ways is not None
    assert ways.carried is not None
    wanted = [interval(0)._replace(checkpoint=None), interval(80, 3, 40), interval(160, 0, 1), interval(240, 2, 2)]
    assert [plain(each) for each in (*ways.intervals, ways.carried)] == [plain(each) for each in wanted]
    found = waypoints.read_all(journal, BYTES)
    assert found is not None
    assert {symbol: len(each.intervals) for symbol, each in found.items()} == {"MNQ": 3, "MES": 0}
    assert waypoints.read(journal, BYTES, "GC") == Ways([], None)


def test_those_of_another_journal_file_count_as_absent(journal: Path) -> None:
    assert waypoints.read(journal, BYTES + 1, "MNQ") is None
    assert waypoints.read(journal.with_name("000000000007-00000004.sbj"), BYTES, "MNQ") is None


def test_whatever_byte_is_wrong_or_missing_they_count_as_absent(journal: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    path = waypoints.path_of(journal)
    whole = path.read_bytes()
    for at in chance.integers(len(whole), size=200).tolist():
        hurt = bytearray(whole)
        hurt[at] ^= 1 << int(chance.integers(8))
        path.write_bytes(hurt)
        assert waypoints.read_all(journal, BYTES) is None
    for size in chance.integers(1, len(whole), size=100).tolist():
        path.write_bytes(whole[:size])
        found = waypoints.read_all(journal, BYTES)
        assert found is None or list(found) == ["MNQ"]  # cut just between two parts


def test_a_file_of_more_than_a_body_may_have_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waypoints, "MAX_BODY_BYTES", 1000)
    path = tmp_path / "000000000007-00000003.sbj"
    with pytest.raises(OverflowError, match="MNQ has"):
        waypoints.write(path, BYTES, {"MNQ": Ways([interval(0, 40, 40)], interval(8))})
    assert not waypoints.path_of(path).exists()
