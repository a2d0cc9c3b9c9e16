"""Recorded ring bytes back into a ring: the records as they were, with the sequences and receive times they had.

What a journal holds of an instrument are stretches of its ring: headers, payloads, padding. A replay puts their
records, one after the other, wherever its ring has room, and never drops one. Two things are not as they were. A config
record says that the source is a replay. And the receive times are those of another day, so how old a book is they do
not say: `PRESENT` records, which only a replay has, do that and nothing else.

A successor goes on at `next_sequence`: what came before that is in the ring.
"""

from typing import Final

import numpy as np

from . import layout
from .atomics import copy_bytes
from .compiled import kernel
from .layout import Reason, Record, Source, Words
from .records import PENDING, UNPUBLISHED, place, put_head, record_bytes

FOREIGN: Final = -1
SEQUENCE_WORD: Final = 1  # of a record's header, as the next two
WALL_WORD: Final = 3
_CHUNK_WORD: Final = 4

_HEADER_BYTES: Final = layout.RECORD_BYTES
_PAD: Final = int(Record.PAD)
_DATA: Final = int(Record.DATA)
_CHUNK: Final = int(Record.CHUNK)
_CLOCK: Final = int(Record.CLOCK)
_GAP: Final = int(Record.GAP)
_CONFIG: Final = int(Record.CONFIG)
_SESSIONS: Final = int(Record.SESSIONS)
_PRESENT: Final = int(Record.PRESENT)
_GAP_REASON: Final = layout.GAP.fields["reason"][1] // 8  # type: ignore[index]
_GAP_DROPPED: Final = layout.GAP.fields["dropped"][1] // 8  # type: ignore[index]
_CONFIG_SOURCE: Final = layout.CONFIG.fields["source"][1] // 8  # type: ignore[index]
_GAP_BYTES: Final = layout.GAP.itemsize
_CONFIG_BYTES: Final = layout.CONFIG.itemsize
_REPLAY: Final = int(Source.REPLAY)
_CAPACITY: Final = layout.CAPACITY
_NEXT: Final = layout.NEXT_SEQUENCE
_DELIVERED: Final = layout.DELIVERED
_DROPPED: Final = layout.DROPPED


@kernel
def _is_whole(recorded: Words, at: int, capacity: int) -> bool:
    """Whether a record of ours lies at word `at`, whole, and small enough for the ring."""
    if at + (_HEADER_BYTES >> 3) > len(recorded):
        return False
    kind = (recorded[at] >> 32) & 0xFFFFFFFF
    size = recorded[at] & 0xFFFFFFFF
    if kind < _DATA or kind > _SESSIONS or size > capacity // 2 or at + (record_bytes(size) >> 3) > len(recorded):
        return False
    if kind == _CHUNK:
        last = recorded[at + 4]
        return last & 0xFFFF < (last >> 16) & 0xFFFF  # type: ignore[no-any-return]
    if kind == _GAP:
        return size == _GAP_BYTES  # type: ignore[no-any-return]
    return kind != _CONFIG or size == _CONFIG_BYTES  # type: ignore[no-any-return]


@kernel
def _count(words: Words, recorded: Words, at: int) -> None:
    """What the producer's own books say once the record at `at` is in."""
    kind = recorded[at] >> 32
    last = recorded[at + 4]
    if kind == _CHUNK and (last & 0xFFFF) + 1 < (last >> 16) & 0xFFFF:
        words[_NEXT] = recorded[at + 1]  # of a message in chunks nothing is done before the last one is
    else:
        words[_NEXT] = recorded[at + 1] + 1
        if kind == _DATA or kind == _CHUNK:
            words[_DELIVERED] += 1
    if kind == _GAP:
        dropped = recorded[at + (_HEADER_BYTES >> 3) + _GAP_DROPPED]
        words[_DELIVERED] += max(0, dropped - words[_DROPPED])  # dropped then, so they count as delivered now too
        words[_DROPPED] = dropped
    words[PENDING] += 1
    if kind != _CLOCK:
        words[UNPUBLISHED] += 1


@kernel
def refill(words: Words, recorded: Words, at: int, end: int) -> int:
    """Put the records between the words `at` and `end` of `recorded` in, those below the next sequence left out.

    Returns the word behind the last that was put: `end`, or less when the ring is full; FOREIGN, and nothing more is
    put, where no record of ours lies. Visible after `publish`, as all that is put in.
    """
    while at < end:
        if recorded[at] >> 32 & 0xFFFFFFFF == _PAD:
            pad = (recorded[at] & 0xFFFFFFFF) >> 3
            if pad < 1 or pad > end - at:
                return FOREIGN
            at += pad
            continue
        if not _is_whole(recorded, at, words[_CAPACITY]):
            return FOREIGN
        need = record_bytes(recorded[at] & 0xFFFFFFFF)
        if recorded[at + 1] >= words[_NEXT]:
            tail = place(words, need, 0)
            if tail < 0:
                return at
            word = layout.DATA_WORD + ((tail & (words[_CAPACITY] - 1)) >> 3)
            copy_bytes(words, word * 8, recorded, at * 8, need)
            if recorded[at] >> 32 == _CONFIG:
                words[word + (_HEADER_BYTES >> 3) + _CONFIG_SOURCE] = _REPLAY
            _count(words, recorded, at)
        at += need >> 3
    return at


@kernel
def first_from(recorded: Words, at: int, end: int, column: int, least: int) -> int:
    """The word of the first record between `at` and `end` whose header has `least` or more in word `column`.

    `end` if there is none, FOREIGN where no record of ours lies.
    """
    while at < end:
        size = recorded[at] & 0xFFFFFFFF
        step = size >> 3
        if recorded[at] >> 32 & 0xFFFFFFFF != _PAD:
            step = record_bytes(size) >> 3
            if step <= end - at and recorded[at + column] >= least:
                return at
        if step < 1 or step > end - at:
            return FOREIGN
        at += step
    return at


@kernel
def put_present(words: Words) -> bool:
    """A PRESENT record, stamped with both clocks; it takes no sequence. False: no room, and it is left out."""
    tail = place(words, record_bytes(0), 0)
    if tail < 0:
        return False
    put_head(words, tail, 0, _PRESENT, words[_NEXT], 1, 0)
    words[PENDING] += 1
    return True


def words_of(recorded: bytes | memoryview) -> Words:
    """Recorded bytes as `refill` takes them: a view. ValueError unless they are whole words."""
    if len(recorded) % 8:
        raise ValueError(f"recorded bytes are whole words, and not {len(recorded)} bytes")
    return np.frombuffer(recorded, layout.WORDS)


def gap_before(words: Words, recorded: Words, at: int) -> Words:
    """A gap record to go in before the record at word `at`, where records are missing that nobody can put in.

    It has the sequence before that one's, which is a missing one, so that where it went in once it is left out, as any
    record is; of a message whose first chunks are missing that of the message, so that the others are left out.
    """
    head = recorded[at : at + _HEADER_BYTES // 8]
    is_rest = head[0] >> 32 == _CHUNK and head[_CHUNK_WORD] & 0xFFFF > 0
    made = np.zeros(record_bytes(_GAP_BYTES) // 8, layout.WORDS)
    made[: len(head)] = head
    made[0] = _GAP << 32 | _GAP_BYTES
    made[SEQUENCE_WORD] -= 0 if is_rest else 1
    made[_CHUNK_WORD] = head[_CHUNK_WORD] >> 32 << 32 | 1 << 16
    payload = made[len(head) :]
    payload[_GAP_REASON] = int(Reason.DROPPED)
    payload[_GAP_DROPPED] = words[_DROPPED]
    return made


def take_back(words: Words) -> None:
    """Before a successor goes on: drops that its predecessor took from a gap record and did not publish come again.

    An engine would owe a gap record for them; here the recorded one is put in once more.
    """
    for slot in (layout.COMMIT, layout.COMMIT + layout.WORDS_A_LINE):
        if words[slot] == words[layout.TAIL]:
            words[_DROPPED] = words[slot + 3]
            return
