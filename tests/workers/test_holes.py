"""Since when records are missing: told by stretches, streams, and how files ended."""

from pathlib import Path

from shm.errors import Hole
from shm.journal import JournalFile, Name
from shm.past_rows import Through
from shm.stretches import Stream, Stretch
from workers.holes import Holes

OLD, NEW = Stream(7, 1), Stream(8, 1)


def _at(holes: Holes, stream: Stream, wall_ns: int) -> None:
    holes.through = Through(stream, 5, wall_ns)


def _first(stream: Stream, begin: int = 0) -> Stretch:
    return Stretch(stream, begin, begin + 8, memoryview(bytes(8)))


def _file(tmp_path: Path, name: Name, *, finished: bool = False, header: bool = True) -> JournalFile:
    path = tmp_path / name.text
    path.touch()
    file = JournalFile(path)
    file.close()
    file.finished = finished
    file.name = name if header else None
    return file


def test_what_lies_before_the_first_record_is_a_hole_only_if_asked_for() -> None:
    asked, unasked = Holes(3), Holes(None)
    for holes in (asked, unasked):
        holes.enter(_first(OLD, begin=800))
        holes.miss(is_blind=True)
    assert asked.close(9) == Hole(3, 9)
    assert unasked.close(9) is None


def test_a_hole_goes_from_the_record_before_to_the_one_behind_and_is_told_once() -> None:
    holes = Holes(None)
    _at(holes, OLD, 10)
    holes.miss(is_blind=True)
    holes.miss(is_blind=False)
    assert holes.is_blind
    assert holes.close(25) == Hole(10, 25)
    assert holes.close(30) is None


def test_behind_an_engine_that_did_not_end_in_order_is_a_hole(tmp_path: Path) -> None:
    rolled, last = Name(7, 1), Name(7, 2)
    for ends, is_cut in (
        ([_file(tmp_path, rolled, finished=True)], False),
        ([_file(tmp_path, rolled, finished=True), _file(tmp_path, last)], True),
        ([_file(tmp_path, rolled, finished=True), _file(tmp_path, last, header=False)], True),  # of zero length
        ([], True),
    ):
        holes = Holes(None)
        _at(holes, OLD, 10)
        for file in ends:
            holes.leave(file)
        holes.enter(_first(NEW))
        assert holes.through.stream == NEW
        assert holes.close(25) == (Hole(10, 25) if is_cut else None)


def test_before_a_ring_whose_beginning_is_not_there_is_a_hole_and_none_before_one_made_anew(tmp_path: Path) -> None:
    for stretch, is_missing in ((_first(Stream(7, 2)), False), (_first(Stream(7, 2), 80), True)):
        holes = Holes(None)
        _at(holes, OLD, 10)
        holes.enter(stretch)
        assert holes.is_blind == is_missing
        assert holes.close(25) == (Hole(10, 25) if is_missing else None)
