"""A ring in words: its positions and counters, and a walk over the records that it keeps."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shm import layout
from shm.layout import Record
from shm.segment import Segment

from ..table import reason_text
from .report import Check, Checks, Groups


def examine(segment: Segment) -> tuple[Groups, Checks]:
    return (("ring", tuple(_ring(segment))),), tuple(_checks(segment))


def _ring(segment: Segment) -> Iterator[tuple[str, str]]:
    words = segment.array("words")
    head, tail = int(words[layout.HEAD]), int(words[layout.TAIL])
    yield "capacity", f"{words[layout.CAPACITY]:,} bytes"
    yield "tail", f"{tail:,}  published by the engine"
    yield "head", f"{head:,}  released by the worker, {tail - head:,} bytes kept"
    yield "next sequence", f"{words[layout.NEXT_SEQUENCE]:,}"
    yield "delivered", f"{words[layout.DELIVERED]:,}"
    yield "dropped", f"{words[layout.DROPPED]:,}"
    yield "owed gap", reason_text(int(words[layout.OWED_GAP])) or "none"
    yield "worker", "parked" if words[layout.PARKED] else "awake"
    yield "resyncs wanted", f"{words[layout.RESYNC_WANTED]:,}"
    yield "begun", f"{words[layout.BEGUN]:,}" if words[layout.BEGUN] else "no record in hand"
    yield "heartbeat", f"{words[layout.HEARTBEAT]:,}"


def _checks(segment: Segment) -> list[Check]:
    words = segment.array("words")
    capacity = int(words[layout.CAPACITY])
    described = segment.regions["words"].nbytes - layout.CONTROL_BYTES - layout.RING_SLACK
    head, tail = int(words[layout.HEAD]), int(words[layout.TAIL])  # head first: it never passes a later tail
    checks = [
        Check("capacity is what the file has room for", "" if capacity == described else f"{capacity:,} bytes"),
        Check(
            "positions: head <= tail <= head + capacity, on 8 bytes",
            "" if 0 <= tail - head <= capacity and head % 8 == tail % 8 == 0 else f"head {head:,}, tail {tail:,}",
        ),
    ]
    if any(check.fault for check in checks):
        return checks
    data = words[layout.DATA_WORD : layout.DATA_WORD + capacity // 8].copy()
    kept_from = int(words[layout.HEAD])  # what was released while it was copied may have been written over
    first = segment.generation << layout.GENERATION_SHIFT
    is_replay = int(words[layout.NEXT_SEQUENCE]) < first  # it has the sequences that were recorded
    count, fault = _walk(data, min(kept_from, tail), tail, 0 if is_replay else first)
    return [*checks, Check(f"records between head and tail: {count:,}", fault)]


def _walk(data: npt.NDArray[np.int64], position: int, tail: int, least: int) -> tuple[int, str]:
    """How many whole records lie in a ring's data words from `position` to `tail`, and what ends the walk early.

    `least`: no sequence is below it.
    """
    capacity = len(data) * 8
    count, last, last_kind = 0, least - 1, 0
    while position < tail:
        place = position % capacity
        first = int(data[place // 8])
        kind, size = (first >> 32) & 0xFFFFFFFF, first & 0xFFFFFFFF
        if kind == Record.PAD:
            step = size
        elif kind == Record.PRESENT:
            step, count = layout.RECORD_BYTES + 8, count + 1  # it has no sequence of its own
        elif kind in tuple(Record):
            step = layout.RECORD_BYTES + ((size + 8) & ~7)
            sequence = int(data[place // 8 + 1])
            if sequence < last or (sequence == last and not kind == last_kind == Record.CHUNK):
                return count, f"sequence {sequence} after {last} at {position:,}"
            last, last_kind, count = sequence, kind, count + 1
        else:
            return count, f"no such kind of record, {kind}, at {position:,}"
        if step <= 0 or step % 8 or place + step > capacity:
            return count, f"a record of {step:,} bytes at {position:,}"
        position += step
    return count, "" if position == tail else f"the last record ends {position - tail:,} bytes past the tail"
