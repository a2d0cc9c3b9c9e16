"""Recorded ring bytes run through the worker's kernels once more, in private memory: for the past, and for exports.

Nothing here is shared and nobody waits. The records of one instrument go through a ring of this process, and after
each call the working copy is what its worker's was once that had applied them. It begins as a worker does, by
`recover`: from a checkpoint, or from nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np

from shm import joined, layout
from shm.compiled import kernel
from shm.errors import LayoutError
from shm.layout import Reason, Record, Words
from shm.refill import FOREIGN, refill, words_of
from shm.ring import RingWriter

from . import pump
from .decode import rows as decoded
from .job import Task
from .private import Private, private_ring
from .pump import Memory
from .recovery import Checkpoint
from .worker import Worker, map_memory

RING_BYTES: Final = (
    8 << 20
)  # a message of half of it fits, and the journal's are of rings that are no larger by default
_TRACED: Final = 1 << 12
_MORE: Final = pump.MORE
_TAPE_COUNT: Final = layout.TAPE_COUNT
_MAX_ROWS: Final = decoded.MAX_ROWS
STAMPS: Final = ("wall_ns", "venue_ns", "sequence", "synced")  # of the state after a record


@kernel
def _trace(m: Memory, stamps: Words) -> tuple[int, int]:
    """Apply record after record, a row of STAMPS for each; what `pump` said last, and how many there were.

    It ends sooner when as many trades were put on the tape as leave room for one record more.
    """
    enough = m.control[_TAPE_COUNT] + len(m.tape) - _MAX_ROWS
    for n in range(len(stamps)):
        code = pump.pump(m)
        if code != _MORE:
            return code, n
        stamps[n, 0] = m.state[0].wall_ns
        stamps[n, 1] = m.state[0].venue_ns
        stamps[n, 2] = m.state[0].sequence
        stamps[n, 3] = m.state[0].synced
        if m.control[_TAPE_COUNT] >= enough and len(m.tape) > _MAX_ROWS:
            return _MORE, n + 1
    return _MORE, len(stamps)


class Rerun:
    """One instrument, from the state of `checkpoint` on; its records may not be older than that, or are passed over."""

    def __init__(
        self,
        levels: int = 64,
        max_depth: int = 2048,
        *,
        checkpoint: Checkpoint | None = None,
        batch: int = 256,
        tape_rows: int = 1 << 15,
        set_aside: Sequence[int] = (),
    ) -> None:
        """`levels` that a cell shows of each side, `max_depth` that are kept, as in the symbol file of its worker.

        `set_aside`: sequences of records that its worker left out (shm/quarantine.py), and so does this.
        """
        ring, book = private_ring(RING_BYTES), Private(layout.book_regions(levels, max_depth, tape_rows))
        self._words: Words = ring.array("words")
        self._ring = RingWriter(self._words, 1)
        if checkpoint is not None:
            checkpoint = checkpoint.moved(0)
            self._words[layout.NEXT_SEQUENCE] = checkpoint.sequence + 1
        memory = map_memory(ring, book, Private(layout.changed_regions()))
        memory = memory._replace(set_aside=np.zeros(max(1, len(set_aside)), np.int64))
        task = Task("", batch, 1_000_000, 0, tuple(set_aside))
        self._worker = Worker(memory, task, None, replay=True, checkpoint=checkpoint)

    @property
    def memory(self) -> Memory:
        """Its state, levels (best last), and rows of tape, quotes and events."""
        return self._worker.memory

    def take(self, recorded: Words) -> None:
        """Apply whole records, as `shm.refill.words_of` makes them. Raises LayoutError for bytes that are none; what
        came before them has been applied."""
        for _ in self._turns(recorded):
            pass

    def trace(self, recorded: Words, most: int | None = None) -> Words:
        """Apply records one by one, and after `most` of them no more: int64[records, 2], after each of them the
        receive time of day and the venue's stamp of the book. Raises as `take` does; of no use after `most`."""
        left = len(recorded) if most is None else most  # a record is longer than a word
        parts = [np.zeros((0, len(STAMPS)), np.int64)]
        if left > 0:
            for part in self.parts(recorded, left):
                parts.append(part)
                left -= len(part)
                if left <= 0:
                    break
        return np.concatenate(parts)[:, :2]

    def parts(self, recorded: Words, most: int | None = None) -> Iterator[Words]:
        """Apply records one by one: int64[records, STAMPS] each time some were applied, at most 4,096 of them and, if
        the tape has more rows than a record, no more than whose trades are still on it. As `trace`."""
        left = len(recorded) if most is None else most
        with self._one_by_one():
            for _ in self._refills(recorded):
                code = _MORE
                while code != pump.IDLE and left > 0:
                    stamps = np.empty((min(left, _TRACED), len(STAMPS)), np.int64)
                    code, count = _trace(self.memory, stamps)
                    left -= count
                    if count:
                        yield stamps[:count]
                    if code not in (pump.IDLE, _MORE):
                        self._worker.handle(code)  # it may be other increments that hold from here on
                        left -= 1
                        yield np.array([[self.memory.state[name][0] for name in STAMPS]])
                if left <= 0:
                    break

    def lose(self) -> Words:
        """Apply what stands for records that are missing: a gap, behind the last record by a nanosecond. As `trace`."""
        state = self.memory.state[0]
        gap = np.zeros(1, layout.GAP)
        gap["reason"], gap["dropped"] = int(Reason.DROPPED), state["dropped"]
        head = np.zeros(layout.RECORD_BYTES // 8, np.int64)
        head[:4] = gap.nbytes | int(Record.GAP) << 32, state["sequence"] + 1, state["recv_ns"] + 1, state["wall_ns"] + 1
        return self.trace(words_of(head.tobytes() + gap.tobytes() + bytes(8)))

    @property
    def is_between_messages(self) -> bool:
        """False after some chunks of a message: a checkpoint has nothing of them."""
        return bool(self.memory.notes[pump.POSITION] == self.memory.state["position"][0])

    def step(self, recorded: Words) -> Iterator[Memory]:
        """Apply one record after the other, and show the memory after each. Raises as `take` does."""
        with self._one_by_one():
            for _ in self._turns(recorded):
                yield self.memory

    @contextmanager
    def _one_by_one(self) -> Iterator[None]:
        before = self.memory.notes[pump.BATCH_MAX_FRAMES]
        self.memory.notes[pump.BATCH_MAX_FRAMES] = 1
        try:
            yield
        finally:
            self.memory.notes[pump.BATCH_MAX_FRAMES] = before

    def checkpoint(self) -> Checkpoint:
        """What the next record's result depends on, but bars."""
        memory = self.memory
        deepest = max(int(memory.state["n_bids"][0]), int(memory.state["n_asks"][0]))
        return Checkpoint(memory.state.copy(), memory.levels[:, :deepest].copy())

    def _turns(self, recorded: Words) -> Iterator[None]:
        for _ in self._refills(recorded):
            while (code := pump.pump(self.memory)) != pump.IDLE:
                self._worker.handle(code)
                yield

    def _refills(self, recorded: Words) -> Iterator[None]:
        """The ring filled as often as it takes; who asks empties it each time."""
        at = 0
        while at < len(recorded):
            at = refill(self._words, recorded, at, len(recorded))
            self._ring.publish()
            yield
            pump.checkpoint(self.memory)
            if at == FOREIGN:
                raise LayoutError("the recorded bytes are no records of a ring: the journal is damaged or foreign")


def warm() -> None:
    """Compile, or load, every kernel that a rerun calls, and those that read a journal for it."""
    joined.warm()
    Rerun(8, 16).lose()
