"""An engine that has several rings recorded, as fast as it can, and a worker that takes them and keeps every byte."""

import time
from typing import Any

from shm import layout
from shm.atomics import copy_bytes, load_acquire, words_at
from shm.bell import ADDRESS, WORDS
from shm.compiled import kernel
from shm.pieces import Pieces
from shm.ring import RingWriter, publish, push, release
from tests.shm.stress.bell import table_of
from tests.shm.stress.parking import wait_until
from tests.shm.stress.processes import GENERATION, STOP
from tests.shm.stress.ring import CAPACITY, ROOM, mix, size_of

SYMBOLS = ("MNQ", "MES", "GC")
MADE = 1

_RINGS = len(SYMBOLS)
_TAIL, _HEAD, _PRIVATE = layout.TAIL, layout.HEAD, layout.TAIL_PRIVATE
_DATA_BYTE = layout.CONTROL_BYTES


@kernel
def produce(rings: Any, noise: Any, first: int, count: int, waits: bool) -> None:
    """Push messages out of `noise`, the rings in turn; wait for the worker's room, or else drop in bursts."""
    for i in range(first, first + count):
        words = words_at(rings[i % _RINGS, ADDRESS], rings[i % _RINGS, WORDS])
        patient = waits or (i >> 10) & 7 != 0
        if patient and words[_PRIVATE] - load_acquire(words, _HEAD) + ROOM > CAPACITY:
            publish(words)
            wait_until(words, _HEAD, words[_PRIVATE] + ROOM - CAPACITY)
        bits = mix(i) & 0xFFFFFFF
        size = size_of(i)
        start = bits % (len(noise) - size)
        push(words, noise[start : start + size])
        if bits & 7 == 0:
            publish(words)
    for i in range(_RINGS):
        publish(words_at(rings[i, ADDRESS], rings[i, WORDS]))


@kernel
def take(words: Any, kept: Any, through: int) -> int:
    """Copy what was published behind `through` to the same positions of `kept`, give its room back; the new tail."""
    tail = load_acquire(words, _TAIL)
    at = through & (CAPACITY - 1)
    before_end = min(tail - through, CAPACITY - at)
    copy_bytes(kept, through, words, _DATA_BYTE + at, before_end)
    copy_bytes(kept, through + before_end, words, _DATA_BYTE, tail - through - before_end)
    release(words, tail)
    return tail


@kernel
def fill_quarters(words: Any, recorder: Any, payload: Any, rounds: int) -> None:
    """Publish more than a quarter of the recorder's ring as soon as that is empty, or a little later."""
    for i in range(rounds):
        for _ in range(3):
            push(words, payload)
        wait_until(recorder, _HEAD, recorder[_TAIL])
        for _ in range(i % 97):
            load_acquire(recorder, _HEAD)
        publish(words)
        release(words, words[_TAIL])


def empty_quarters(recorder: Any, rounds: int, limit_ns: int) -> int:
    """Wait for what `fill_quarters` publishes, and give it back at once; ends at the first wait that nobody ended.

    Returns how many did end.
    """
    pieces = Pieces(recorder)
    for done in range(rounds):
        more = False
        while not more:
            signal, begin_ns = int(recorder[layout.SIGNAL]), time.monotonic_ns()
            more = pieces.wait(limit_ns)
            if more and time.monotonic_ns() - begin_ns >= limit_ns and recorder[layout.SIGNAL] == signal:
                return done
        for _ in pieces.take(CAPACITY):
            pass
        pieces.done()
    return rounds


def engine(rings: list[Any], recorder: Any, flags: Any, noise: Any, first: int, count: int, waits: bool) -> None:
    """The engine process: goes on where another was killed, and says when it is done."""
    RingWriter(recorder, GENERATION)
    for symbol, words in zip(SYMBOLS, rings, strict=True):
        RingWriter(words, GENERATION).record(recorder, symbol, MADE)
    produce(table_of(rings), noise, first, count, waits)
    flags[STOP] = 1
