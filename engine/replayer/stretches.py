"""A journal as stretches of records, each with the instrument whose ring it goes into, in the order they were taken.

Of each instrument they are those of shm/stretches.py: what was taken down twice comes once, and a head where what it
repeats was not read. What is missing makes the next stretch `torn`, and so does a ring that was not read from its
beginning.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from shm.errors import JournalDamaged
from shm.joined import joined_of
from shm.journal import JournalFile
from shm.journal_entries import Entry, Head, Lane, Piece
from shm.layout import Words
from shm.refill import FOREIGN, WALL_WORD, first_from, words_of
from shm.stretches import Stream, StretchReader


class Stretch(NamedTuple):
    """Whole records of one instrument, as they lay in its ring. `is_torn`: records are missing before them. `is_head`:
    they repeat what came before."""

    symbol: str
    words: Words
    is_torn: bool
    is_head: bool = False


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


def entries_of(
    files: Iterable[Path], to_wall_ns: int | None = None, joined_to_wall_ns: int | None = None
) -> Iterator[Entry]:
    """The entries of all files, one file open at a time; of blocks that begin before `to_wall_ns`. Raises as
    `survey`.

    Blocks that end before `joined_to_wall_ns` come joined (shm/joined.py), the others as they were taken down, because
    from there on somebody sees the order among instruments.
    """
    for path in files:
        with JournalFile(path) as file:
            for block in file.blocks:
                if not block.overlaps(None, to_wall_ns):
                    continue
                is_joined = joined_to_wall_ns is not None and block.last_wall_ns < joined_to_wall_ns
                yield from joined_of(file, block) if is_joined else file.entries_of(block)


def stretches(entries: Iterable[Entry], symbols: Collection[str], to_wall_ns: int | None = None) -> Iterator[Stretch]:
    """What these instruments received, of each what came before the first record of `to_wall_ns` or later.

    Raises JournalDamaged for what is no record.
    """
    readers = {symbol: StretchReader(symbol) for symbol in symbols}
    lanes: dict[int, str] = {}
    streams: dict[str, Stream] = {}
    torn: set[str] = set()
    for entry in entries:
        if isinstance(entry, Lane):
            lanes[entry.lane] = entry.symbol
            for reader in readers.values():
                reader.name(entry)
            continue
        symbol = lanes.get(entry.lane)
        if symbol is None and isinstance(entry, Piece | Head):
            raise JournalDamaged(f"a piece is of lane {entry.lane}, and which that is was never said")
        if symbol is None or symbol not in readers:
            continue
        for stretch in readers[symbol].read((entry,)):
            if stretch.data is None or (stretch.begin > 0 and stretch.stream != streams.get(symbol)):
                torn.add(symbol)
            streams[symbol] = stretch.stream
            if stretch.data is None:
                continue
            words, is_over = _before(words_of(stretch.data), symbol, to_wall_ns)
            is_torn = symbol in torn and not stretch.is_head  # what follows a head is
            torn -= {symbol} if is_torn else set()
            yield Stretch(symbol, words, is_torn, stretch.is_head)
            if is_over:
                del readers[symbol]
                break


def _before(words: Words, symbol: str, to_wall_ns: int | None) -> tuple[Words, bool]:
    """The records before the first of that time or later, and whether there is one."""
    if to_wall_ns is None:
        return words, False
    end = first_from(words, 0, len(words), WALL_WORD, to_wall_ns)
    if end == FOREIGN:
        raise JournalDamaged(f"a piece of {symbol} holds what is no record")
    return words[:end], end < len(words)
