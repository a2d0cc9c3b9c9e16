"""Recorded ring bytes run through the worker's kernels once more, in private memory: for the past, and for exports.

Nothing here is shared and nobody waits. The records of one instrument go through a ring of this process, and after
each call the working copy is what its worker's was once that had applied them. It begins as a worker does, by
`recover`: from a checkpoint, or from nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shm import layout
from shm.errors import LayoutError
from shm.layout import Rows, Words
from shm.refill import FOREIGN, refill
from shm.ring import RingWriter

from . import pump
from .job import Task
from .private import Private, private_ring
from .pump import Memory
from .worker import Worker, map_memory

RING_BYTES: Final = (
    8 << 20
)  # a message of half of it fits, and the journal's are of rings that are no larger by default
_NOWHERE: Final = Path("/nonexistent")
_FIRST_SLOT: Final = 0


class Rerun:
    """One instrument, from the state of `checkpoint` on; its records may not be older than that, or are passed over."""

    def __init__(
        self, levels: int = 64, max_depth: int = 2048, *, checkpoint: "Checkpoint | None" = None, batch: int = 256
    ) -> None:
        """`levels` that a cell shows of each side, `max_depth` that are kept, as in the symbol file of its worker."""
        ring, book = private_ring(RING_BYTES), Private(layout.book_regions(levels, max_depth))
        self._words: Words = ring.array("words")
        self._ring = RingWriter(self._words, 1)
        if checkpoint is not None:
            checkpoint.put(book)
            self._words[layout.NEXT_SEQUENCE] = checkpoint.sequence + 1
        memory = map_memory(ring, book, Private(layout.changed_regions()))
        self._worker = Worker(memory, Task("", batch, 1_000_000, 0, ()), _NOWHERE, replay=True)

    @property
    def memory(self) -> Memory:
        """Its state, levels (best last), and rows of tape, quotes and events."""
        return self._worker.memory

    def take(self, recorded: Words) -> None:
        """Apply whole records, as `shm.refill.words_of` makes them. Raises LayoutError for bytes that are none; what
        came before them has been applied."""
        for _ in self._turns(recorded):
            pass

    def step(self, recorded: Words) -> Iterator[Memory]:
        """Apply one record after the other, and show the memory after each. Raises as `take` does."""
        before = self.memory.notes[pump.BATCH_MAX_FRAMES]
        self.memory.notes[pump.BATCH_MAX_FRAMES] = 1
        try:
            for _ in self._turns(recorded):
                yield self.memory
        finally:
            self.memory.notes[pump.BATCH_MAX_FRAMES] = before

    def checkpoint(self) -> "Checkpoint":
        """What the next record's result depends on, but bars."""
        memory = self.memory
        return Checkpoint(memory.state.copy(), memory.levels.copy())

    def _turns(self, recorded: Words) -> Iterator[None]:
        at = 0
        while at < len(recorded):
            at = refill(self._words, recorded, at, len(recorded))
            self._ring.publish()
            while (code := pump.pump(self.memory)) != pump.IDLE:
                self._worker.handle(code)
                yield
            pump.checkpoint(self.memory)
            if at == FOREIGN:
                raise LayoutError("the recorded bytes are no records of a ring: the journal is damaged or foreign")


class Checkpoint:
    """The whole working copy of one book after one record."""

    def __init__(self, state: Rows, levels: Rows) -> None:
        """`state`: STATE[1]; `levels`: LEVEL[2, max_depth], best last."""
        self.state = state
        self.levels = levels

    @property
    def sequence(self) -> int:
        """Of the last record that is in it."""
        return int(self.state["sequence"][0])

    def put(self, book: Private) -> None:
        """Make it the newest slot of a book whose ring is empty."""
        slots, levels = book.array("slots"), book.array("slot_levels")
        slots["begin"][_FIRST_SLOT] = slots["end"][_FIRST_SLOT] = 1
        slots["state"][_FIRST_SLOT] = self.state[0]
        slots["state"]["position"][_FIRST_SLOT] = 0
        for side, count in enumerate((int(self.state["n_bids"][0]), int(self.state["n_asks"][0]))):
            levels[_FIRST_SLOT, side, :count] = self.levels[side, :count]
