"""Several rings to one worker process: it looks at all of them, and sleeps on one word that is no ring's, its bell.

A process sleeps on one word (on more with futex_waitv, which kernels before Linux 5.16 do not have). The engine
writes that word, and nobody else: it is the writer of all rings, so nothing is added atomically. `tail` and `parked`
are each ring's own, and the handshake is that of ring.py, once for each ring:

    worker   load the bell; parked = 1 in each ring; full fence; look at each tail; sleep if none has moved
    engine   move one tail (`publish_and_ring`); full fence; look at that ring's parked; ring the bell if it is set

So for each ring either the engine sees `parked` or the worker sees `tail`. If the bell is rung after the worker
loaded it and before it sleeps, the kernel finds another value than was loaded and does not put it to sleep.

Rings are a table of rows, because one kernel must take any number of them: address and words of the ring come first
in each. Who makes such a table keeps the mappings.
"""

import numpy as np
import numpy.typing as npt

from . import layout
from .atomics import fence_seq_cst, futex_wait, load_acquire, store_relaxed, words_at
from .compiled import kernel, kernel_part
from .layout import Words

ADDRESS, WORDS = range(2)

_TAIL = layout.TAIL
_PARKED = layout.PARKED

Table = npt.NDArray[np.int64]


@kernel_part
def any_moved(rings: Table, positions: Words) -> bool:
    """Whether a ring has more than its reader, who is at `positions`, has taken."""
    for i in range(len(rings)):
        if load_acquire(words_at(rings[i, ADDRESS], rings[i, WORDS]), _TAIL) != positions[i]:
            return True
    return False


@kernel_part
def _set_parked(rings: Table, parked: int) -> None:
    for i in range(len(rings)):
        store_relaxed(words_at(rings[i, ADDRESS], rings[i, WORDS]), _PARKED, parked)


@kernel
def park(bell: Words, rings: Table, positions: Words, timeout_ns: int, scratch: Words) -> bool:
    """Sleep until the engine publishes more than clock frames to any ring, or `timeout_ns` is over; True if it did."""
    seen = load_acquire(bell, 0)
    _set_parked(rings, 1)
    fence_seq_cst()  # SYNC parking: one fence behind all the stores, before all the looks
    if not any_moved(rings, positions):
        futex_wait(bell, 0, seen, timeout_ns, scratch)
    _set_parked(rings, 0)
    return any_moved(rings, positions)
