"""`recover`: what survived of a book, and the records behind it, are that book again.

There is one way in, for who starts clean, for who takes a dead worker's place, for a replay, and for who runs a journal
once more to see a book, rows or bars of the past. A checkpoint is what survived: the newest whole slot of the book's
segment, a waypoint beside a journal file, or nothing. The records are those of a ring. For each record of it: from the
checkpoint behind that record, and from nothing with all records before it, the next records come to the same book,
counts, digests and rows. What readers have seen already, cells, tape, quote and event rows, is not shown again.

Only pump.py applies records; here it is decided with what, and where, it begins.
"""

import numpy as np

from shm import layout
from shm.checkpoint import load_slot
from shm.layout import Reason, Rows, Source, State, Words
from shm.rows import through

from . import pump
from .pump import Memory


class Checkpoint:
    """The whole working copy of one book after one record."""

    def __init__(self, state: Rows, levels: Rows) -> None:
        """`state`: STATE[1]; `levels`: LEVEL[2, as many as there are or more], best last."""
        self.state = state
        self.levels = levels

    @property
    def sequence(self) -> int:
        """Of the last record that is in it."""
        return int(self.state["sequence"][0])

    @property
    def sides(self) -> tuple[Rows, Rows]:
        """The levels of both sides, best last."""
        return self.levels[0, : int(self.state["n_bids"][0])], self.levels[1, : int(self.state["n_asks"][0])]

    def moved(self, position: int) -> "Checkpoint":
        """The same, for a ring in which the next records lie from `position` on."""
        state = self.state.copy()
        state["position"] = position
        return Checkpoint(state, self.levels)


def surviving(memory: Memory) -> Checkpoint | None:
    """The newest checkpoint in a book's own memory; None if there never was one."""
    state, levels = np.zeros(1, layout.STATE), np.zeros(memory.levels.shape, layout.LEVEL)
    is_there = load_slot(memory.slot_words, memory.slots, memory.slot_levels, state, levels)
    return Checkpoint(state, levels) if is_there else None


def recover(checkpoint: Checkpoint | None, records: Words, memory: Memory) -> Memory:
    """A memory that goes on with `records`, the words of a ring, behind the checkpoint; from nothing if that is None.

    `memory` is where: its working copy becomes that of the checkpoint, and what it shows already is noted.
    """
    memory = memory._replace(ring=records, ring_bytes=records.view(np.uint8))
    state, control, notes = memory.state, memory.control, memory.notes
    if checkpoint is None:
        _begin(memory)
    else:
        state[:] = checkpoint.state
        for side, rows in enumerate(checkpoint.sides):
            memory.levels[side, : len(rows)] = rows
    position = int(state["position"][0])
    notes[pump.POSITION] = notes[pump.RELEASED] = position
    published = int(control[layout.PUBLISHED])
    if published:
        notes[pump.PUBLISH_FROM] = memory.cells[published % layout.CELLS]["state"]["sequence"]
    notes[pump.TAPE_THROUGH] = through(memory.tape, control[layout.TAPE_COUNT])
    notes[pump.QUOTE_THROUGH] = through(memory.quotes, control[layout.QUOTE_COUNT])
    notes[pump.EVENT_THROUGH] = through(memory.events, control[layout.EVENT_COUNT])
    memory.ring[layout.HEAD] = position  # a predecessor may have died between its checkpoint and the release
    memory.ring[layout.BEGUN] = 0
    memory.ring[layout.PARKED] = 0
    return with_contract(memory)


def _begin(memory: Memory) -> None:
    """The working copy of a book of which nothing is known: its ring's first record is the next."""
    state = memory.state
    state[:] = np.zeros(1, layout.STATE)
    state["state"] = int(State.SYNCING)
    state["reason"] = state["cause"] = int(Reason.STARTING)
    state["source"] = int(Source.REPLAY if memory.notes[pump.REPLAYED] else Source.VENUE)
    state["bid_bound"], state["ask_bound"] = layout.NO_BOUND, -layout.NO_BOUND
    state["price_increment"] = state["size_increment"] = 1
    state["position"] = memory.ring[layout.HEAD]


def with_contract(memory: Memory) -> Memory:
    """The memory whose kernels take messages of the state's contract."""
    contract = bytes(memory.state["contract"][0])
    return memory._replace(contract=np.frombuffer(contract, np.uint8).copy())
