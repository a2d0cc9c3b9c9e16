"""The rows of tape and quotes that an instrument had between two times, from the records of a journal run once more.

It begins at the nearest waypoint before the start, as `book_at` does, and goes through all files up to the end: each
record is run once, and what its worker put on the tape comes out with the key it had there. What the journal does not
have is told too, as a Hole: a stretch that was not taken down, what lies before the first record, and the end of an
engine that was killed with its recorder. Behind one the trades are whole again at the next record, but the best bid and
ask only once the book is known, from the next snapshot on.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from shm import layout
from shm.errors import Hole, JournalDamaged
from shm.joined import joined_from
from shm.journal import JournalFile, parse_name
from shm.layout import NEVER_NS, Reason, Words
from shm.past_rows import DTYPES, Part, Through
from shm.refill import words_of
from shm.stretches import Stretch, StretchReader

from .finder import Finder
from .holes import Holes
from .passage import MAX_DEPTH
from .recovery import Checkpoint
from .rerun import STAMPS, Rerun
from .tail import Tail, scale_of
from .waypoints import Ways

TAPE_ROWS: Final = 1 << 17  # twice as many as one record has at most
_LEVELS: Final = 1  # that a cell shows: here nobody looks at cells
_COUNTS: Final = {"tape": layout.TAPE_COUNT, "quotes": layout.QUOTE_COUNT}
_WALL, _SEQUENCE, _SYNCED = (STAMPS.index(name) for name in ("wall_ns", "sequence", "synced"))


class Wanted(NamedTuple):
    """Rows of `region`, "tape" or "quotes", of records received in [start_ns, end_ns)."""

    symbol: str
    region: str
    start_ns: int
    end_ns: int


def earlier(finder: Finder, wanted: Wanted) -> Iterator[Part | Hole | Through]:
    """The rows and the holes, in order, and at last how far the journal goes; a sequence of 0 if it has nothing.

    Raises JournalDamaged if some may lie in a damaged file, LayoutError; OSError passes.
    """
    files = _between(finder.files(), wanted)
    walk = _Walk(wanted, finder.left_out(wanted.symbol))
    for number, path in enumerate(files.wanted):
        try:
            with JournalFile(path) as file:
                first = walk.begin(file, finder.ways([*files.before, path], file, wanted.symbol)) if number == 0 else 0
                for stretch in walk.reader.read(joined_from(file, first, _end(file, wanted.end_ns))):
                    yield from walk.take(stretch)
                walk.holes.leave(file)
        except FileNotFoundError:  # too old, and deleted since: what is missing shows by the positions
            continue
    yield from walk.finish()


class _Files(NamedTuple):
    before: list[Path]
    wanted: list[Path]


def _between(files: list[Path], wanted: Wanted) -> _Files:
    """The files that may have something of it, or if none has, the last one: its end is where the journal ends.

    Of a damaged one only its neighbours tell which times it is of.
    """
    spans = [_span(path) for path in files]
    first, last = max(len(files) - 1, 0), 0
    through_ns, least = 0, [0] * len(files)
    for number, span in enumerate(spans):
        following = next((each for each in spans[number + 1 :] if each), None)
        least_ns, greatest_ns = span or (through_ns, following[0] if following else NEVER_NS)
        least[number] = least_ns
        if greatest_ns >= wanted.start_ns:
            first = min(first, number)
        if least_ns < wanted.end_ns:
            last = max(last, number)
        through_ns = max(through_ns, greatest_ns)
    if first > 0 and (least[first] > wanted.start_ns or _begins_generation(files[first])):
        first -= 1  # how that ended says whether something is missing before the first record
    return _Files(files[:first], files[first : max(first, last) + 1])


def _begins_generation(path: Path) -> bool:
    name = parse_name(path.name)
    return name is not None and name.number == 0


def _span(path: Path) -> tuple[int, int] | None:
    """The least and the greatest receive time of a file; None if it is damaged, and nobody knows."""
    try:
        with JournalFile(path) as file:
            blocks = [block for block in file.blocks if block.last_wall_ns]
    except JournalDamaged:
        return None
    except FileNotFoundError:
        blocks = []
    least_ns = min((each.first_wall_ns for each in blocks), default=NEVER_NS)
    return least_ns, max((each.last_wall_ns for each in blocks), default=0)


def _end(file: JournalFile, end_ns: int) -> int:
    """The number behind that of the last block that may have something received before that time."""
    return max((block.number + 1 for block in file.blocks if block.overlaps(None, end_ns)), default=0)


class _Walk:
    """One instrument's records, stretch by stretch."""

    def __init__(self, wanted: Wanted, left_out: Sequence[int]) -> None:
        """`left_out`: sequences that its worker set aside."""
        self._left_out = left_out
        self.reader = StretchReader(wanted.symbol)
        self._wanted = wanted
        self._rerun: Rerun | None = None
        self._tail = self._new_tail()
        self.holes = Holes(wanted.start_ns)
        self._is_head = False  # nothing was run yet but records that stand: others may have come before

    def begin(self, file: JournalFile, ways: Ways) -> int:
        """Go to the last waypoint before which all was received too early; the block from which on to read."""
        start_ns = self._wanted.start_ns
        first = next((block.number for block in file.blocks if block.last_wall_ns >= start_ns), len(file.blocks))
        if not ways.intervals:
            return 0
        interval = next((each for each in reversed(ways.intervals) if each.block < first), ways.intervals[0])
        checkpoint = interval.checkpoint
        self.reader = StretchReader(self._wanted.symbol, interval.stream, interval.position)
        self._rerun = self._begun(checkpoint)
        if checkpoint is None:
            self.holes.through = Through(interval.stream, 0, 0)
            self.holes.is_blind = interval.position > 0
            return interval.block
        state = checkpoint.state[0]
        self.holes.through = Through(interval.stream, checkpoint.sequence, int(state["wall_ns"]))
        self._is_head = not state["applied"] and not state["refused"]
        self.holes.is_blind = self._is_head or bool(not state["synced"] and state["cause"] == Reason.DROPPED)
        if not self.holes.is_blind or (self._wanted.region == "tape" and not self._is_head):
            self.holes.from_ns = None
        return interval.block

    def take(self, stretch: Stretch) -> Iterator[Part | Hole]:
        """What a stretch brings."""
        rerun = self._rerun
        if rerun is None or stretch.stream != self.holes.through.stream:
            rerun = self._enter(stretch)
        if stretch.data is None:
            self.holes.miss(is_blind=True)
            rerun.lose()
        elif stretch.is_head:
            rerun.take(words_of(stretch.data))
        else:
            for stamps in rerun.parts(words_of(stretch.data)):
                yield from self._put(rerun, stamps)
            return
        self._tail.take(rerun.memory)  # no worker had rows of these

    def finish(self) -> Iterator[Hole | Through]:
        """A hole that has no end, and how far it went."""
        if self.holes.through.sequence:
            yield from self._close(self._wanted.end_ns)
        yield self.holes.through

    def _enter(self, stretch: Stretch) -> Rerun:
        self.holes.enter(stretch)
        self._rerun = self._begun(None)
        self._tail = self._new_tail()
        return self._rerun

    def _put(self, rerun: Rerun, stamps: Words) -> Iterator[Part | Hole]:
        """The rows of some records, and the end of a hole if there was one."""
        rows = self._tail.take(rerun.memory)
        walls, sequences = stamps[:, _WALL], stamps[:, _SEQUENCE]
        if self._is_head and sequences[0] == self.holes.through.sequence + 1:  # none has come between
            self.holes.from_ns = None
        self._is_head = False
        self.holes.through = Through(self.holes.through.stream, int(sequences[-1]), int(walls[-1]))
        if self.holes.from_ns is not None:
            is_known = stamps[:, _SYNCED] if self.holes.is_blind and self._wanted.region == "quotes" else np.ones(1)
            known = np.flatnonzero(is_known)
            if len(known) == 0:
                return
            yield from self._close(int(walls[known[0]]))
            rows = rows[rows["sequence"] >= sequences[known[0]]]
        found = np.zeros(len(rows), DTYPES[self._wanted.region])
        for name in rows.dtype.names or ():
            found[name] = rows[name]
        found["wall_ns"] = walls[np.searchsorted(sequences, rows["sequence"])]
        found = found[(found["wall_ns"] >= self._wanted.start_ns) & (found["wall_ns"] < self._wanted.end_ns)]
        if len(found):
            yield Part(scale_of(rerun.memory), found)

    def _close(self, wall_ns: int) -> Iterator[Hole]:
        """From here on all is known: tell of the hole, if it is one of the time that is asked for."""
        if (hole := self.holes.close(wall_ns)) is not None:
            clipped = Hole(max(hole.from_ns, self._wanted.start_ns), min(hole.to_ns, self._wanted.end_ns))
            if clipped.to_ns > clipped.from_ns:
                yield clipped

    def _new_tail(self) -> Tail:
        return Tail(self._wanted.region, _COUNTS[self._wanted.region])

    def _begun(self, checkpoint: Checkpoint | None) -> Rerun:
        return Rerun(_LEVELS, MAX_DEPTH, checkpoint=checkpoint, tape_rows=TAPE_ROWS, set_aside=self._left_out)
