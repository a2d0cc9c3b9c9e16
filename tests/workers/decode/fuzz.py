"""Mutants of good frames, from a seed: every one through the three decoders.

`python -m tests.workers.decode.fuzz SEED COUNT` runs it alone; with NUMBA_BOUNDSCHECK=1 the kernels check their
indices as well.
"""

import random
import sys
from typing import NamedTuple

from tests.workers.decode.agreement import Guarded, compare
from tests.workers.decode.frames import Venue, depth
from tests.workers.decode.mutation import mutate


class Outcome(NamedTuple):
    by_kernel: int
    by_slow: int
    refused: int


def run(kernel: Guarded, seed: int, count: int) -> Outcome:
    """AssertionError where the decoders disagree; else who took how many."""
    rng = random.Random(seed)
    by_kernel = by_slow = refused = 0
    record = depth()
    for _ in range(count):
        venue, other = Venue(rng), record
        record = rng.choice((venue.depth(rng.randint(1, 3)), venue.trades(rng.randint(1, 2)), venue.quote(), depth()))
        result = compare(kernel, mutate(rng, record, other))
        by_kernel += result.by_kernel
        by_slow += result.by_slow
        refused += not result.by_slow
    return Outcome(by_kernel, by_slow, refused)


if __name__ == "__main__":
    print(run(Guarded(), int(sys.argv[1]), int(sys.argv[2])))
