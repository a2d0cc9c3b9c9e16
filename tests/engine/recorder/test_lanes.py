"""Pieces of the recorder's ring as entries: each ring is named once, by a number of its own."""

from engine.recorder.lanes import Lanes
from shm.journal_entries import Dropped, Lane, Piece
from shm.layout import Record
from shm.pieces import Piece as Taken


def taken(kind: Record, symbol: str, made: int, data: bytes) -> Taken:
    return Taken(kind, symbol, 7, made, 100, 100 + len(data), 5, 6, data)


def test_each_ring_is_named_before_its_first_piece() -> None:
    asked: list[tuple[str, int, int]] = []

    def capacity_of(symbol: str, generation: int, made: int) -> int:
        asked.append((symbol, generation, made))
        return 4096

    lanes = Lanes(capacity_of, [Lane(3, "MES", 7, 1, 1024)])
    pieces = [
        taken(Record.PIECE, "MNQ", 1, b"one"),
        taken(Record.DROPPED, "MES", 1, b"two"),
        taken(Record.PIECE, "MNQ", 2, b""),
        taken(Record.PIECE, "MNQ", 1, b"three"),
    ]
    assert list(lanes.entries(pieces)) == [
        Lane(4, "MNQ", 7, 1, 4096),
        Piece(4, 100, 103, memoryview(b"one")),
        Dropped(3, 100, 5, 6, memoryview(b"two")),
        Lane(5, "MNQ", 7, 2, 4096),
        Piece(5, 100, 100, memoryview(b"")),
        Piece(4, 100, 105, memoryview(b"three")),
    ]
    assert asked == [("MNQ", 7, 1), ("MNQ", 7, 2)]
