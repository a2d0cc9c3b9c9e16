"""A bare futex hop: the least that any wake-up of another process can cost on this machine, at this moment."""

from shm.atomics import boottime_ns, futex_wait, futex_wake, load_acquire, store_release
from shm.compiled import kernel
from shm.layout import WORDS_A_LINE, Words

_LIMIT_NS = 100_000_000
STAMP = 2 * WORDS_A_LINE  # two hop words before it, each on its own line
FIRST, SECOND = 0, WORDS_A_LINE


@kernel
def start_hop(words: Words, scratch: Words) -> None:
    """Stamp, and wake who waits on the first word."""
    words[STAMP] = boottime_ns(scratch)
    store_release(words, FIRST, words[FIRST] + 1)
    futex_wake(words, FIRST)


@kernel
def _left(words: Words, at: int, seen: int, scratch: Words) -> int:
    """What a word says once it is no longer `seen`, or after the limit."""
    if load_acquire(words, at) == seen:
        futex_wait(words, at, seen, _LIMIT_NS, scratch)
    return load_acquire(words, at)


@kernel
def pass_on(words: Words, seen: int, scratch: Words) -> int:
    """Wait for the first word to leave `seen`, then wake who waits on the second; what the first word says now."""
    now = _left(words, FIRST, seen, scratch)
    if now != seen:
        store_release(words, SECOND, words[SECOND] + 1)
        futex_wake(words, SECOND)
    return now


@kernel
def end_hop(words: Words, seen: int, scratch: Words) -> int:
    """Wait for the second word to leave `seen`: how long ago the start was; 0 if nothing came."""
    if _left(words, SECOND, seen, scratch) == seen:
        return 0
    return boottime_ns(scratch) - words[STAMP]  # type: ignore[no-any-return]
