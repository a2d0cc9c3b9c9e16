"""Damage to good frames, from a seed: every one through the three decoders.

`python -m tests.workers.decode.fuzz SEED COUNT` runs it alone; with NUMBA_BOUNDSCHECK=1 the kernels check their
indices as well.
"""

import random
import sys
from typing import NamedTuple

from tests.workers.decode.agreement import Guarded, compare
from tests.workers.decode.frames import Venue, depth

# What a scanner may trip over: put in, or in the place of something.
SPLINTERS = (
    *(b"\0", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"-", b"+", b".", b"e5", b"E", b"0", b"00"),
    *(b"9" * 15, b"9" * 30, b"1e999", b"null", b"true", b"false", b"NaN", b'"type":2', b'"price":1', b'"volume":0'),
    *(b"\xff", b"\xc3\xa4", b"\x7f", b"\x1f", b"\xef\xbb\xbf", b"\\u0065", b"T", b"Z", b"+05:30", b'"timestamp":null'),
    *(b'"lastUpdated":"2026-02-30T00:00:00Z",', b'"target":"GatewayQuote",', b'"arguments":[],', b'"type":1,', b"{}"),
)


class Outcome(NamedTuple):
    by_kernel: int
    by_slow: int
    refused: int


def damage(rng: random.Random, record: bytes, other: bytes) -> bytes:
    """One to four wounds."""
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(record) + 1)
        until = min(len(record), place + rng.choice((0, 1, 1, 2, 8, 40)))
        kind = rng.randrange(6)
        if kind == 0:
            record = record[:place] + rng.choice(SPLINTERS) + record[until:]
        elif kind == 1:
            record = record[:place] + bytes([rng.randrange(256)]) + record[place + 1 :]
        elif kind == 2:
            record = record[:place] + record[until:]
        elif kind == 3:
            record = record[:until] + record[place:]
        elif kind == 4:
            digits = [at for at, byte in enumerate(record) if 48 <= byte <= 57]
            at = rng.choice(digits) if digits else 0
            record = record[:at] + rng.choice((b"0", b"9", b"5", b"1", b"", b"00", b".", b"-1")) + record[at + 1 :]
        else:
            record = record[:place] + other[rng.randrange(len(other)) :]
    return record


def run(kernel: Guarded, seed: int, count: int) -> Outcome:
    """AssertionError where the decoders disagree; else who took how many."""
    rng = random.Random(seed)
    by_kernel = by_slow = refused = 0
    record = depth()
    for _ in range(count):
        venue, other = Venue(rng), record
        record = rng.choice((venue.depth(rng.randint(1, 3)), venue.trades(rng.randint(1, 2)), venue.quote(), depth()))
        result = compare(kernel, damage(rng, record, other))
        by_kernel += result.by_kernel
        by_slow += result.by_slow
        refused += not result.by_slow
    return Outcome(by_kernel, by_slow, refused)


if __name__ == "__main__":
    print(run(Guarded(), int(sys.argv[1]), int(sys.argv[2])))
