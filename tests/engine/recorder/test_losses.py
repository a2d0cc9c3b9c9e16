"""What is lost, added up by ring."""

from engine.recorder.losses import Losses
from shm.journal_entries import Dropped, Loss, Piece, Span
from tests import made_journal

MNQ, MES = made_journal.lane(0), made_journal.lane(1)
LANES = {0: MNQ, 1: MES}


def _piece(lane: int, begin: int, end: int) -> Piece:
    return Piece(lane, begin, end, memoryview(bytes(end - begin)))


def test_losses_of_a_ring_are_one_stretch_behind_the_lane_that_it_is_of() -> None:
    losses = Losses()
    losses.note(LANES, MNQ, None)
    assert losses.marks() == []  # a lane is told again
    losses.note(LANES, _piece(0, 80, 160), Span(7, 0, 0, 9, 0, 0))
    losses.note(LANES, _piece(1, 0, 40), None)
    losses.note(LANES, _piece(0, 160, 200), Span(10, 0, 0, 11, 0, 0))
    losses.note(LANES, Loss(0, 40, 80, 0, 0), None)
    assert losses.marks() == [MNQ, Loss(0, 40, 200, 7, 11), MES, Loss(1, 0, 40, 0, 0)]


def test_a_dropped_message_has_a_sequence_and_no_position() -> None:
    losses = Losses()
    losses.note(LANES, Dropped(0, 5, 0, 0, memoryview(b"")), None)
    assert losses.marks() == [MNQ, Loss(0, -1, -1, 5, 5)]
    losses.note(LANES, _piece(0, 0, 8), Span(3, 0, 0, 4, 0, 0))
    assert losses.marks() == [MNQ, Loss(0, 0, 8, 3, 5)]


def test_a_ring_that_is_made_anew_is_another() -> None:
    losses, again = Losses(), made_journal.lane(0, made=2)
    losses.add(MNQ, Loss(0, 0, 8, 1, 1))
    losses.add(again, Loss(0, 0, 16, 2, 2))
    assert losses.marks() == [MNQ, Loss(0, 0, 8, 1, 1), again, Loss(0, 0, 16, 2, 2)]


def test_one_takes_all_of_another() -> None:
    losses, others = Losses(), Losses()
    losses.add(MNQ, Loss(0, 0, 8, 1, 1))
    others.add(MNQ, Loss(0, 8, 16, 2, 2))
    others.add(MES, Loss(1, 0, 8, 5, 5))
    losses.take(others)
    assert others.marks() == []
    assert losses.marks() == [MNQ, Loss(0, 0, 16, 1, 2), MES, Loss(1, 0, 8, 5, 5)]
    losses.clear()
    assert losses.marks() == []
