"""A journal as stretches of records, each with the instrument whose ring it goes into, in the order they were taken.

What lies in the journal twice is left in: a ring that has a sequence takes it no second time. What is missing is seen
by the positions: a stretch that does not begin where the one before it ended is `torn`. A head comes
where what it repeats was not read.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from shm.errors import JournalDamaged
from shm.journal import JournalFile
from shm.journal_entries import Entry, Head, Lane, Piece
from shm.layout import Words
from shm.refill import FOREIGN, WALL_WORD, first_from, words_of


class Stretch(NamedTuple):
    """Whole records of one instrument, as they lay in its ring. `is_torn`: records are missing before them."""

    symbol: str
    words: Words
    is_torn: bool


class Content(NamedTuple):
    """What there is in a journal; the times are None if it has no record."""

    lanes: frozenset[Lane]
    first_wall_ns: int | None
    last_wall_ns: int | None

    @property
    def symbols(self) -> list[str]:
        return sorted({lane.symbol for lane in self.lanes})


def survey(files: Iterable[Path]) -> Content:
    """What there is in the files. Raises LayoutError, JournalDamaged; OSError passes."""
    lanes: set[Lane] = set()
    times: list[int] = []
    for path in files:
        with JournalFile(path) as file:
            for block in file.blocks:
                times += [time for time in (block.first_wall_ns, block.last_wall_ns) if time]
                if block.lanes:
                    lanes.update(entry for entry in file.entries_of(block) if isinstance(entry, Lane))
    return Content(frozenset(lanes), min(times, default=None), max(times, default=None))


def entries_of(files: Iterable[Path], to_wall_ns: int | None = None) -> Iterator[Entry]:
    """The entries of all files, one file open at a time; of blocks that begin before `to_wall_ns`. Raises as
    `survey`."""
    for path in files:
        with JournalFile(path) as file:
            yield from file.entries(None, to_wall_ns)


def stretches(entries: Iterable[Entry], symbols: Collection[str], to_wall_ns: int | None = None) -> Iterator[Stretch]:
    """What these instruments received, of each what came before the first record of `to_wall_ns` or later.

    Raises JournalDamaged for what is no record.
    """
    lanes: dict[int, Lane] = {}
    through: dict[tuple[str, int, int], int] = {}  # of a ring: the position that was come to
    over: set[str] = set()
    for entry in entries:
        if isinstance(entry, Lane):
            lanes[entry.lane] = entry
        elif isinstance(entry, Piece | Head):
            lane = lanes.get(entry.lane)
            if lane is None:
                raise JournalDamaged(f"a piece is of lane {entry.lane}, and which that is was never said")
            if lane.symbol not in symbols or lane.symbol in over:
                continue
            ring = lane.symbol, lane.generation, lane.made
            position = through.get(ring, 0)
            if isinstance(entry, Piece):
                is_torn = entry.begin > position
                through[ring] = max(position, entry.end)
            elif entry.position <= position:
                continue
            else:
                is_torn = False  # what follows it is
            if len(entry.data) % 8:
                raise JournalDamaged(
                    f"a piece of {lane.symbol} has {len(entry.data):,} bytes, which is no record's end"
                )
            words = words_of(bytes(entry.data))
            if to_wall_ns is not None:
                end = first_from(words, 0, len(words), WALL_WORD, to_wall_ns)
                if end == FOREIGN:
                    raise JournalDamaged(f"a piece of {lane.symbol} holds what is no record")
                if end < len(words):
                    over.add(lane.symbol)
                words = words[:end]
            yield Stretch(lane.symbol, words, is_torn)
