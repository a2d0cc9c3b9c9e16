"""A flow as a value: the records that a venue sends for one contract, and the book that holds after each of them.

A record is what becomes one hub message: a depth list, a trade list or a partial quote. Its entries lie one behind
the other in one array. The truth after record i is the opening book with the depth entries of records 0 … i applied
by the DomType rules (book.py): nothing else decides it, whether the flow was generated or recorded.

The first record is a quote with all fields. A generated flow returns to its opening book with its last record, so it
can be sent for ever: the state after running record r is the state after record r mod n. A recorded flow is sent once.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from .contracts import Contract

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.void]


class Kind(IntEnum):
    """What a record is. A subscription is the set of bits 1 << kind."""

    DEPTH = 0
    TRADES = 1
    QUOTE = 2


class Dom(IntEnum):
    """ProjectX DomType, fact sheet 8.4."""

    UNKNOWN = 0
    ASK = 1
    BID = 2
    BEST_ASK = 3
    BEST_BID = 4
    TRADE = 5
    RESET = 6
    LOW = 7
    HIGH = 8
    NEW_BEST_BID = 9
    NEW_BEST_ASK = 10
    FILL = 11


class Field(IntEnum):
    """Fields of a partial quote, fact sheet 8.2: an entry of a quote record has one of these as its type.

    The value of an entry lies in `price`: ticks for the prices and for `change`, a plain number for `volume`,
    10^-9 for `changePercent`, nothing for the two stamps.
    """

    LAST_PRICE = 0
    BEST_BID = 1
    BEST_ASK = 2
    CHANGE = 3
    CHANGE_PERCENT = 4
    OPEN = 5
    HIGH = 6
    LOW = 7
    VOLUME = 8
    LAST_UPDATED = 9
    TIMESTAMP = 10


RECORD = np.dtype([("kind", "<i8"), ("first", "<i8"), ("entries", "<i8")])
ENTRY = np.dtype([("type", "<i8"), ("price", "<i8"), ("size", "<i8")])


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """The records of one contract.

    records: RECORD[n]. entries: ENTRY[m]; a depth entry's type is a Dom, a trade's the aggressor (0 buy, 1 sell),
    a quote's a Field. opening_bids and opening_asks: (k, 2) int64 of (ticks, size), best first.
    due: int64[n], what the schedule has to reach before a record may go: depth entries sent before it, or in a
    recorded flow nanoseconds since its start; it never decreases. span: the same for one whole loop.
    source: int64[n], in a recorded flow the index of the last event of the capture that the record contains.
    """

    contract: Contract
    records: Rows
    entries: Rows
    opening_bids: Ints
    opening_asks: Ints
    due: Ints
    span: int
    loops: bool
    source: Ints | None = None

    def __len__(self) -> int:
        return len(self.records)


def entries_before(records: Rows) -> tuple[Ints, int]:
    """`due` and `span` of a generated flow: depth entries before each record, and in all of them."""
    depth = np.where(records["kind"] == Kind.DEPTH, records["entries"], 0)
    total = np.cumsum(depth)
    return total - depth, int(total[-1])
