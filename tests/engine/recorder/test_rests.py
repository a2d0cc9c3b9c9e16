"""What the recorder's ring had no room for, of rings that nobody writes any more: recorded, or marked to their end."""

from pathlib import Path

from engine.recorder.taking import Taking
from shm import layout
from shm.life import LifeLock
from shm.registry import generation_folder
from tests.engine.recorder.running import GENERATION, RING_BYTES, SYMBOLS, Stage
from tests.engine.recorder.test_taking import moment
from tests.system.recorded import check_marked, check_whole


def stalled(stage: Stage, *, given_up: bool = False) -> None:
    """Messages, and no turn of a recorder, until the engine has no room for more; or has given some up at last."""
    words = [stage.rings[symbol].array("words") for symbol in SYMBOLS]
    for _ in range(10**5):
        stage.put(1, 300)
        waiting = [int(each[layout.TAIL] - each[layout.RECORDED]) for each in words]
        lost = [int(each[layout.UNRECORDED_BYTES]) for each in words]
        if all(each > 0 for each in lost) if given_up else min(waiting) > RING_BYTES // 4:
            return
    raise AssertionError("the recorder's ring is never full")


def unlink(stage: Stage, symbol: str) -> None:
    (generation_folder(stage.folder, GENERATION) / f"{symbol}.ring").unlink()


def test_at_the_end_all_that_the_engine_left_in_its_rings_is_written(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    taking = Taking(stage.job)
    stalled(stage)
    taking.close(moment(1))
    assert [check_whole(stage.streams[symbol]) for symbol in SYMBOLS] == [stage.tail(symbol) for symbol in SYMBOLS]
    assert (stage.count("jumps"), stage.count("lost")) == (0, 0)


def test_what_it_gave_up_is_marked_up_to_the_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    taking = Taking(stage.job)
    stage.put(1)
    taking.turn(moment(0))
    stalled(stage, given_up=True)
    taking.close(moment(1))
    for symbol in SYMBOLS:
        assert check_marked(stage.streams[symbol]) == stage.tail(symbol)
        lost = sum(loss.end - loss.begin for loss in stage.streams[symbol].lost)
        assert lost == stage.rings[symbol].array("words")[layout.UNRECORDED_BYTES] > 0


def test_an_instrument_that_was_removed_meanwhile_is_whole_and_no_other_is_touched(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    taking = Taking(stage.job)
    taking.turn(moment(0))
    stalled(stage)
    unlink(stage, "MNQ")
    taking.turn(moment(1))
    assert check_whole(stage.streams["MNQ"]) == stage.tail("MNQ")
    assert check_whole(stage.streams["MES"]) < stage.tail("MES")  # the engine puts that with its next publication
    stage.put(1)
    taking.turn(moment(2))
    assert check_whole(stage.streams["MES"]) == stage.tail("MES")
    assert stage.count("jumps") == 0
    taken = stage.count("taken")
    taking.turn(moment(3))
    assert stage.count("taken") == taken


def test_while_the_engine_lives_its_rings_are_its_own(tmp_path: Path) -> None:
    """Its recorder is stopped alone, and another follows."""
    stage = Stage(tmp_path)
    lock = LifeLock.take(stage.folder / "engine.lock")
    taking = Taking(stage.job)
    stalled(stage)
    taking.close(moment(1))
    assert check_whole(stage.streams["MNQ"]) < stage.tail("MNQ")
    lock.release()
    Taking(stage.job).close(moment(2))
    assert [check_whole(stage.streams[symbol]) for symbol in SYMBOLS] == [stage.tail(symbol) for symbol in SYMBOLS]


def test_what_it_put_and_was_killed_before_it_noted_that_is_written_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    taking = Taking(stage.job)
    stage.put(9)
    for symbol in SYMBOLS:
        stage.rings[symbol].array("words")[layout.RECORDED] = 0
    taking.close(moment(1))
    assert [check_whole(stage.streams[symbol]) for symbol in SYMBOLS] == [stage.tail(symbol) for symbol in SYMBOLS]
    assert stage.count("doubles") == len(SYMBOLS)
