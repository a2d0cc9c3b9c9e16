"""Turns of the recorder on rings that an engine fills, and on a disk that is full for a while."""

import errno
import random
from pathlib import Path

import pytest

from engine.config import JournalSettings
from engine.recorder.health import State
from engine.recorder.recorder import Moment, Options
from engine.recorder.retention import Limits
from engine.recorder.taking import Taking, options
from shm import layout
from tests.engine.recorder.running import RING_BYTES, SYMBOLS, Stage
from tests.engine.recorder.test_disk_faults import FaultyDisk
from tests.system.recorded import check_marked, check_whole

SECOND_NS = 10**9
WALL_NS = 1_772_409_600 * SECOND_NS


def moment(second: float) -> Moment:
    return Moment(WALL_NS + int(second * SECOND_NS), int((100 + second) * SECOND_NS))


def test_after_each_turn_all_is_written_and_the_ring_is_empty(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    taking = Taking(stage.job)
    assert taking.turn(moment(0)) is False
    for turn in range(1, 5):
        stage.put(50)
        assert taking.turn(moment(turn / 10)) is True
        assert stage.recorder[layout.HEAD] == stage.recorder[layout.TAIL]
        assert [check_whole(stage.streams[symbol]) for symbol in SYMBOLS] == [stage.tail(symbol) for symbol in SYMBOLS]
    assert (stage.count("heartbeat"), stage.count("written"), stage.count("lost")) == (5, stage.count("taken"), 0)
    assert stage.count("state") == State.RECORDING
    stage.put(5)
    taking.close(moment(1))
    assert check_whole(stage.streams["MNQ"]) == stage.tail("MNQ")
    taken = stage.count("taken")
    stage.put(1)
    again = Taking(stage.job)  # counts on, and knows the lanes
    again.turn(moment(2))
    assert (stage.count("taken"), stage.count("doubles"), stage.count("jumps")) == (taken + 2, 0, 0)
    assert check_whole(stage.streams["MES"]) == stage.tail("MES")


class Killed(BaseException):
    """What no handler takes."""


class KilledWriting(FaultyDisk):
    """A process that is killed as it writes a block."""

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        if offset and self.calls in self._failing:
            raise Killed
        super().write(descriptor, data, offset)


def test_no_room_is_given_back_before_it_is_written(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    disk = KilledWriting(0, 0, errno.EIO)
    taking = Taking(stage.job, disk)
    stage.put(20)
    taking.turn(moment(0))
    stage.put(20)
    before = int(stage.recorder[layout.HEAD])
    disk.fail(True)
    with pytest.raises(Killed):
        taking.turn(moment(1))
    assert stage.recorder[layout.HEAD] == before
    Taking(stage.job).turn(moment(2))
    assert [check_whole(stage.streams[symbol]) for symbol in SYMBOLS] == [stage.tail(symbol) for symbol in SYMBOLS]


def test_a_lane_says_how_large_its_ring_is(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    (stage.folder / "g7" / "MES.ring").unlink()
    stage.put(1)
    Taking(stage.job).turn(moment(0))
    lanes = stage.lanes
    assert {lane.symbol: lane.capacity for lane in lanes} == {"MNQ": RING_BYTES, "MES": 0}


def test_a_full_disk_is_said_counted_and_marked_and_recording_comes_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    disk = FaultyDisk(0, 0, errno.ENOSPC)
    taking = Taking(stage.job, disk)
    stage.put(10)
    taking.turn(moment(0))
    disk.fail(True)
    before = stage.tail("MNQ")
    for turn in range(1, 100):  # more than the recorder's ring holds
        stage.put(100)
        taking.turn(moment(turn / 10))
    assert stage.count("state") == State.FULL
    assert stage.count("lost") > 0
    assert stage.recorder[layout.HEAD] == stage.recorder[layout.TAIL]  # the engine goes on
    disk.fail(False)
    stage.put(1)
    taking.turn(moment(60))
    stage.put(1)
    taking.close(moment(61))
    assert stage.count("state") == State.RECORDING
    assert stage.count("taken") == stage.count("written") + stage.count("lost")
    for symbol in SYMBOLS:
        stream = stage.streams[symbol]
        (loss,) = stream.lost
        assert (loss.begin, loss.end) == (before, next(begin for begin, _ in stream.pieces if begin > before))
        assert stream.pieces[-1][1] == stage.tail(symbol)
        following = [record.sequence for record in stream.records if record.sequence > loss.last_sequence]
        assert following[0] == loss.last_sequence + 1


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_whatever_call_fails_the_engine_has_its_room_back_and_recording_comes_back(
    tmp_path: Path, seed: int, error: int
) -> None:
    """Faults of one recorder, each at another call of a turn or lasting for turns: the feed's side sees none."""
    chance, stage, disk = random.Random(seed), Stage(tmp_path), FaultyDisk(0, 0, error)
    taking = Taking(stage.job, disk)
    stage.put(1)
    taking.turn(moment(0))
    second, said = 0.0, set()
    for _ in range(100):
        disk.fail_after(chance.randrange(6), 1 if chance.random() < 0.8 else 40)
        for step in (0.2, 0.2, 20.0, 20.0):  # soon enough to fail again, and late enough for a try
            stage.put(2)  # it asserts that there is room
            taking.turn(moment(second := second + step))
            assert stage.recorder[layout.HEAD] == stage.recorder[layout.TAIL]
            said.add(stage.count("state"))
        disk.fail(False)
        taking.turn(moment(second := second + 20.0))
        stage.put(1)
        taking.turn(moment(second := second + 0.2))
        assert stage.count("state") in (State.RECORDING, State.STALLED)
    taking.close(moment(second))
    assert (State.FULL if error == errno.ENOSPC else State.BROKEN) in said
    assert stage.count("taken") == stage.count("written") + stage.count("lost")
    assert stage.count("lost") > 0
    assert [check_marked(stage.streams[symbol]) for symbol in SYMBOLS] == [stage.tail(symbol) for symbol in SYMBOLS]


def test_what_came_before_there_was_a_recorder_is_written_and_what_found_no_room_is_marked(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    for _ in range(60):
        stage.put(100)  # far more than the recorder's ring and the rings themselves hold
    Taking(stage.job).close(moment(1))
    for symbol in SYMBOLS:
        stream = stage.streams[symbol]
        assert stream.pieces[0][0] == 0
        assert check_marked(stream) == stage.tail(symbol)
        assert stream.lost
    assert stage.count("jumps") >= len(SYMBOLS)


def test_what_the_settings_ask_for() -> None:
    found = options(JournalSettings(block_kib=64, file_mib=2, fsync_s=3, keep_days=1, keep_mib=5))
    assert found == Options(64 << 10, 0, 2 << 20, 3 * SECOND_NS, Limits(5 << 20, 86_400 * SECOND_NS))
    assert options(JournalSettings(keep_days=0, keep_mib=0)).limits == Limits(None, None)
