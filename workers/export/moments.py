"""A journal of one instrument, record by record: what each did to the book, the trades and quotes it brought, and
where records are missing."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from shm import layout
from shm.errors import Hole
from shm.joined import joined_of
from shm.journal import JournalFile
from shm.layout import NEVER_NS, Rows
from shm.past_rows import Through
from shm.quarantine import set_aside
from shm.refill import words_of
from shm.stretches import Stretch, StretchReader
from shm.values import Scale

from ..holes import Holes
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
    """Runs the records of one instrument as its workers did; the book begins with the first snapshot.

    Where records are missing, and where a ring ends, nothing of the book is known from there on. That is a moment of
    its own, a nanosecond behind the last record: `changed` clears the book, and a quote says that it is stale.
    """

    def __init__(self, left_out: Sequence[int]) -> None:
        """`left_out`: sequences that its worker set aside."""
        self.holes = Holes(None)
        self._left_out = left_out
        self._watched = Watched(MAX_DEPTH)
        self._begin()

    def read(self, stretch: Stretch) -> Iterator[Moment | Hole]:
        """The moments of a stretch, and before the first record behind it a hole that ends there.

        Raises LayoutError for bytes that are no records.
        """
        if stretch.stream != self.holes.through.stream:
            yield from self._lose()
            self.holes.enter(stretch)
            self._begin()
        if stretch.data is None:
            self.holes.miss(is_blind=True)
            yield from self._lose()
        elif stretch.is_head:  # what it did to the book is seen at the lost stretch that follows
            self._rerun.take(words_of(stretch.data))
            self._new_rows()  # no worker had rows of these
        else:
            yield from self._run(stretch.data)

    def _run(self, data: memoryview) -> Iterator[Moment | Hole]:
        for memory in self._rerun.step(words_of(data)):
            state = memory.state[0]
            sequence, wall_ns = int(state["sequence"]), int(state["wall_ns"])
            if (hole := self.holes.close(wall_ns)) is not None:
                yield hole
            self.holes.through = Through(self.holes.through.stream, sequence, wall_ns)
            self._has_run = True
            yield from self._look()
        self._scale = scale_of(self._rerun.memory)

    def _lose(self) -> Iterator[Moment]:
        """What stands for missing records. A head may have been run since the last one: its stamps and its
        increments do not count, the quote has the prices of before."""
        self._rerun.lose()
        if not self._has_run:  # nothing was known
            self._new_rows()
            return
        through = self.holes.through
        for moment in self._look():
            yield moment._replace(sequence=through.sequence + 1, wall_ns=through.wall_ns + 1, scale=self._scale)

    def _look(self) -> Iterator[Moment]:
        """What is other than at the last look, if anything is."""
        memory = self._rerun.memory
        trades, quotes = self._new_rows()
        changed = self._watched.look(memory.state, memory.levels)
        if changed is not None or len(trades) or len(quotes):
            state = memory.state[0]
            stamps = int(state["sequence"]), int(state["wall_ns"]), int(state["venue_ns"])
            yield Moment(*stamps, scale_of(memory), changed, trades, quotes)

    def _new_rows(self) -> tuple[Rows, Rows]:
        return self._trades.take(self._rerun.memory), self._quotes.take(self._rerun.memory)

    def _begin(self) -> None:
        """A ring of which nothing is known."""
        self._rerun = Rerun(_LEVELS, MAX_DEPTH, set_aside=self._left_out)
        self._trades = Tail("tape", layout.TAPE_COUNT)
        self._quotes = Tail("quotes", layout.QUOTE_COUNT)
        self._has_run = False  # a record that lay in it
        self._scale = scale_of(self._rerun.memory)  # after the last of those


def moments(
    files: Sequence[Path],
    symbol: str,
    start_wall_ns: int | None = None,
    end_wall_ns: int | None = None,
    on_block: Progress = lambda done, planned: None,
) -> Iterator[Moment | Hole]:
    """Of all files, those received in [start, end): what lies before the start is run, so that the book is whole.

    Between them, where records are missing, a hole; one behind the last record has no length. What lies before the
    first record is none. `on_block`: told how many blocks are done, of how many in the file that is read. Raises
    LayoutError, JournalDamaged.
    """
    start_ns = 0 if start_wall_ns is None else start_wall_ns
    end_ns = NEVER_NS if end_wall_ns is None else end_wall_ns
    reader, stretches = Reader(set_aside(files).get(symbol, ())), StretchReader(symbol)
    for path in files:
        with JournalFile(path) as file:
            for done, block in enumerate(file.blocks):
                on_block(done, len(file.blocks))
                for stretch in stretches.read(joined_of(file, block)):
                    for found in reader.read(stretch):
                        if isinstance(found, Hole):
                            yield from _within(found, start_ns, end_ns)
                        elif found.wall_ns >= end_ns:
                            return
                        elif found.wall_ns >= start_ns:
                            yield found
            reader.holes.leave(file)
    if (last := reader.holes.close(reader.holes.through.wall_ns)) is not None:
        yield from _within(last, start_ns, end_ns)


def _within(hole: Hole, start_ns: int, end_ns: int) -> Iterator[Hole]:
    """What of it lies in [start, end); a clock that was set back makes it no shorter than nothing."""
    if hole.from_ns < end_ns and hole.to_ns >= start_ns:
        from_ns = max(hole.from_ns, start_ns)
        yield Hole(from_ns, max(from_ns, min(hole.to_ns, end_ns)))
