"""Stretches of a journal into the rings, in their order and at their pace, and the present time beside them.

The player waits for room and drops nothing: the slowest worker sets the pace. Whatever it waits for, each 100 ms it
tries to put a PRESENT record into every ring, so that a book is live as long as its worker follows; into a full ring
it goes as soon as there is room.

What a ring has it takes no second time, so a player that takes the place of another begins the journal from its
beginning, and comes within moments to where that one was.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import numpy as np

from shm import joined, layout
from shm.errors import JournalDamaged
from shm.layout import Words
from shm.refill import FOREIGN, SEQUENCE_WORD, WALL_WORD, first_from, gap_before, put_present, refill, words_of
from shm.ring import RingWriter

from .pace import Pace
from .stretches import Stretch

PRESENT_EVERY_NS: Final = 100_000_000
ROOM_WAIT_NS: Final = 500_000  # a worker needs that for some hundred records


class Ring(Protocol):
    """What is needed of shm.ring.RingWriter."""

    @property
    def words(self) -> Words: ...
    def publish(self) -> bool: ...


def warm() -> None:
    """Load every kernel of a player, on private memory."""
    words = np.zeros(layout.ring_regions(layout.MIN_RING_BYTES)["words"].shape, layout.WORDS)
    words[layout.CAPACITY] = layout.MIN_RING_BYTES
    joined.warm()
    nothing = words_of(b"")
    first_from(nothing, 0, 0, WALL_WORD, 0)
    refill(words, nothing, 0, 0)
    for bell in (None, np.zeros(layout.WORDS_A_LINE, layout.WORDS)):
        ring = RingWriter(words, 1, bell=bell)
        put_present(words)
        ring.publish()


class Player:
    """Plays into some rings. Clock and sleep are handed in."""

    def __init__(
        self,
        rings: Mapping[str, Ring],
        pace: Pace,
        now_ns: Callable[[], int],
        rest: Callable[[int], bool],
    ) -> None:
        """`rings` by symbol. `now_ns`: CLOCK_BOOTTIME. `rest`: waits so many ns at most; False: it is to end."""
        self._rings = rings
        self._pace = pace
        self._now_ns = now_ns
        self._rest = rest
        self._present_ns = 0  # when the next PRESENT is due
        self._owed = set(rings)  # who had no room for the last
        self._torn: set[str] = set()  # whose next record does not follow the one before it

    def play(self, stretches: Iterable[Stretch]) -> bool:
        """All of them; False if it was to end before. Raises JournalDamaged for what is no record."""
        return all(self._put(stretch) for stretch in stretches)

    def stay(self) -> None:
        """Keep the books live until it is to end: all is played."""
        while self._pause(PRESENT_EVERY_NS):
            pass

    def _put(self, stretch: Stretch) -> bool:
        """False if it is to end; the rest is then not put in."""
        ring, recorded = self._rings[stretch.symbol], stretch.words
        at = _found(first_from(recorded, 0, len(recorded), SEQUENCE_WORD, 0), stretch)
        self._torn |= {stretch.symbol} if stretch.is_torn else set()
        if stretch.symbol in self._torn and at < len(recorded):
            self._torn.remove(stretch.symbol)
            recorded = words_of(gap_before(ring.words, recorded, at).tobytes() + recorded[at:].tobytes())
        at = _found(first_from(recorded, 0, len(recorded), SEQUENCE_WORD, ring.words[layout.NEXT_SEQUENCE]), stretch)
        while at < len(recorded):
            wall_ns, now_ns = int(recorded[at + WALL_WORD]), self._now_ns()
            self._pace.meet(wall_ns, now_ns)
            due = _found(first_from(recorded, at, len(recorded), WALL_WORD, self._pace.due_ns(now_ns) + 1), stretch)
            before, at = at, _found(refill(ring.words, recorded, at, due), stretch)
            ring.publish()
            waited_ns = 0
            if at == before:
                waited_ns = self._pace.wait_ns(wall_ns, now_ns) if due == at else ROOM_WAIT_NS
            if not self._pause(waited_ns):
                return False
        return True

    def _pause(self, ns: int) -> bool:
        """Tell the present time where it is due, and wait, at most until it is due again."""
        now_ns = self._now_ns()
        if now_ns >= self._present_ns:
            self._present_ns = now_ns + PRESENT_EVERY_NS
            self._owed = set(self._rings)
        for symbol in list(self._owed):
            if put_present(self._rings[symbol].words):
                self._rings[symbol].publish()
                self._owed.remove(symbol)
        return self._rest(min(ns, self._present_ns - now_ns))


def _found(at: int, stretch: Stretch) -> int:
    if at == FOREIGN:
        raise JournalDamaged(f"a piece of {stretch.symbol} holds what is no record, or one that its ring cannot take")
    return at
