"""Market messages to measure with: a book of sixty levels a side that moves, and trades in lists.

From a fixed seed, so that two runs measure the same bytes. The mid stays where it is: best prices change because
levels go and come back, and the book never crosses.
"""

import random
from collections.abc import Sequence

from tests.workers import rig

TICK = 0.25
MID = 21000.0
LEVELS = 60
DELETED = 0.15
ENTRIES = (1, 1, 2, 2, 3, 3, 4, 5, 6, 6, 8, 9, 10, 14, 20)  # the lengths of mixed records: 1 to 20, mean 6.3
_ASK, _BID = 1, 2


def snapshot(contract: str = rig.CONTRACT) -> bytes:
    """The whole book, led by Reset."""
    entries = [(6, 0.0, 0)]
    for k in range(1, LEVELS + 1):
        entries += [(_BID, MID - k * TICK, 10 + k), (_ASK, MID + k * TICK, 10 + k)]
    return rig.depth(entries, 1, contract).encode()


def depths(count: int, lengths: Sequence[int], contract: str = rig.CONTRACT, seed: int = 7) -> list[bytes]:
    """`count` depth records whose numbers of entries go round `lengths`."""
    chance = random.Random(seed)
    return [
        rig.depth([_entry(chance) for _ in range(lengths[n % len(lengths)])], n + 2, contract).encode()
        for n in range(count)
    ]


def trades(count: int, length: int, contract: str = rig.CONTRACT, seed: int = 7) -> list[bytes]:
    """`count` trade records of `length` trades each."""
    chance = random.Random(seed)
    return [
        rig.trades(
            [(MID + TICK * chance.randint(-1, 1), chance.randint(1, 9), chance.randint(0, 1)) for _ in range(length)],
            n + 2,
            contract,
        ).encode()
        for n in range(count)
    ]


def _entry(chance: random.Random) -> tuple[int, float, int]:
    """Most changes are near the touch, as in a real book."""
    side = chance.choice((_BID, _ASK))
    away = 1 + min(LEVELS - 1, int(chance.expovariate(0.15)))
    size = 0 if chance.random() < DELETED else chance.randint(1, 400)
    return side, MID + (away if side == _ASK else -away) * TICK, size
