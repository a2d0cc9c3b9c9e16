"""What was published in an instrument's ring and never came into the recorder's: taken from that ring itself.

The engine leaves it there while the recorder's ring is full, and takes it along with the next publication (shm/tee.py).
If none follows, because the instrument was removed or the engine has ended for good, nobody else would take it. Nothing
is written over it before it is given up, so once the ring has no writer any more it is still there: up to half a ring.
And what was given up at last shows by the position at which the ring ended.

So rings are mapped as soon as they are seen, and kept until they are over: one that was removed has no name any more.
Only an instrument that comes and goes while the recorder stands still all the time is never seen.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from shm import layout, segment
from shm.errors import LayoutError
from shm.layout import Kind, Record, Words
from shm.pieces import Piece
from shm.records import record_bytes
from shm.segment import Segment

MAX_PIECE_BYTES: Final = 1 << 18
_NOT_RECORDED: Final = ("recorder", "keeper")


class Rests:
    """The rings of one generation, by symbol and how often each was made; nothing is ever written to them."""

    def __init__(self, here: Path, generation: int) -> None:
        """`here`: the generation's folder."""
        self._here = here
        self._generation = generation
        self._rings: dict[tuple[str, int], Segment] = {}
        self._places: dict[str, tuple[int, int]] = {}  # by symbol: inode, and the ring that lies there

    def look(self) -> None:
        """Map what is new."""
        there = {}
        for path in self._here.glob("*.ring"):
            symbol = path.stem
            if symbol in _NOT_RECORDED:
                continue
            try:
                inode = path.stat().st_ino
                if self._places.get(symbol, (0, 0))[0] != inode:
                    ring = segment.attach(path, Kind.RING, generation=self._generation, symbol=symbol)
                    self._rings[symbol, ring.made] = ring
                    self._places[symbol] = inode, ring.made
            except (LayoutError, FileNotFoundError):
                continue  # it goes at this moment
            there[symbol] = self._places[symbol]
        self._places = there

    def capacity(self, symbol: str, generation: int, made: int) -> int:
        """Data bytes of a ring; 0 if it went before it was seen."""
        ring = self._rings.get((symbol, made)) if generation == self._generation else None
        return int(ring.array("words")[layout.CAPACITY]) if ring else 0

    def take(self, *, all_are_over: bool = False) -> Iterator[Piece]:
        """What is left in rings that were removed, or in all; each ends with a piece of no length where it ended.

        To be called when nothing is left in the recorder's own ring: these come behind what was there.
        """
        named = {(symbol, made) for symbol, (_, made) in self._places.items()}
        for key in list(self._rings):
            if key in named and not all_are_over:
                continue
            ring = self._rings.pop(key)
            yield from _left(ring.array("words"), *key, self._generation)
            ring.close()


def _left(words: Words, symbol: str, made: int, generation: int) -> Iterator[Piece]:
    begin, tail = int(words[layout.RECORDED]), int(words[layout.TAIL])
    while tail > 0:
        end = _end_of_piece(words, begin, tail)
        yield Piece(Record.PIECE, symbol, generation, made, begin, end, 0, 0, _bytes(words, begin, end))
        if begin == tail:
            return
        begin = end


def _end_of_piece(words: Words, begin: int, tail: int) -> int:
    """How far a piece goes from `begin` on, by whole records; a longer one goes alone."""
    at = begin
    while at < tail:
        first = int(words[layout.DATA_WORD + ((at & (int(words[layout.CAPACITY]) - 1)) >> 3)])
        size, kind = first & 0xFFFFFFFF, first >> 32
        need = size if kind == Record.PAD else record_bytes(size)
        if at > begin and at + need - begin > MAX_PIECE_BYTES:
            break
        at += need
    return at


def _bytes(words: Words, begin: int, end: int) -> bytes:
    capacity = int(words[layout.CAPACITY])
    first, before_wrap = begin & (capacity - 1), min(end - begin, capacity - (begin & (capacity - 1)))
    data = words.view(np.uint8)[layout.CONTROL_BYTES :]
    return data[first : first + before_wrap].tobytes() + data[: end - begin - before_wrap].tobytes()
