"""The entries of a block with pieces of one lane that touch put together, for whoever does something with each piece.

An engine that is not busy publishes each message by itself, so a piece often is one record, and what is done in Python
for each of them is many times what its kernels need. In a block, 256 KiB or 100 ms of entries, a lane has some twenty.

Of each lane the order stays, between lanes it does not: a joined piece stands where its first part stood. So this is
for the records of one instrument, or for instruments between which nobody sees an order. No piece is moved past an
entry of another kind, but those of dropped messages, which are no part of a ring.

What comes is checked as by `parse_block`; a body that is not right is given to that, which says what is wrong with it.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from . import layout
from .atomics import copy_bytes
from .compiled import kernel
from .journal import Block, JournalFile
from .journal_entries import ENTRY, PIECE, Entry, EntryKind, Lane, Piece, parse, parse_block
from .layout import Words

_ENTRY_WORDS: Final = ENTRY.itemsize // 8
_PIECE_WORDS: Final = PIECE.itemsize // 8
_PIECE: Final = int(EntryKind.PIECE)
_DROPPED: Final = int(EntryKind.DROPPED)
_LOOK_BACK: Final = 256  # open pieces that are looked through: with more lanes at once, less is joined
_FOREIGN: Final = -1

# Of each entry: the row of the piece that it belongs to, or its own; of a row: its kind, and where its payload lies, of
# a piece in `data` and without PIECE, of others in the body.
_ROW: Final = 6
_KIND, _LANE, _BEGIN, _END, _AT, _BYTES = range(_ROW)


@kernel
def _plan(body: Words, owners: Words, rows: Words) -> int:
    """Fill rows and owners; how many rows, or FOREIGN where what lies there is no plain entry of whole words."""
    at = n = count = first = 0
    while at < len(body):
        if len(body) - at < _ENTRY_WORDS or n >= len(owners):
            return _FOREIGN
        kind, size = body[at], body[at + 1]
        at += _ENTRY_WORDS
        if size < 0 or size > (len(body) - at) * 8:
            return _FOREIGN
        row = count
        if kind == _PIECE:
            if size < _PIECE_WORDS * 8 or size & 7:
                return _FOREIGN
            begin, end = body[at + 1], body[at + 2]
            if begin < 0 or end < begin or end - begin != size - _PIECE_WORDS * 8:
                return _FOREIGN
            for past in range(count - 1, max(first, count - _LOOK_BACK) - 1, -1):
                if rows[past, _KIND] == _PIECE and rows[past, _LANE] == body[at]:
                    if rows[past, _END] == begin:
                        row = past
                    break
            if row == count:
                rows[row, _LANE] = body[at]
                rows[row, _BEGIN] = begin
                rows[row, _BYTES] = 0
            rows[row, _END] = end
            rows[row, _BYTES] += end - begin
        else:
            rows[row, _AT] = at * 8
            rows[row, _BYTES] = size
        rows[row, _KIND] = kind
        count = max(count, row + 1)
        if kind != _PIECE and kind != _DROPPED:
            first = count
        owners[n] = row
        n += 1
        at += (size + 7) >> 3
    return count if n == len(owners) else _FOREIGN


@kernel
def _gather(body: Words, owners: Words, rows: Words, count: int, data: Words) -> None:
    """The bytes of all pieces into `data`, those of one row behind one another; _AT becomes where a row ends there."""
    through = 0
    for row in range(count):
        if rows[row, _KIND] == _PIECE:
            rows[row, _AT] = through
            through += rows[row, _BYTES]
    at = 0
    for n in range(len(owners)):
        size = body[at + 1]
        at += _ENTRY_WORDS
        row = owners[n]
        if rows[row, _KIND] == _PIECE:
            recorded = size - _PIECE_WORDS * 8
            copy_bytes(data, rows[row, _AT], body, (at + _PIECE_WORDS) * 8, recorded)
            rows[row, _AT] += recorded
        at += (size + 7) >> 3


def parse_joined(body: memoryview, entries: int) -> list[Entry]:
    """The `entries` of a body, joined. Raises JournalDamaged, also if they are not as many."""
    if len(body) % 8 == 0 and 0 <= entries <= len(body) // ENTRY.itemsize:
        words = np.frombuffer(body, layout.WORDS)
        owners, rows = np.empty(entries, layout.WORDS), np.empty((entries, _ROW), layout.WORDS)
        count = _plan(words, owners, rows)
        if count != _FOREIGN:
            data = np.empty(len(words), layout.WORDS)
            _gather(words, owners, rows, count, data)
            return list(_made(rows[:count].tolist(), body, data.data.toreadonly().cast("B")))
    return parse_block(body, entries)


def _made(rows: list[list[int]], body: memoryview, data: memoryview) -> Iterator[Entry]:
    for kind, lane, begin, end, at, size in rows:
        if kind == _PIECE:
            yield Piece(lane, begin, end, data[at - size : at])
        else:
            yield parse(kind, body[at : at + size])


def joined_of(file: JournalFile, block: Block) -> list[Entry]:
    """The entries of one block of a file, checked and joined. Raises JournalDamaged."""
    return file.entries_of(block, parse_joined)


def joined_from(file: JournalFile, number: int, end: int | None = None) -> Iterator[Entry]:
    """The joined entries of the blocks from that number on, up to `end`, and before them the lanes that were named
    earlier. Raises JournalDamaged.
    """
    for block in file.blocks[:number]:
        if block.lanes:
            yield from (entry for entry in joined_of(file, block) if isinstance(entry, Lane))
    for block in file.blocks[number:end]:
        yield from joined_of(file, block)


def warm() -> None:
    """Load every kernel of this file."""
    parse_joined(memoryview(b""), 0)
