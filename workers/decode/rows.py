"""What every decoder makes of a record: plain rows, in one dtype, whatever the venue and whichever path.

A row says what the venue said. It knows no book and no tick grid: prices are whole numbers of 10^-price_scale, sizes
of 10^-size_scale; the rules divide by the increments. The meaning of a row is its `op`:

    op                   price                      size       venue_ns   side
    1..10 (DomType)      level's price              new size   of entry   BID or ASK for ops that set a level
    UNKNOWN, RESET,      0, 0: not read, whatever the venue sent there
      LOW, HIGH
    TRADE                price                      size       of trade   BUY or SELL: the aggressor
    QUOTE_BASE + i       value of SESSION_FIELDS[i] 0          of quote   0
    OFF_GRID             0                          0          as above   0: a price, size or quote value with more
                                                                          decimals than its scale; slow path only

Of a quote `change` and `change_percent` are whole numbers of 10^-9, rounded half to even if there is more (they lie
on no grid), `updated_ns` is nanoseconds of UTC, the rest is as above. `venue_ns` is 0 where the venue gave no stamp.
"""

from enum import IntEnum
from typing import Final

import numpy as np

from shm.layout import SESSION_FIELDS

ROW = np.dtype([("op", "<i8"), ("price", "<i8"), ("size", "<i8"), ("venue_ns", "<i8"), ("side", "<i8")])
MAX_ROWS: Final = 65_536  # of one record; what has more is refused

EVENT_DEPTH: Final = 1
EVENT_TRADE: Final = 2
EVENT_QUOTE: Final = 3


class Op(IntEnum):
    """Depth ops are the venue's DomType numbers (the fact sheet, 8.4); those that move nothing become UNKNOWN."""

    UNKNOWN = 0
    ASK = 1
    BID = 2
    BEST_ASK = 3
    BEST_BID = 4
    RESET = 6
    LOW = 7
    HIGH = 8
    NEW_BEST_BID = 9
    NEW_BEST_ASK = 10
    TRADE = 16
    OFF_GRID = 17


QUOTE_BASE: Final = 32  # + place in SESSION_FIELDS

CHANGE_SCALE: Final = 9  # of the quote's change and change_percent

# The scratch of the kernel: word 0 is the event; the rest is its own and must be zero before the first call.
HEADER_WORDS: Final = 32

assert set(range(QUOTE_BASE, QUOTE_BASE + len(SESSION_FIELDS))).isdisjoint(Op)
assert ROW.itemsize == 40
