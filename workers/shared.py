"""Several instruments in one worker process: each takes its turn of one batch, and all sleep together.

A kernel looks at all rings at once and names those that have something to do; for each of them there is one call of
`pump`, whose bounds are its instrument's own. So a busy instrument delays another by one batch and never starves it.
A look costs a call and a load a ring: who wants the last microsecond gives its instrument a process of its own.
"""

import time
from collections.abc import Sequence
from types import FrameType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shm import layout
from shm.atomics import boottime_ns, load_acquire, words_at
from shm.bell import ADDRESS, WORDS, any_moved, park
from shm.cells import pay_owed_wake
from shm.compiled import kernel
from shm.layout import Words

from . import pump
from .pump import Memory

Table = npt.NDArray[np.int64]

# A row of the desks: where an instrument's ring and its book's control words lie.
RING, RING_WORDS, CONTROL, CONTROL_WORDS = ADDRESS, WORDS, 2, 3
_DESK_WORDS = 4

FINISH_S = 2.0  # that a process waits for room for its bars when it is to end: after 3 it would be killed

_HEARTBEAT = layout.HEARTBEAT
_TAIL = layout.TAIL
_POSITION = pump.POSITION
_DUE_FROM = pump.DUE_FROM
_POLL_NS = pump.POLL_NS


class Instrument(Protocol):
    """One instrument of the process, as worker.Worker is."""

    memory: Memory

    def take_turn(self) -> None: ...
    def finish(self, by_s: float) -> None: ...


@kernel
def look(desks: Table, notes: Table, ready: Words, scratch: Words) -> int:
    """Note in `ready` which instruments have records or a checkpoint due, and how many; moves every heartbeat."""
    now_ns = boottime_ns(scratch)
    count = 0
    for i in range(len(desks)):
        ring = words_at(desks[i, RING], desks[i, RING_WORDS])
        ring[_HEARTBEAT] += 1
        due_ns = notes[i, _DUE_FROM]
        if load_acquire(ring, _TAIL) != notes[i, _POSITION] or (due_ns != 0 and now_ns >= due_ns):
            ready[count] = i
            count += 1
    return count


@kernel
def rest(desks: Table, notes: Table, bell: Words, changed: Words, spin_ns: int, scratch: Words) -> None:
    """Wait for the engine: spin if told to, then park; at most until the next checkpoint is due, or 100 ms."""
    now_ns = boottime_ns(scratch)
    positions = notes[:, _POSITION]
    end_ns = now_ns + spin_ns
    while now_ns < end_ns:
        if any_moved(desks, positions):
            return
        now_ns = boottime_ns(scratch)
    limit_ns = _POLL_NS
    for i in range(len(desks)):
        pay_owed_wake(words_at(desks[i, CONTROL], desks[i, CONTROL_WORDS]), changed, now_ns)
        if notes[i, _DUE_FROM] != 0:
            limit_ns = min(limit_ns, max(notes[i, _DUE_FROM] - now_ns, 1000))
    park(bell, desks, positions, limit_ns, scratch)


class Shared:
    """The loop of a process with several instruments."""

    def __init__(self, instruments: Sequence[Instrument], notes: Table, bell: Words) -> None:
        """`notes`: a row an instrument, which is the `notes` of its memory. `bell`: the words of the bell."""
        self._instruments = instruments
        self._notes = notes
        self._bell = bell
        self._changed = instruments[0].memory.changed
        self._desks = np.zeros((len(instruments), _DESK_WORDS), np.int64)
        for desk, each in zip(self._desks, instruments, strict=True):
            desk[RING], desk[RING_WORDS] = each.memory.ring.ctypes.data, len(each.memory.ring)
            desk[CONTROL], desk[CONTROL_WORDS] = each.memory.control.ctypes.data, len(each.memory.control)
        self._spin_ns = int(notes[:, pump.SPIN_NS].max())
        self._ready = np.zeros(len(instruments), np.int64)
        self._scratch = np.zeros(4, np.int64)
        self._stopping = False

    def stop(self, signum: int = 0, frame: FrameType | None = None) -> None:
        """Finish what is in the rings, then end."""
        self._stopping = True

    def run(self) -> None:
        """Take turns until stopped, and then finish, one after the other."""
        while not self._stopping:
            if not self.take_turns():
                self.rest()
        by_s = time.monotonic() + FINISH_S
        for each in self._instruments:
            each.finish(by_s)

    def take_turns(self) -> bool:
        """A turn for each instrument that has something to do; False if none has."""
        count = look(self._desks, self._notes, self._ready, self._scratch)
        for i in self._ready[:count].tolist():
            self._instruments[i].take_turn()
        return count > 0

    def rest(self) -> None:
        """Wait until one may have something to do, or a signal is to be looked for."""
        rest(self._desks, self._notes, self._bell, self._changed, self._spin_ns, self._scratch)
