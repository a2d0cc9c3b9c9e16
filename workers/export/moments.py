"""A journal of one instrument, record by record: what each did to the book, and the trades and quotes it brought."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from shm import layout
from shm.journal import JournalFile
from shm.layout import Rows
from shm.quarantine import set_aside
from shm.refill import words_of
from shm.stretches import Stretch, StretchReader
from shm.values import Scale

from ..rerun import Rerun
from ..tail import Tail, scale_of
from .changes import Changed, Watched

MAX_DEPTH: Final = 1 << 13  # levels a side, whatever its worker kept
_LEVELS: Final = 64

Progress = Callable[[int, int], None]


class Moment(NamedTuple):
    """After one record that did something."""

    sequence: int
    wall_ns: int  # CLOCK_REALTIME at which it was received
    venue_ns: int  # the venue's stamp of the book; 0: none yet
    scale: Scale
    changed: Changed | None
    trades: Rows  # layout.TRADE
    quotes: Rows  # layout.QUOTE


class Reader:
    """Runs the records of one instrument; nothing before them is known, so the book begins with the first snapshot."""

    def __init__(self, left_out: Sequence[int]) -> None:
        """`left_out`: sequences that its worker set aside."""
        self._rerun = Rerun(_LEVELS, MAX_DEPTH, set_aside=left_out)
        self._watched = Watched(MAX_DEPTH)
        self._trades = Tail("tape", layout.TAPE_COUNT)
        self._quotes = Tail("quotes", layout.QUOTE_COUNT)

    def read(self, stretch: Stretch) -> Iterator[Moment]:
        """The moments of a stretch. Raises LayoutError for bytes that are no records."""
        if stretch.data is None:
            return
        for memory in self._rerun.step(words_of(stretch.data)):
            trades, quotes = self._trades.take(memory), self._quotes.take(memory)
            changed = self._watched.look(memory.state, memory.levels)
            if changed is None and not len(trades) and not len(quotes):
                continue
            state = memory.state[0]
            sequence, wall_ns, venue_ns = int(state["sequence"]), int(state["wall_ns"]), int(state["venue_ns"])
            yield Moment(sequence, wall_ns, venue_ns, scale_of(memory), changed, trades, quotes)


def moments(
    files: Sequence[Path],
    symbol: str,
    start_wall_ns: int | None = None,
    end_wall_ns: int | None = None,
    on_block: Progress = lambda done, planned: None,
) -> Iterator[Moment]:
    """Of all files, those received in [start, end): what lies before the start is run, so that the book is whole.

    `on_block`: told how many blocks are done, of how many in the file that is read. Raises LayoutError, JournalDamaged.
    """
    reader, stretches = Reader(set_aside(files).get(symbol, ())), StretchReader(symbol)
    for path in files:
        with JournalFile(path) as file:
            for done, block in enumerate(file.blocks):
                on_block(done, len(file.blocks))
                for stretch in stretches.read(file.entries_of(block)):
                    for moment in reader.read(stretch):
                        if end_wall_ns is not None and moment.wall_ns >= end_wall_ns:
                            return
                        if start_wall_ns is None or moment.wall_ns >= start_wall_ns:
                            yield moment
