"""Several rings that race on every round: the engine publishes to one of them just when their worker goes to sleep."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from shm import layout
from shm.atomics import boottime_ns, load_acquire, words_at
from shm.bell import ADDRESS, WORDS, park
from shm.compiled import kernel
from shm.layout import Kind, Venue
from shm.ring import publish_and_ring, push, release, resume
from tests.shm.stress.parking import LIMIT_NS, wait_until
from tests.shm.stress.processes import GENERATION, GO, STARTED, STOP, attach_writable, orphaned, start_flagged

BELL = "stress.bell"
RINGS = 3

COUNTS = 3
LOST, WAITS, TAKEN = range(COUNTS)

_SHORT_NS = 1_000_000
_MOST_SPINS = 1201  # of the worker: it sees its own release sooner than the engine does
_MOST_IDLE = 30
_A_WHILE = 1000  # rounds between two looks at whether the test still lives
_TAIL = layout.TAIL
_HEAD = layout.HEAD


def name_of(ring: int) -> str:
    return f"stress-{ring}.ring"


def table_of(rings: list[Any]) -> Any:
    """The rings as bell.py takes them; whoever has the table keeps the rings."""
    return np.array([[words.ctypes.data, len(words)] for words in rings], np.int64)


@kernel
def engine_side(rings: Any, bell: Any, payload: Any, first: int, rounds: int) -> None:
    """Publish one record as soon as the one before, which was another ring's, was released, or a little later."""
    for i in range(first, first + rounds):
        before = words_at(rings[(i + 2) % RINGS, ADDRESS], rings[(i + 2) % RINGS, WORDS])
        words = words_at(rings[i % RINGS, ADDRESS], rings[i % RINGS, WORDS])
        push(words, payload)
        wait_until(before, _HEAD, before[_TAIL])
        for _ in range(i % 97):
            load_acquire(before, _HEAD)
        publish_and_ring(words, bell)


@kernel
def worker_side(rings: Any, bell: Any, positions: Any, counts: Any, scratch: Any, rounds: int) -> None:
    """Park until a ring has something, and release it at once, until so many were taken or none comes.

    A lost wake-up is a wait that ran into its limit though a tail had moved and nobody had rung. After one the
    others are not waited for so long.
    """
    idle = 0
    while counts[TAKEN] < rounds and idle < _MOST_IDLE:
        for _ in range(counts[WAITS] * 7 % _MOST_SPINS):  # now one of the two is the first, now the other
            load_acquire(bell, 0)
        rung = load_acquire(bell, 0)
        before_ns = boottime_ns(scratch)
        limit_ns = LIMIT_NS if counts[LOST] == 0 else _SHORT_NS
        more = park(bell, rings, positions, limit_ns, scratch)
        counts[WAITS] += 1
        idle = 0 if more else idle + 1
        waited_ns = boottime_ns(scratch) - before_ns
        if more and waited_ns >= limit_ns and load_acquire(bell, 0) == rung:
            counts[LOST] += 1
        for i in range(RINGS):
            words = words_at(rings[i, ADDRESS], rings[i, WORDS])
            tail = load_acquire(words, _TAIL)
            if tail != positions[i]:
                positions[i] = tail
                counts[TAKEN] += 1
                release(words, tail)


def main(folder: str, rounds: str) -> None:
    """The engine process."""
    parent = os.getppid()
    flags = start_flagged(Path(folder))
    bell: Any = attach_writable(Path(folder), BELL, Kind.BELL).array("words")
    rings: list[Any] = [attach_writable(Path(folder), name_of(i), Kind.RING).array("words") for i in range(RINGS)]
    for words in rings:
        resume(words, GENERATION << layout.GENERATION_SHIFT, int(Venue.PROJECTX))
    table = table_of(rings)
    payload = np.zeros(8, np.uint8)
    engine_side(table, bell, payload, 0, 0)  # compiled before the race begins
    flags[STARTED] = 1
    wait_until(flags, GO, 1)
    done = 0
    while done < int(rounds) and not flags[STOP] and not orphaned(parent):
        engine_side(table, bell, payload, done, min(_A_WHILE, int(rounds) - done))
        done += _A_WHILE
