"""Checkpoints that say of every byte which number they are, written without a pause."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from shm import layout
from shm.atomics import copy_bytes, fence_acquire, load_acquire, load_relaxed
from shm.checkpoint import newest_slot, write_slot
from shm.compiled import kernel
from shm.layout import Kind
from tests.shm.stress import cells
from tests.shm.stress.processes import STARTED, STOP, attach_writable, orphaned, start_flagged

BOOK = "slots.book"
DEPTH = cells.DEPTH

COUNTS = 4
READS, TORN, RETRIES, NEWEST = range(COUNTS)

_STATE_BYTES = layout.STATE.itemsize
_STATE_WORDS = _STATE_BYTES // 8
_STATE_AT = layout.SLOT.fields["state"][1]  # type: ignore[index]
_SLOT_WORDS = layout.SLOT.itemsize // 8
_SLOT_LEVEL_BYTES = 2 * DEPTH * layout.LEVEL.itemsize
_N_BIDS = layout.STATE.names.index("n_bids")  # type: ignore[union-attr]
_N_ASKS = _N_BIDS + 1
_STOP = STOP
_A_CHUNK = 200_000


@kernel
def is_whole(state_words: Any, level_words: Any, number: int) -> bool:
    """Whether copied state and levels, as words, are all of checkpoint `number`."""
    for j in range(_STATE_WORDS):
        if j != _N_BIDS and j != _N_ASKS and state_words[j] != number * 128 + j:
            return False
    for side in range(2):
        depth = cells.depth_of(number, side)
        if state_words[_N_BIDS + side] != depth:
            return False
        for k in range(depth):
            at = 2 * (side * DEPTH + k)
            if level_words[at] != cells.price_of(number, side, k) or level_words[at + 1] != number + k + 1:
                return False
    return True


@kernel
def write(slot_words: Any, slots: Any, slot_levels: Any, state_words: Any, state: Any, levels: Any, flags: Any) -> bool:
    """Checkpoint without a pause; False when told to stop."""
    flags[STARTED] = 1
    newest = newest_slot(slot_words)
    number = 0 if newest < 0 else slot_words[newest * _SLOT_WORDS + 1]
    for _ in range(_A_CHUNK):
        if load_relaxed(flags, _STOP) != 0:
            return False
        number += 1
        cells.fill(state_words, levels, number)
        write_slot(slot_words, slots, slot_levels, state, levels)
    return True


@kernel
def read(
    slot_words: Any, slots: Any, slot_levels: Any, state_words: Any, level_words: Any, counts: Any, tries: int
) -> None:
    """Copy the newest whole slot, `tries` times; a copy counts if the slot still was that one afterwards."""
    for _ in range(tries):
        i = newest_slot(slot_words)
        if i < 0:
            counts[RETRIES] += 1
            continue
        number = load_acquire(slot_words, i * _SLOT_WORDS + 1)
        copy_bytes(state_words, 0, slots, i * _SLOT_WORDS * 8 + _STATE_AT, _STATE_BYTES)
        copy_bytes(level_words, 0, slot_levels, i * _SLOT_LEVEL_BYTES, _SLOT_LEVEL_BYTES)
        fence_acquire()
        if load_relaxed(slot_words, i * _SLOT_WORDS) != number:
            counts[RETRIES] += 1
            continue
        counts[READS] += 1
        counts[NEWEST] = max(counts[NEWEST], number)
        if not is_whole(state_words, level_words, number):
            counts[TORN] += 1


def main(folder: str) -> None:
    """The writer process."""
    parent = os.getppid()
    flags = start_flagged(Path(folder))
    array = attach_writable(Path(folder), BOOK, Kind.BOOK).array
    slots, state = array("slots"), array("state")
    arguments = (slots.view(np.int64), slots, array("slot_levels"), state.view(np.int64), state, array("levels"))
    while write(*arguments, flags) and not orphaned(parent):
        pass
