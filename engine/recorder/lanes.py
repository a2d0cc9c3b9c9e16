"""Pieces out of the recorder's ring as entries of a journal: each ring has a number there, its lane."""

from collections.abc import Callable, Iterable, Iterator

from shm.journal_entries import Dropped, Entry, Lane, Piece
from shm.layout import Record
from shm.pieces import Piece as Taken


class Lanes:
    """Numbers rings in the order in which they are first seen, behind those that are `known`."""

    def __init__(self, capacity_of: Callable[[str, int, int], int], known: Iterable[Lane] = ()) -> None:
        """`capacity_of` a ring by symbol, generation, and how often it was made: 0 if that cannot be known any more."""
        self._capacity_of = capacity_of
        self._lanes = {(lane.symbol, lane.generation, lane.made): lane for lane in known}
        self._next = 1 + max((lane.lane for lane in self._lanes.values()), default=0)

    def entries(self, taken: Iterable[Taken]) -> Iterator[Entry]:
        """Each piece as an entry, behind its lane if that is new; views of it."""
        for piece in taken:
            ring = piece.symbol, piece.generation, piece.made
            lane = self._lanes.get(ring)
            if lane is None:
                lane = self._lanes[ring] = Lane(self._next, *ring, self._capacity_of(*ring))
                self._next += 1
                yield lane
            data = memoryview(piece.data)
            if piece.kind is Record.DROPPED:
                yield Dropped(lane.lane, piece.from_position, piece.recv_ns, piece.wall_ns, data)
            else:
                yield Piece(lane.lane, piece.from_position, piece.to_position, data)
