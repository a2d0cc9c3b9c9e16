"""How records lie in a ring, and how a producer finds room for one: what all kernels that touch a ring have in common.

A ring is drawn in layout.py; who may call what, and in which order, is in ring.py.
"""

from typing import Final

from . import layout
from .atomics import CLOCK_BOOTTIME, CLOCK_REALTIME, clock_ns, fence_release, load_acquire, store_release
from .compiled import kernel, kernel_part
from .layout import Record, Words

# The producer's own words behind the ones that layout.py names: no one else reads them.
OWED_FIRST: Final = layout.OWED_COUNT + 1
UNPUBLISHED: Final = layout.OWED_COUNT + 2  # records behind the private tail that the worker should be woken for
PENDING: Final = layout.OWED_COUNT + 3  # records behind the private tail, clock frames too
TURN: Final = layout.OWED_COUNT + 4  # which commit slot is next
VENUE_WORD: Final = layout.OWED_COUNT + 5
_SCRATCH: Final = layout.OWED_COUNT + 6  # two words for clock_gettime

_CAPACITY: Final = layout.CAPACITY
_TAIL: Final = layout.TAIL
_PRIVATE: Final = layout.TAIL_PRIVATE
_CACHED: Final = layout.HEAD_CACHED
_NEXT: Final = layout.NEXT_SEQUENCE
_DELIVERED: Final = layout.DELIVERED
_DROPPED: Final = layout.DROPPED
_OWED_COUNT: Final = layout.OWED_COUNT
_COMMIT: Final = layout.COMMIT
_HEAD: Final = layout.HEAD
_LINE: Final = layout.WORDS_A_LINE
_DATA: Final = layout.DATA_WORD
_DATA_BYTE: Final = layout.CONTROL_BYTES
_HEADER: Final = layout.RECORD_BYTES
_PAD: Final = int(Record.PAD)

# What `peek` says of a record; it fills a row of this many words.
PEEK_WORDS: Final = 10
AT, SIZE, KIND, SEQUENCE, RECV, WALL, VENUE, CHUNKS, CHUNK, AFTER = range(PEEK_WORDS)


@kernel
def record_bytes(size: int) -> int:
    """Ring bytes of a record with `size` payload bytes: header, payload, at least one zero, to 8 bytes."""
    return _HEADER + ((size + 8) & ~7)


@kernel
def give_up(words: Words) -> None:
    """What was published and the recorder was not given will never be: it is counted."""
    words[layout.UNRECORDED_BYTES] += words[_TAIL] - words[layout.RECORDED]
    words[layout.RECORDED] = words[_TAIL]
    fence_release()  # before anything is written over it: a kill in between must not leave it to a successor


@kernel
def _free_through(words: Words, wanted: int) -> int:
    """The position below which a producer may write: the worker has released it, and the recorder has it.

    Where only the recorder stands in the way of `wanted`, what waits for it is given up: nobody waits for a recorder.
    It is done here, before a byte is written, because what is written is not always published: a message that does
    not fit is taken back, and a kill takes back all that was not published.
    """
    head = load_acquire(words, _HEAD)
    if words[layout.RECORDED] >= head:
        return head
    if words[layout.RECORDED] < wanted <= head:
        give_up(words)
        return head
    return words[layout.RECORDED]  # type: ignore[no-any-return]


@kernel
def place(words: Words, need: int, reserve: int) -> int:
    """The private tail at which `need` bytes lie in one piece, padding written; -1 when there is no room."""
    capacity = words[_CAPACITY]
    tail = words[_PRIVATE]
    to_end = capacity - (tail & (capacity - 1))
    pad = to_end if need > to_end else 0
    if tail + pad + need + reserve - words[_CACHED] > capacity:
        words[_CACHED] = _free_through(words, tail + pad + need + reserve - capacity)
        if tail + pad + need + reserve - words[_CACHED] > capacity:
            return -1
    if pad > 0:
        words[_DATA + ((tail & (capacity - 1)) >> 3)] = (_PAD << 32) | pad
        tail += pad
    words[_PRIVATE] = tail + need
    return tail  # type: ignore[no-any-return]


@kernel
def put_head(words: Words, tail: int, size: int, kind: int, sequence: int, chunks: int, chunk: int) -> int:
    """Write a record's header, stamped with both clocks, and the zeros behind it; the word where its payload goes."""
    word = _DATA + ((tail & (words[_CAPACITY] - 1)) >> 3)
    words[word] = (kind << 32) | size
    words[word + 1] = sequence
    words[word + 2] = clock_ns(words, _SCRATCH, CLOCK_BOOTTIME)
    words[word + 3] = clock_ns(words, _SCRATCH, CLOCK_REALTIME)
    words[word + 4] = (words[VENUE_WORD] << 32) | (chunks << 16) | chunk
    words[word + ((_HEADER + size) >> 3)] = 0  # the payload is copied over the front of this word
    return word + (_HEADER >> 3)  # type: ignore[no-any-return]


@kernel_part
def show(words: Words) -> bool:
    """Make all that was put in visible: the commit slot, then `tail`. True if there is more than clock frames."""
    slot = _COMMIT + _LINE * (words[TURN] & 1)
    words[slot + 1] = words[_NEXT]
    words[slot + 2] = words[_DELIVERED]
    words[slot + 3] = words[_DROPPED]
    words[slot + 4] = words[_OWED_COUNT]
    words[slot + 5] = words[OWED_FIRST]
    store_release(words, slot, words[_PRIVATE])
    words[TURN] += 1
    store_release(words, _TAIL, words[_PRIVATE])
    more = words[UNPUBLISHED] > 0
    words[PENDING] = 0
    words[UNPUBLISHED] = 0
    return more  # type: ignore[no-any-return]


@kernel
def peek(words: Words, position: int, tail: int, row: Words) -> bool:
    """Fill `row` (PEEK_WORDS) with the record at `position`, padding skipped; False when `tail` is reached.

    AT is the payload's first byte counted from the start of `words`; AFTER the position behind the record.
    """
    capacity = words[_CAPACITY]
    while position < tail:
        place = position & (capacity - 1)
        word = _DATA + (place >> 3)
        first = words[word]
        kind = (first >> 32) & 0xFFFFFFFF
        size = first & 0xFFFFFFFF
        if kind == _PAD:
            position += size
            continue
        row[AT] = _DATA_BYTE + place + _HEADER
        row[SIZE] = size
        row[KIND] = kind
        row[SEQUENCE] = words[word + 1]
        row[RECV] = words[word + 2]
        row[WALL] = words[word + 3]
        last = words[word + 4]
        row[VENUE] = last >> 32
        row[CHUNKS] = (last >> 16) & 0xFFFF
        row[CHUNK] = last & 0xFFFF
        row[AFTER] = position + record_bytes(size)
        return True
    return False
