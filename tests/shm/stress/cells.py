"""Publications that say of every byte which number it belongs to, and the two sides of reading them."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from shm import layout
from shm.atomics import copy_bytes, fence_acquire, load_acquire, load_relaxed
from shm.cells import move_through, publish_cell
from shm.compiled import kernel
from shm.layout import Kind
from tests.shm.stress.processes import STARTED, STOP, attach_writable, orphaned, start_flagged

BOOK = "cells.book"
LEVELS, DEPTH = 64, 96
MAX_RETRIES = 10_000

COUNTS = 5
READS, TORN, RETRIES, WORST, BACK = range(COUNTS)

_N_BIDS = layout.STATE.names.index("n_bids")  # type: ignore[union-attr]
_N_ASKS = _N_BIDS + 1
_STATE_WORDS = layout.STATE.itemsize // 8
_STATE_AT = layout.CELL.fields["state"][1] // 8  # type: ignore[index]
_CELL_WORDS = layout.CELL.itemsize // 8
_LEVEL_WORDS = layout.LEVEL.itemsize // 8
_CELLS = layout.CELLS
_PUBLISHED = layout.PUBLISHED
_THROUGH = layout.THROUGH_NS
_STOP = STOP
_A_CHUNK = 200_000


@kernel
def depth_of(number: int, side: int) -> int:
    """How many levels a side of publication `number` has: 1 to DEPTH, another one each time."""
    return 1 + (number * (7 + 4 * side)) % DEPTH


@kernel
def price_of(number: int, side: int, row: int) -> int:
    """Of the row that lies `row` from the worst; bids ascend, asks descend, and they do not cross."""
    return number * 1024 + (row if side == 0 else 900 - row)


@kernel
def fill(state_words: Any, levels: Any, number: int) -> None:
    """Make the working copy that of publication `number`."""
    for j in range(_STATE_WORDS):
        state_words[j] = number * 128 + j
    state_words[_N_BIDS] = depth_of(number, 0)
    state_words[_N_ASKS] = depth_of(number, 1)
    for side in range(2):
        for k in range(depth_of(number, side)):
            levels[side, k].price = price_of(number, side, k)
            levels[side, k].size = number + k + 1


@kernel
def is_whole(cell: Any, levels: Any, number: int) -> bool:
    """Whether a copied cell (words) and its levels (words) are all of publication `number`."""
    for j in range(_STATE_WORDS):
        if j != _N_BIDS and j != _N_ASKS and cell[_STATE_AT + j] != number * 128 + j:
            return False
    if cell[0] != number or cell[1] != number or cell[2] != number * 3 or cell[3] != number & 255:
        return False
    for side in range(2):
        depth = depth_of(number, side)
        shown = min(depth, LEVELS)
        if cell[_STATE_AT + _N_BIDS + side] != depth or cell[4 + side] != shown:
            return False
        for k in range(shown):
            at = (side * LEVELS + k) * _LEVEL_WORDS
            row = depth - 1 - k
            if levels[at] != price_of(number, side, row) or levels[at + 1] != number + row + 1:
                return False
    spread = price_of(number, 1, depth_of(number, 1) - 1) - price_of(number, 0, depth_of(number, 0) - 1)
    return cell[6] == spread  # type: ignore[no-any-return]


@kernel
def write(
    control: Any, cell_words: Any, cells: Any, cell_levels: Any, state_words: Any, state: Any, levels: Any, flags: Any
) -> bool:
    """Publish without a pause; False when told to stop."""
    flags[STARTED] = 1
    for _ in range(_A_CHUNK):
        if load_relaxed(flags, _STOP) != 0:
            return False
        number = control[_PUBLISHED] + 1
        fill(state_words, levels, number)
        publish_cell(control, cell_words, cells, cell_levels, state, levels[0], levels[1], number * 3, number & 255)
        move_through(control, number)
    return True


@kernel
def read(control: Any, cell_words: Any, level_words: Any, cell: Any, levels: Any, counts: Any, reads: int) -> None:
    """Copy the newest publication `reads` times, as any reader does, and look at every byte of the copy."""
    last = 0
    for turn in range(reads):
        tries = 0
        while tries < MAX_RETRIES:
            through = load_acquire(control, _THROUGH)
            number = load_acquire(control, _PUBLISHED)
            i = number % _CELLS
            copy_bytes(cell, 0, cell_words, i * _CELL_WORDS * 8, _CELL_WORDS * 8)
            if turn & 63 == 0 and tries == 0:  # some are slow enough to be lapped between the two copies
                for _ in range((turn & 1023) * 64):
                    load_relaxed(counts, READS)
            copy_bytes(levels, 0, level_words, i * 2 * LEVELS * _LEVEL_WORDS * 8, 2 * LEVELS * _LEVEL_WORDS * 8)
            fence_acquire()
            if load_relaxed(cell_words, i * _CELL_WORDS) == number:
                break
            tries += 1
        counts[READS] += 1
        counts[RETRIES] += tries
        counts[WORST] = max(counts[WORST], tries)
        if number < last or through > number:
            counts[BACK] += 1
        last = number
        if not is_whole(cell, levels, number):
            counts[TORN] += 1


def main(folder: str) -> None:
    """The writer process."""
    parent = os.getppid()
    flags = start_flagged(Path(folder))
    book = attach_writable(Path(folder), BOOK, Kind.BOOK)
    array = book.array
    control, cells = array("control").view(np.int64), array("cells")
    state = array("state")
    arguments = (control, cells.view(np.int64), cells, array("cell_levels"), state.view(np.int64), state)
    while write(*arguments, array("levels"), flags) and not orphaned(parent):
        pass
