"""A frame to the ring of its instrument in one call: the engine's hottest path, compiled.

A call from Python costs more than all the work here, so there is exactly one for a frame. The usual frame is one
whole record whose beginning, up to the end of its contract, is a key of the table; `fan` checks that, looks the key
up in a hash table, and pushes the record without its separator. Any other frame it leaves alone, for the feed.
What the call itself costs is kept down by `bind`, and what the ring's cold memory costs by `_fetch_ahead`.

The table is one array of 8-byte words, private to the engine:

    0        SEPARATOR · QUOTE_FROM · QUOTE_TO · FRAMES · BYTES · DIGEST          what to look for; what was pushed
    SCRATCH  KEY_WORDS words                                                      the key of this frame, zeros behind it
    SLOTS    SLOT_COUNT rows of: key bytes (0: free), lane, hash, KEY_WORDS of key    open addressing
    LANES    MAX_LANES rows of: ring address (0: none), ring words, open, waiting, look at

A lane is *open* between the first message of a batch and its publication. The first one needs Python (a clock is
asked, a publication is scheduled), so `fan` pushes nothing into a lane that is not open and says so.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import typeof, types
from numba.extending import intrinsic

from shm import layout
from shm.atomics import address_of, copy_bytes, words_at
from shm.compiled import kernel
from shm.layout import Words
from shm.ring import push_first

MAX_LANES: Final = 64
KEY_WORDS: Final = 16
MAX_KEY_BYTES: Final = KEY_WORDS * 8
SLOT_COUNT: Final = 512  # three keys a lane: at most three eighths of it are taken

SEPARATOR, QUOTE_FROM, QUOTE_TO, FRAMES, BYTES, DIGEST = range(6)
SCRATCH: Final = 8
SLOTS: Final = SCRATCH + KEY_WORDS
SLOT_WORDS: Final = 3 + KEY_WORDS
LANES: Final = SLOTS + SLOT_COUNT * SLOT_WORDS
LANE_WORDS: Final = 5
ADDRESS, RING_WORDS, OPEN, WAITING, LOOK_AT = range(LANE_WORDS)
TABLE_WORDS: Final = LANES + MAX_LANES * LANE_WORDS

# What `fan` says. Of the last two, the lane is in the upper bits.
NOT_OURS, TAKEN, BEGIN, LOOK = range(4)
LANE_SHIFT: Final = 2

_LINE_BYTES: Final = 64  # of the cache; layout.py keeps writers two apart
_AHEAD_BYTES: Final = 768  # as much of the ring is fetched for the next record: few are longer
_CAPACITY: Final = layout.CAPACITY
_PRIVATE: Final = layout.TAIL_PRIVATE
_DATA_BYTE: Final = layout.CONTROL_BYTES

Table = npt.NDArray[np.int64]

_memchr = types.ExternalFunction("memchr", types.intp(types.intp, types.int32, types.intp))


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(typing_context: Any, address: Any) -> Any:
    """Have the processor fetch a cache line that will be written. A hint: no address is wrong."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        write, keep, data = number(1), number(3), number(1)
        builder.call(prefetch, [builder.inttoptr(args[0], pointer), write, keep, data])
        return context.get_dummy_value()

    return types.void(types.intp), build


@kernel
def _fetch_ahead(words: Words, address: int) -> None:
    """Fetch the place of the ring's next record while Python is busy: it was last touched a whole ring ago."""
    place = address + _DATA_BYTE + (words[_PRIVATE] & (words[_CAPACITY] - 1))
    for ahead in range(0, _AHEAD_BYTES, _LINE_BYTES):
        _prefetch(place + ahead)


@kernel
def _find(table: Table, key_bytes: int) -> int:
    """The slot of the key in SCRATCH, or the free one where it belongs; -1 if every slot is another's. Sets DIGEST."""
    mixed = np.uint64(14695981039346656037)
    for word in range((key_bytes + 7) >> 3):
        mixed = (mixed ^ np.uint64(table[SCRATCH + word])) * np.uint64(1099511628211)
        mixed ^= mixed >> np.uint64(29)
    digest = np.int64(mixed >> np.uint64(1))
    table[DIGEST] = digest
    for step in range(SLOT_COUNT):
        slot = SLOTS + ((digest + step) & (SLOT_COUNT - 1)) * SLOT_WORDS
        if table[slot] == 0:
            return int(slot)
        if table[slot + 2] == digest:
            same = True
            for word in range(KEY_WORDS):
                same &= table[slot + 3 + word] == table[SCRATCH + word]
            if same:
                return int(slot)
    return -1


@kernel
def _load_key(table: Table, data: bytes, size: int) -> None:
    for word in range(KEY_WORDS):
        table[SCRATCH + word] = 0
    copy_bytes(table, SCRATCH * 8, data, 0, size)


@kernel
def add_key(table: Table, key: bytes, lane: int) -> bool:
    """Send frames that begin with `key` down `lane`; a key that is there moves. False: no room."""
    if not 0 < len(key) <= MAX_KEY_BYTES:
        return False
    _load_key(table, key, len(key))
    slot = _find(table, len(key))
    if slot < 0:
        return False
    table[slot] = len(key)
    table[slot + 1] = lane
    table[slot + 2] = table[DIGEST]
    for word in range(KEY_WORDS):
        table[slot + 3 + word] = table[SCRATCH + word]
    return True


@kernel
def fan(table: Table, frame: bytes) -> int:
    """Push the record of a usual frame into its ring: TAKEN, or LOOK with its lane when a bound is reached.

    NOT_OURS, and nothing done, for any other frame; BEGIN with the lane, and nothing done, if that is not open.
    """
    size = len(frame) - 1
    start = address_of(frame, 0)
    if size < table[QUOTE_FROM] or _memchr(start, table[SEPARATOR], size + 1) != start + size:
        return NOT_OURS
    first = table[QUOTE_FROM]
    quote = _memchr(start + first, 34, min(table[QUOTE_TO], size) - first)
    if quote == 0:
        return NOT_OURS
    key_bytes = quote - start
    _load_key(table, frame, key_bytes)
    slot = _find(table, key_bytes)
    if slot < 0 or table[slot] != key_bytes:
        return NOT_OURS
    lane = table[slot + 1]
    row = LANES + lane * LANE_WORDS
    if table[row + ADDRESS] == 0:
        return NOT_OURS
    if table[row + OPEN] == 0:
        return (lane << LANE_SHIFT) | BEGIN  # type: ignore[no-any-return]
    words = words_at(table[row + ADDRESS], table[row + RING_WORDS])
    push_first(words, frame, size)  # a drop is counted there
    _fetch_ahead(words, table[row + ADDRESS])
    table[FRAMES] += 1
    table[BYTES] += size + 1
    waiting = table[row + WAITING] + 1
    table[row + WAITING] = waiting
    if waiting >= table[row + LOOK_AT]:
        return (lane << LANE_SHIFT) | LOOK  # type: ignore[no-any-return]
    return TAKEN


def new_table(separator: bytes, quote_from: int, quote_to: int) -> Table:
    """An empty table: records end with `separator`; a key ends before the first quote in [quote_from, quote_to)."""
    if quote_to > MAX_KEY_BYTES:
        raise ValueError(f"a key of {quote_to} bytes is longer than {MAX_KEY_BYTES}")
    table: Table = np.zeros(TABLE_WORDS, np.int64)
    table[SEPARATOR] = separator[0]
    table[QUOTE_FROM] = quote_from
    table[QUOTE_TO] = quote_to
    return table


def forget_keys(table: Table) -> None:
    """Take all keys out. To take out one of many, open addressing would have to move others: they are put in anew."""
    table[SLOTS:LANES] = 0


def bind(table: Table) -> Callable[[bytes], int]:
    """`fan` of this table, called past numba's dispatcher, which costs more than the work here.

    At each call the dispatcher finds out the types of its arguments and with them the compiled function, always the
    same one. `get_overload` gives that function; it is public, but its caller answers for the types: the table's is
    looked at here, and a frame has to be bytes. Where there is no `get_overload`, or no such function, as when numba
    does not compile at all, the calls go through the dispatcher.
    """
    dispatcher: Any = fan
    dispatcher(table, b"")  # compiles it, or loads it
    try:
        compiled = dispatcher.get_overload((typeof(table), typeof(b"")))
    except (AttributeError, KeyError):
        compiled = dispatcher
    return partial(compiled, table)
