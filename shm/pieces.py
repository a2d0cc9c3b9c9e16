"""The recorder's end of its ring: what the engine put there (tee.py), in order; given back only once it is written."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from . import layout
from .atomics import fence_seq_cst, futex_wait, load_acquire, store_relaxed
from .compiled import kernel
from .layout import STRETCH, Record, Words
from .records import AFTER, AT, KIND, PEEK_WORDS, RECV, SIZE, WALL, peek
from .ring import release

_STRETCH_BYTES: Final = STRETCH.itemsize
_TAIL: Final = layout.TAIL
_HEAD: Final = layout.HEAD
_CAPACITY: Final = layout.CAPACITY
_PARKED: Final = layout.PARKED
_SIGNAL: Final = layout.SIGNAL


class Piece(NamedTuple):
    """A stretch of an instrument's ring; or a message that was dropped there, whose positions are its sequence."""

    kind: Record  # PIECE or DROPPED
    symbol: str
    generation: int
    made: int
    from_position: int
    to_position: int
    recv_ns: int  # CLOCK_BOOTTIME when it was put
    wall_ns: int  # CLOCK_REALTIME of the same
    data: bytes  # what lay between the positions; or the message


class Pieces:
    """The only consumer of the recorder's ring."""

    def __init__(self, words: Words) -> None:
        """`words`: the region of that name of a writable Kind.RING segment. What a predecessor did not give back comes
        again."""
        self._words = words
        self._row = np.zeros(PEEK_WORDS, np.int64)
        self._scratch = np.zeros(4, np.int64)
        self._position = int(words[layout.HEAD])
        words[layout.PARKED] = 0

    def take(self, max_bytes: int) -> Iterator[Piece]:
        """What is there, in order; ends with the one through which it is `max_bytes` or more."""
        tail = _tail(self._words)
        memory = self._words.view(np.uint8)
        taken = 0
        while taken < max_bytes and peek(self._words, self._position, tail, self._row):
            at, size = int(self._row[AT]), int(self._row[SIZE])
            data = memory[at : at + size].tobytes()
            symbol, generation, made, begin, end = np.frombuffer(data, STRETCH, 1)[0].item()
            kind, recv_ns, wall_ns = Record(int(self._row[KIND])), int(self._row[RECV]), int(self._row[WALL])
            self._position = int(self._row[AFTER])
            taken += size
            data = data[_STRETCH_BYTES:]
            yield Piece(kind, symbol.decode(), generation, made, begin, end, recv_ns, wall_ns, data)

    def done(self) -> None:
        """Give back the room of all that was taken: it is written."""
        release(self._words, self._position)

    def wait(self, timeout_ns: int) -> bool:
        """Sleep until a quarter of the ring waits, or `timeout_ns` is over; True if there is something to take.

        What was taken and not given back waits too.
        """
        return _park(self._words, self._position, timeout_ns, self._scratch)


@kernel
def _tail(words: Words) -> int:
    return load_acquire(words, _TAIL)


@kernel
def _park(words: Words, position: int, timeout_ns: int, scratch: Words) -> bool:
    """`park` of ring.py, but for a consumer that lets a little wait: see `_publish` in tee.py."""
    seen = load_acquire(words, _SIGNAL)
    store_relaxed(words, _PARKED, 1)
    fence_seq_cst()  # SYNC parking
    if load_acquire(words, _TAIL) - words[_HEAD] < words[_CAPACITY] // 4:
        futex_wait(words, _SIGNAL, seen, timeout_ns, scratch)
    store_relaxed(words, _PARKED, 0)
    return load_acquire(words, _TAIL) != position
