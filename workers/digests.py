"""Two numbers that tell whether two runs over the same records came to the same: a part of the state, so kills change
nothing of them.

The book's goes over all levels and the venue's stamp at each clock frame, the tape's over each trade. Clock frames lie
in the ring as messages do, and so at the same places in a replay. No process id, generation, batch or publication is in
them. They are no guard against somebody who means harm.
"""

import numpy as np

from shm.compiled import kernel
from shm.layout import Rows

_FACTOR = -7046029254386353131  # 2^64 over the golden ratio, as a signed number


@kernel
def mix(digest: int, value: int) -> int:
    """`digest` with one number more; all of it wraps at 64 bits."""
    mixed = (digest ^ value) * _FACTOR
    return mixed ^ (mixed >> 29)


@kernel
def take_book(state: Rows, levels: Rows) -> None:
    """What the book holds at a clock frame."""
    s = state[0]
    digest = mix(mix(mix(s.book_digest, s.venue_ns), s.n_bids), s.n_asks)
    for side in range(2):
        count = s.n_bids if side == 0 else s.n_asks
        for i in range(count):
            digest = mix(mix(digest, levels[side, i].price), levels[side, i].size)
    s.book_digest = digest


@kernel
def take_trades(state: Rows, rows: Rows, n: int) -> None:
    """The trades of one record, decoded and on the grid, in their order."""
    s = state[0]
    digest = s.tape_digest
    for i in range(n):
        digest = mix(digest, rows[i].venue_ns)
        digest = mix(digest, rows[i].price // s.price_increment)
        digest = mix(digest, rows[i].size // s.size_increment)
        digest = mix(digest, rows[i].side)
    s.tape_digest = np.int64(digest)
