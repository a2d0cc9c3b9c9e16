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
from .layout import Record, Source, Words
from .records import PENDING, UNPUBLISHED, place, put_head, record_bytes

FOREIGN: Final = -1

_HEADER_BYTES: Final = layout.RECORD_BYTES
_PAD: Final = int(Record.PAD)
_DATA: Final = int(Record.DATA)
_CHUNK: Final = int(Record.CHUNK)
_CLOCK: Final = int(Record.CLOCK)
_GAP: Final = int(Record.GAP)
_CONFIG: Final = int(Record.CONFIG)
_SESSIONS: Final = int(Record.SESSIONS)
_PRESENT: Final = int(Record.PRESENT)
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
