"""One instrument's records of one journal file, run through once: intervals, each with the checkpoint it begins at.

To see the book after any record, run the records of its interval again. Which interval that is, the least stamps in
each of them say: no stamp only grows, neither the receive time of day nor the venue's.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from shm.joined import joined_of
from shm.journal import JournalFile
from shm.layout import NEVER_NS, Words
from shm.refill import words_of
from shm.stretches import Stream, Stretch, StretchReader

from .recovery import Checkpoint
from .rerun import Rerun

LEVELS: Final = 64  # that a cell shows: here nobody looks at cells
MAX_DEPTH: Final = 1 << 13  # levels a side that the past knows, whatever its worker kept
MAX_RECORDS: Final = 1 << 13
MAX_NS: Final = 30_000_000_000


class Interval(NamedTuple):
    """The records of a stream from a position on, up to where the next interval begins."""

    stream: Stream
    position: int  # of the ring
    block: int  # of the file: the first that has something of it
    least_wall_ns: int  # NEVER_NS if it has no record
    least_venue_ns: int  # of the book after each record; NEVER_NS if it never had a stamp
    checkpoint: Checkpoint | None  # None: from nothing

    def begin(self, set_aside: Sequence[int]) -> Rerun:
        """The book at its beginning; `set_aside` as in Rerun."""
        return Rerun(LEVELS, MAX_DEPTH, checkpoint=self.checkpoint, set_aside=set_aside)


def apply(rerun: Rerun, stretch: Stretch, most: int | None = None) -> Words:
    """Run a stretch, or what stands for a lost one, as `Rerun.trace` does. Raises LayoutError."""
    return rerun.lose() if stretch.data is None else rerun.trace(words_of(stretch.data), most)


class Passage:
    """The intervals of one instrument in one file; goes on where it was when the file has grown."""

    def __init__(self, symbol: str, carried: Interval | None, set_aside: Sequence[int] = ()) -> None:
        """`carried`: how the file before ended, if that is known. `set_aside`: as in Rerun."""
        self._set_aside = set_aside
        self._cut: list[Interval] = []
        self._now = carried._replace(block=0) if carried else None
        self._rerun = carried.begin(set_aside) if carried else self._from_nothing()
        self._reader = StretchReader(symbol, *(carried[:2] if carried else ()))
        self._block = 0
        self._position = carried.position if carried else 0
        self._records = 0
        self._due_ns = 0  # receive time of the record behind which the interval ends

    @property
    def intervals(self) -> list[Interval]:
        """All of them, in order; the last may become longer."""
        return self._cut if self._now is None else [*self._cut, self._now]

    @property
    def carried(self) -> Interval | None:
        """How the file ends: an interval without a record. None if there was nothing of the instrument yet."""
        return None if self._now is None else self._fresh(self._now.stream, self._position, self._block)

    def advance(self, file: JournalFile) -> None:
        """Run what has not been run yet. Raises JournalDamaged, LayoutError."""
        for block in file.blocks[self._block :]:
            for stretch in self._reader.read(joined_of(file, block)):
                self._take(stretch, block.number)
            self._block = block.number + 1

    def _take(self, stretch: Stretch, block: int) -> None:
        if self._now is None or stretch.stream != self._now.stream:
            self._close()
            self._rerun = self._from_nothing()
            if stretch.is_head:  # its records are of a file before: no time of theirs is one of this file
                apply(self._rerun, stretch)
                self._position = stretch.end
                self._now = self._fresh(stretch.stream, stretch.end, block)
                return
            self._now = Interval(stretch.stream, stretch.begin, block, NEVER_NS, NEVER_NS, None)
        elif self._is_due() and self._rerun.is_between_messages:
            self._close()
            self._now = self._fresh(stretch.stream, stretch.begin, block)
        stamps = apply(self._rerun, stretch)
        self._position = stretch.end
        self._records += len(stamps)
        if len(stamps) and not self._due_ns:
            self._due_ns = int(stamps[0, 0]) + MAX_NS
        least_wall_ns, least_venue_ns = stamps.min(0, initial=NEVER_NS, where=stamps > 0).tolist()
        self._now = self._now._replace(
            least_wall_ns=min(self._now.least_wall_ns, least_wall_ns),
            least_venue_ns=min(self._now.least_venue_ns, least_venue_ns),
        )

    def _from_nothing(self) -> Rerun:
        return Rerun(LEVELS, MAX_DEPTH, set_aside=self._set_aside)

    def _fresh(self, stream: Stream, position: int, block: int) -> Interval:
        return Interval(stream, position, block, NEVER_NS, NEVER_NS, self._rerun.checkpoint())

    def _is_due(self) -> bool:
        wall_ns = int(self._rerun.memory.state["wall_ns"][0])
        return self._records >= MAX_RECORDS or (self._due_ns != 0 and wall_ns >= self._due_ns)

    def _close(self) -> None:
        if self._now is not None and self._records:
            self._cut.append(self._now)
        self._records = self._due_ns = 0
