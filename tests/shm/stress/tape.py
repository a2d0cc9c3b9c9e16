"""A tape of rows that each say their own number, written without a pause and read by one who is lapped."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from shm import layout
from shm.atomics import copy_bytes, fence_acquire, load_acquire, load_relaxed
from shm.compiled import kernel
from shm.layout import Kind
from shm.rows import announce, commit
from tests.shm.stress.parking import wait_until
from tests.shm.stress.processes import GO, STARTED, STOP, attach_writable, orphaned, start_flagged

BOOK = "tape.book"
ROWS = 256

COUNTS = 4
NEXT, SEEN, LOST, TORN = range(COUNTS)

_ROW_BYTES = layout.TRADE.itemsize
_ROW_WORDS = _ROW_BYTES // 8
_INTENT = layout.TAPE_INTENT
_COUNT = layout.TAPE_COUNT
_STOP = STOP
_A_CHUNK = 20_000


@kernel
def write(control: Any, row_words: Any, flags: Any, pause: int) -> bool:
    """Records of 1 to 5 rows; False when told to stop. `pause`: how long to spin between records."""
    flags[STARTED] = 1
    wait_until(flags, GO, 1)
    for _ in range(_A_CHUNK):
        if load_relaxed(flags, _STOP) != 0:
            return False
        first = control[_COUNT]
        n = 1 + first % 5
        announce(control, _INTENT, first + n)
        for row in range(first, first + n):
            at = (row & (ROWS - 1)) * _ROW_WORDS
            for j in range(_ROW_WORDS):
                row_words[at + j] = row * 16 + j
        commit(control, _COUNT, first + n)
        for _ in range(pause * (first % 7)):
            load_acquire(control, _COUNT)
    return True


@kernel
def read(control: Any, row_words: Any, copy: Any, counts: Any, tries: int) -> None:
    """Take rows in order; what was overwritten before it was taken is lost, and counted, with what is jumped over."""
    for _ in range(tries):
        count = load_acquire(control, _COUNT)
        number = counts[NEXT]
        if number >= count:
            continue
        copy_bytes(copy, 0, row_words, (number & (ROWS - 1)) * _ROW_BYTES, _ROW_BYTES)
        fence_acquire()
        intent = load_relaxed(control, _INTENT)
        if intent > number + ROWS:
            ahead = max(number + 1, count - ROWS // 2)  # the oldest that is left would be overtaken at once
            counts[LOST] += ahead - number
            counts[NEXT] = ahead
            continue
        counts[SEEN] += 1
        counts[NEXT] = number + 1
        for j in range(_ROW_WORDS):
            if copy[j] != number * 16 + j:
                counts[TORN] += 1
                break


def main(folder: str, pause: str) -> None:
    """The writer process."""
    parent = os.getppid()
    flags = start_flagged(Path(folder))
    array = attach_writable(Path(folder), BOOK, Kind.BOOK).array
    control, rows = array("control").view(np.int64), array("tape").view(np.int64)
    while write(control, rows, flags, int(pause)) and not orphaned(parent):
        pass
