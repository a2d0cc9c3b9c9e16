"""Journal entries into stretches of rings: whole records to run through a ring again, and where some are missing.

What a recorder took down twice is cut, and what it could not take down shows as a stretch without bytes: marked by a
LOSS, or seen because the next piece begins behind the last one's end. A head of what was not read is a stretch of no
length: records that came before, and that a ring which has one of them takes no second time.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .errors import JournalDamaged
from .journal_entries import Entry, Head, Lane, Loss, Piece


class Stream(NamedTuple):
    """One ring: it begins at position 0, and its sequences go on from those of the one before."""

    generation: int
    made: int


class Stretch(NamedTuple):
    stream: Stream
    begin: int
    end: int
    data: memoryview | None  # None: these bytes were lost

    @property
    def is_head(self) -> bool:
        """Its records hold there and did not lie there."""
        return self.begin == self.end


class StretchReader:
    """The stretches of one instrument; reads the entries of a journal in order, from the beginning of any block on."""

    def __init__(self, symbol: str, stream: Stream | None = None, position: int = 0) -> None:
        """`stream`, `position`: what is known already, so that what lies before it is left out."""
        self._symbol = symbol
        self._lanes: dict[int, Stream] = {}
        self._stream = stream
        self._position = position

    def read(self, entries: Iterable[Entry]) -> Iterator[Stretch]:
        """The stretches that are new. Raises JournalDamaged for what cannot be whole records."""
        for entry in entries:
            if isinstance(entry, Lane):
                self.name(entry)
                continue
            stream = self._lanes.get(entry.lane)
            if stream is None or (self._stream is not None and stream < self._stream):
                continue
            if isinstance(entry, Piece | Head) and len(entry.data) % 8:
                raise JournalDamaged(f"{len(entry.data):,} bytes of {self._symbol} do not end where a record does")
            if isinstance(entry, Piece):
                yield from self._follow(stream, entry)
            elif isinstance(entry, Head) and (stream != self._stream or entry.position > self._position):
                begin = self._begin(stream, entry.position)
                yield self._step(Stretch(stream, begin, begin, entry.data))
            elif isinstance(entry, Loss) and entry.end > self._begin(stream, entry.begin):
                yield self._step(Stretch(stream, self._begin(stream, entry.begin), entry.end, None))

    def name(self, lane: Lane) -> None:
        """Which ring entries of that number are of from now on."""
        if lane.symbol == self._symbol:
            self._lanes[lane.lane] = Stream(lane.generation, lane.made)
        else:
            self._lanes.pop(lane.lane, None)

    def _follow(self, stream: Stream, piece: Piece) -> Iterator[Stretch]:
        begin = self._begin(stream, piece.begin)
        if piece.end <= begin:
            return
        if piece.begin > begin:
            yield self._step(Stretch(stream, begin, piece.begin, None))
            begin = piece.begin
        yield self._step(Stretch(stream, begin, piece.end, piece.data[begin - piece.begin :]))

    def _begin(self, stream: Stream, begin: int) -> int:
        """Where the next stretch begins: of a stream that is new, where its first entry does."""
        return self._position if stream == self._stream else begin

    def _step(self, stretch: Stretch) -> Stretch:
        self._stream, self._position = stretch.stream, stretch.end
        return stretch
