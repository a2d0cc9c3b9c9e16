"""What the instruments' rings are given goes to the recorder as well: the very bytes, one copy a publication.

When a ring was published and its worker woken, the bytes between `recorded` and `tail` go as one PIECE into the
recorder's ring, as they lie: headers with their sequences and receive times, payloads, padding. Then that ring is
published, and only then `recorded` moves. A kill in between leaves a piece that will come twice, which its positions
tell; a kill before leaves bytes that the successor puts: no room is written to again before the recorder has, or is
known to miss, what lay there (`place` in records.py).

The feed never waits. Where the recorder's ring is full, `recorded` stays, and the next publication takes more along: so
the instruments' own rings are room for a stalled disk too. Only when half a ring waits, or its room is needed, is all
of it given up and counted; the recorder then sees a jump of positions. A message that was dropped for want of room in
its own ring goes to the recorder alone, at once.

The recorder (pieces.py) looks each 100 ms; it is woken only when a quarter of its ring waits, because a wake-up a
publication would cost more than the copy.
"""

from typing import Final

import numpy as np

from . import layout
from .atomics import copy_bytes, fence_seq_cst, futex_wake, load_acquire, load_relaxed, store_release, words_at
from .compiled import kernel, kernel_part
from .layout import STRETCH, Record, Words
from .records import (
    PENDING,
    UNPUBLISHED,
    give_up,
    place,
    put_head,
    record_bytes,
    show,
)

_CAPACITY: Final = layout.CAPACITY
_TAIL: Final = layout.TAIL
_HEAD: Final = layout.HEAD
_PARKED: Final = layout.PARKED
_SIGNAL: Final = layout.SIGNAL
_NEXT: Final = layout.NEXT_SEQUENCE
_DELIVERED: Final = layout.DELIVERED
_AS: Final = layout.RECORDED_AS
_RECORDED: Final = layout.RECORDED
_MESSAGES_LOST: Final = layout.UNRECORDED_MESSAGES
_RECORDER_AT: Final = layout.RECORDER_AT
_RECORDER_WORDS: Final = layout.RECORDER_WORDS
_DATA: Final = layout.DATA_WORD
_DATA_BYTE: Final = layout.CONTROL_BYTES
_STRETCH_BYTES: Final = STRETCH.itemsize
_NAME_WORDS: Final = _RECORDED - _AS
_PAD: Final = int(Record.PAD)
_PIECE: Final = int(Record.PIECE)
_DROPPED: Final = int(Record.DROPPED)


@kernel
def _end_of_piece(words: Words, begin: int, tail: int, limit: int) -> int:
    """How far a piece of at most `limit` bytes goes from `begin` on, by whole records; a longer one goes alone."""
    if tail - begin <= limit:
        return tail
    at = begin
    while at < tail:
        first = words[_DATA + ((at & (words[_CAPACITY] - 1)) >> 3)]
        size = first & 0xFFFFFFFF
        need = size if (first >> 32) & 0xFFFFFFFF == _PAD else record_bytes(size)
        if at + need - begin > limit and at > begin:
            break
        at += need
    return at


@kernel
def _put(recorder: Words, words: Words, kind: int, begin: int, end: int, size: int) -> int:
    """The head of an entry and its stretch; the byte of `recorder` where its `size` bytes go, -1 for no room."""
    need = record_bytes(_STRETCH_BYTES + size)
    tail = place(recorder, need, 0) if need <= recorder[_CAPACITY] // 2 else -1
    if tail < 0:
        return -1
    word = put_head(recorder, tail, _STRETCH_BYTES + size, kind, recorder[_NEXT], 1, 0)
    recorder[_NEXT] += 1
    recorder[_DELIVERED] += 1
    recorder[PENDING] += 1
    recorder[UNPUBLISHED] += 1
    for i in range(_NAME_WORDS):
        recorder[word + i] = words[_AS + i]
    recorder[word + _NAME_WORDS] = begin
    recorder[word + _NAME_WORDS + 1] = end
    return word * 8 + _STRETCH_BYTES


@kernel
def _put_piece(recorder: Words, words: Words, begin: int, end: int) -> bool:
    to = _put(recorder, words, _PIECE, begin, end, end - begin)
    if to < 0:
        return False
    capacity = words[_CAPACITY]
    first = begin & (capacity - 1)
    before_wrap = min(end - begin, capacity - first)
    copy_bytes(recorder, to, words, _DATA_BYTE + first, before_wrap)
    copy_bytes(recorder, to + before_wrap, words, _DATA_BYTE, end - begin - before_wrap)
    return True


@kernel
def _publish(recorder: Words) -> None:
    show(recorder)
    recorder[_RECORDED] = recorder[_TAIL]  # it is recorded by being there
    if recorder[_TAIL] - load_acquire(recorder, _HEAD) >= recorder[_CAPACITY] // 4:
        fence_seq_cst()  # SYNC parking
        if load_relaxed(recorder, _PARKED) != 0:
            store_release(recorder, _SIGNAL, recorder[_SIGNAL] + 1)
            futex_wake(recorder, _SIGNAL)


@kernel
def _record(words: Words) -> None:
    recorder = words_at(words[_RECORDER_AT], words[_RECORDER_WORDS])
    tail = words[_TAIL]
    begin = words[_RECORDED]
    while begin < tail:
        end = _end_of_piece(words, begin, tail, recorder[_CAPACITY] // 8)
        if not _put_piece(recorder, words, begin, end):
            break
        begin = end
    if begin > words[_RECORDED]:
        _publish(recorder)
        store_release(words, _RECORDED, begin)  # SYNC tee: only when the recorder's ring has it for good
    if tail - begin > words[_CAPACITY] // 2:
        give_up(words)


@kernel_part
def record(words: Words) -> None:
    """Give the recorder what was published of this ring and it has not.

    If there is no recorder, what was published is never to be recorded: a successor that has one does not know what
    was written over since.
    """
    if words[_RECORDER_AT] != 0:
        _record(words)
    else:
        words[_RECORDED] = words[_TAIL]


@kernel
def record_dropped(words: Words, sequence: int, payload: bytes, size: int) -> None:
    """Give the recorder a message that was dropped; nothing if there is no recorder.

    It is there at once, but the records that were put in before it may yet be lost in a kill. The successor then has
    a lower `sequence` for it in the gap record that counts it, and gives this one to a record of its own.
    """
    if words[_RECORDER_AT] == 0:
        return
    recorder = words_at(words[_RECORDER_AT], words[_RECORDER_WORDS])
    to = _put(recorder, words, _DROPPED, sequence, sequence, size)
    if to < 0:
        words[_MESSAGES_LOST] += 1
        return
    copy_bytes(recorder, to, payload, 0, size)
    _publish(recorder)


def bind(words: Words, recorder: Words, symbol: str, generation: int, made: int) -> None:
    """Have all that is published of a ring recorded from now on, and what a predecessor left.

    `recorder`: the words of the recorder's ring, whose only producer this process is; they stay mapped for as long.
    """
    name = np.array([(symbol.encode(), generation, made, 0, 0)], STRETCH).view(np.int64)
    words[_AS : _AS + _NAME_WORDS] = name[:_NAME_WORDS]
    words[_RECORDER_WORDS] = len(recorder)
    words[_RECORDER_AT] = recorder.ctypes.data
    _record(words)
