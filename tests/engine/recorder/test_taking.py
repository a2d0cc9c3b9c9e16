"""Turns of the recorder on rings that an engine fills, and on a disk that is full for a while."""

import errno
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
from tests.system.recorded import check_whole

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


def test_what_the_settings_ask_for() -> None:
    found = options(JournalSettings(block_kib=64, file_mib=2, fsync_s=3, keep_days=1, keep_mib=5))
    assert found == Options(64 << 10, 0, 2 << 20, 3 * SECOND_NS, Limits(5 << 20, 86_400 * SECOND_NS))
    assert options(JournalSettings(keep_days=0, keep_mib=0)).limits == Limits(None, None)
