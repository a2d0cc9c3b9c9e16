"""A producer and a consumer of records that say of every byte which message they belong to, and at which place."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from shm import layout
from shm.atomics import load_acquire, load_relaxed
from shm.compiled import kernel
from shm.layout import Kind, Reason, Record, Venue
from shm.records import AFTER, AT, CHUNK, CHUNKS, KIND, SEQUENCE, SIZE, peek
from shm.ring import (
    park,
    publish,
    push,
    put_gap,
    put_plain,
    release,
    resume,
)
from tests.shm.stress.parking import wait_until
from tests.shm.stress.processes import GENERATION, GO, STARTED, STOP, attach_writable, orphaned, start_flagged

RING = "stress.ring"
CAPACITY = 1 << 16

COUNTS = 10
(
    POSITION,
    EXPECTED,  # the sequence that must come next
    MESSAGES,  # data seen
    TOLD,  # drops told by gaps
    TORN,  # payloads with a wrong byte or size
    ORDER,  # sequences that were not the expected ones
    MISCOUNTED,  # gaps whose own total is not what was told before
    CLOCKS,
    CHUNKED,
    BATCH,  # records taken since the last release
) = range(COUNTS)

_EIGHTH = CAPACITY // 8
_EACH = _EIGHTH - layout.RECORD_BYTES - 8
_HALF = CAPACITY // 2
_GAP_EVERY, _CLOCK_EVERY, _LARGE_EVERY, _OVERSIZE_EVERY = 997, 61, 509, 4999
ROOM = 4 * CAPACITY // 8 + 4096  # of the largest message here, with every padding
_RECONNECTED = int(Reason.RECONNECTED)
_CLOCK = int(Record.CLOCK)
_GAP = int(Record.GAP)
_CHUNK = int(Record.CHUNK)
_TAIL, _HEAD, _PRIVATE = layout.TAIL, layout.HEAD, layout.TAIL_PRIVATE
_DELIVERED, _OWED = layout.DELIVERED, layout.OWED_GAP
_STOP = STOP
_A_CHUNK = 20_000
_PARK_NS = 100_000_000


@kernel
def mix(i: int) -> int:
    """Bits that look random, the same in both processes."""
    x = i * 0x9E3779B97F4A7C1 + 0x632BE59BD9B4E01
    x ^= x >> 29
    x *= 0xBF58476D1CE4E5
    return x ^ (x >> 32)


@kernel
def size_of(i: int) -> int:
    """Bytes of message i: mostly short, some up to an eighth of the ring, a few in chunks."""
    bits = mix(i) & 0xFFFFFFF
    if i % _LARGE_EVERY == 7:
        return _EIGHTH + 1 + bits % (2 * _EIGHTH)
    if bits & 63 == 0:
        return (bits >> 6) % (_EIGHTH + 1)
    return (bits >> 6) % 400


@kernel
def byte_of(bits: int, j: int) -> int:
    """Byte j of the message whose `mix` is `bits`."""
    return ((bits >> (j & 31)) + j * 7) & 0xFF


@kernel
def produce(words: Any, payload: Any, nothing: Any, total: int, lossless: bool, flags: Any) -> bool:
    """Push messages until `total` were delivered; waits for room if `lossless`, else drops. False when done."""
    flags[STARTED] = 1
    wait_until(flags, GO, 1)
    for _ in range(_A_CHUNK):
        i = words[_DELIVERED]
        if i >= total:
            publish(words)
            return words[_OWED] != 0  # type: ignore[no-any-return]
        if lossless and words[_PRIVATE] - load_acquire(words, _HEAD) + ROOM > CAPACITY:
            publish(words)
            wait_until(words, _HEAD, words[_PRIVATE] + ROOM - CAPACITY)
        if i % _CLOCK_EVERY == 0:
            put_plain(words, nothing, _CLOCK)
        if i % _GAP_EVERY == 0:
            put_gap(words, _RECONNECTED)
        size = size_of(i)
        bits = mix(i)
        for j in range(size):
            payload[j] = byte_of(bits, j)
        if not lossless and i % _OVERSIZE_EVERY == 0:
            size = _HALF + 1
        push(words, payload[:size])
        if bits & 7 == 0:
            publish(words)
        if load_relaxed(flags, _STOP) != 0:
            return False
    return True


@kernel
def consume(words: Any, data: Any, row: Any, counts: Any, scratch: Any, turns: int) -> None:
    """Take and check what is published, at most `turns` times; park when there is nothing, and return when that was
    in vain; release in batches."""
    for _ in range(turns):
        tail = load_acquire(words, _TAIL)
        if tail == counts[POSITION]:
            release(words, counts[POSITION])
            if not park(words, counts[POSITION], _PARK_NS, scratch):
                return
            continue
        while peek(words, counts[POSITION], tail, row):
            _check(words, data, row, counts)
            counts[POSITION] = row[AFTER]
            counts[BATCH] += 1
            if counts[BATCH] > row[SEQUENCE] % 40:
                counts[BATCH] = 0
                release(words, counts[POSITION])


@kernel
def _check(words: Any, data: Any, row: Any, counts: Any) -> None:
    kind = row[KIND]
    if kind == _GAP:
        at = row[AT] >> 3
        if words[at + 1] > 0:
            if words[at + 3] != counts[EXPECTED]:
                counts[ORDER] += 1
            counts[EXPECTED] += words[at + 1]
            counts[TOLD] += words[at + 1]
        if words[at + 2] != counts[TOLD]:
            counts[MISCOUNTED] += 1
    if row[SEQUENCE] != counts[EXPECTED]:
        counts[ORDER] += 1
    if kind in (_GAP, _CLOCK):
        counts[CLOCKS] += kind == _CLOCK
        counts[EXPECTED] = row[SEQUENCE] + 1
        return
    i = counts[MESSAGES] + counts[TOLD]
    start = row[CHUNK] * _EACH
    last = row[CHUNK] + 1 == row[CHUNKS]
    size = size_of(i)
    if row[SIZE] != (size - start if last else _EACH) or not _is_whole(data, row[AT], row[SIZE], mix(i), start):
        counts[TORN] += 1
    if last:
        counts[CHUNKED] += kind == _CHUNK
        counts[MESSAGES] += 1
        counts[EXPECTED] = row[SEQUENCE] + 1


@kernel
def _is_whole(data: Any, at: int, size: int, bits: int, start: int) -> bool:
    wrong = 0
    for j in range(size):
        wrong += data[at + j] != byte_of(bits, start + j)
    return wrong == 0 and data[at + size] == 0


def main(folder: str, total: str, lossless: str) -> None:
    """The producer process."""
    parent = os.getppid()
    flags = start_flagged(Path(folder))
    words: Any = attach_writable(Path(folder), RING, Kind.RING).array("words").view(np.int64)
    resume(words, GENERATION << layout.GENERATION_SHIFT, int(Venue.PROJECTX))
    payload, nothing = np.zeros(CAPACITY, np.uint8), np.zeros(0, np.uint8)
    while produce(words, payload, nothing, int(total), lossless == "lossless", flags) and not orphaned(parent):
        pass
