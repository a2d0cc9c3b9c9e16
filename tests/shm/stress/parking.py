"""Both ends of a ring that race on every round: one publishes just when the other goes to sleep."""

from typing import Any

from numba import types

from shm import layout
from shm.atomics import boottime_ns, load_acquire
from shm.compiled import kernel
from shm.ring import park, publish, push, release

# Words of the litmus, each on a line of its own; side i uses word + 16 · i.
ARRIVED = 0
FLAG = 32

COUNTS = 2
LOST, WAITS = range(COUNTS)

LIMIT_NS = 1_000_000_000  # ten times the worker's own: a slow machine must not look like a lost wake-up
_SHORT_NS = 1_000_000
_SPINS_BEFORE_YIELD = 20_000
_TAIL = layout.TAIL
_HEAD = layout.HEAD
_SIGNAL = layout.SIGNAL

_sched_yield = types.ExternalFunction("sched_yield", types.int32())


@kernel
def wait_until(words: Any, index: int, value: int) -> None:
    """Spin until the word is at least `value`; the processor is offered to others now and then."""
    spins = 0
    while load_acquire(words, index) < value:
        spins += 1
        if spins % _SPINS_BEFORE_YIELD == 0:
            _sched_yield()


@kernel
def engine_side(words: Any, payload: Any, rounds: int) -> None:
    """Publish one record as soon as the one before was released, or a little later."""
    for i in range(rounds):
        push(words, payload)
        wait_until(words, _HEAD, words[_TAIL])
        for _ in range(i % 97):
            load_acquire(words, _HEAD)
        publish(words)


@kernel
def worker_side(words: Any, scratch: Any, counts: Any, rounds: int) -> None:
    """Park for each record and release it at once. After one lost wake-up the others are not waited for so long."""
    position = words[_HEAD]
    for i in range(rounds):
        for _ in range(i % 101):  # now one of the two is the first, now the other
            load_acquire(words, _SIGNAL)
        while load_acquire(words, _TAIL) == position:
            signal = load_acquire(words, _SIGNAL)
            before_ns = boottime_ns(scratch)
            limit_ns = LIMIT_NS if counts[LOST] == 0 else _SHORT_NS
            more = park(words, position, limit_ns, scratch)
            counts[WAITS] += 1
            waited_ns = boottime_ns(scratch) - before_ns
            if more and waited_ns >= limit_ns and load_acquire(words, _SIGNAL) == signal:
                counts[LOST] += 1
        position = load_acquire(words, _TAIL)
        release(words, position)
