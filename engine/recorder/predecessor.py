"""What a recorder that was killed had written: its successor goes on from there, and writes nothing twice.

A ring's bytes are given back only once they are written, so what comes twice is no more than the ring holds, and it is
enough to look at the end of the journal. What is known of a lane that is not found there is only its name and what
stands in it.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shm.errors import JournalDamaged, LayoutError
from shm.journal import Block, JournalFile, journal_files, parse_name
from shm.journal_entries import Dropped, Entry, Head, Lane, Loss, Piece, Span, span

LOOK_BACK_BYTES: Final = 1 << 26  # of bodies: as much as the largest ring of a recorder holds

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Left:
    """By number of a lane: its name; position and sequence (0: not known) it was taken through; the last dropped; the
    last head."""

    lanes: dict[int, Lane] = field(default_factory=dict)
    through: dict[int, tuple[int, int]] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)
    heads: dict[int, Head] = field(default_factory=dict)


def read_left(folder: Path, generation: int) -> Left:
    """What the journal in `folder` says of a generation. A damaged file is logged, and says nothing."""
    left = Left()
    newest: dict[int, memoryview] = {}  # of a lane the bytes of its last piece
    for path in _newest(folder, generation):
        try:
            with JournalFile(path) as file:
                for block in _wanted(file.blocks):
                    for entry in file.entries_of(block):
                        _note(left, newest, entry)
        except (JournalDamaged, LayoutError, OSError) as error:
            _log.error("%s; what it has may be written again", error)
    for lane, data in newest.items():
        if ends := readable_span(data):
            left.through[lane] = left.through[lane][0], ends.last_sequence
    return left


def _newest(folder: Path, generation: int) -> list[Path]:
    """The last two files: the end of one may be shorter than what comes twice."""
    try:
        names = [(path, parse_name(path.name)) for path in journal_files(folder)]
    except OSError as error:
        _log.error("%s cannot be listed (%s)", folder, error.strerror)
        return []
    return [path for path, name in names if name and name.generation == generation][-2:]


def readable_span(data: memoryview) -> Span | None:
    """A piece's first and last record; None for one without, or one that cannot be read."""
    try:
        return span(data)
    except JournalDamaged:  # kept as it came: a reader is told, and nothing is better if it is thrown away
        return None


def _wanted(blocks: tuple[Block, ...]) -> list[Block]:
    """Those at the end, and those that have lanes or heads."""
    budget = LOOK_BACK_BYTES
    wanted = []
    for block in reversed(blocks):
        if block.lanes or budget > 0:
            wanted.append(block)
        budget -= block.body_bytes
    return wanted[::-1]


def _note(left: Left, newest: dict[int, memoryview], entry: Entry) -> None:
    if isinstance(entry, Lane):
        left.lanes[entry.lane] = entry
    elif isinstance(entry, Piece):
        left.through[entry.lane] = entry.end, 0
        newest[entry.lane] = entry.data
    elif isinstance(entry, Dropped):
        left.dropped[entry.lane] = entry.sequence
    elif isinstance(entry, Head):
        left.heads[entry.lane] = entry
    elif isinstance(entry, Loss) and entry.end >= 0:
        left.through[entry.lane] = entry.end, entry.last_sequence
        newest.pop(entry.lane, None)
