"""What a journal is made of: lanes, pieces of their rings, messages that were dropped, what is missing, and heads.

A lane is one instrument's ring. A piece is a stretch of that ring's own bytes, records with their headers and padding
as they lay there (layout.py draws a record), from one position to a later one; it begins and ends between records.
Positions count the bytes ever published to that ring, so pieces that follow one another touch, a piece that was
taken down twice shows, and so does one that is missing.

A head repeats the records of a ring without which those behind it cannot be read: the last CONFIG and SESSIONS. A file
begins with those of its lanes, and one more follows each piece that has a newer one, so that whoever does not read what
came before knows them. Who has read up to its position has no use for it.

An entry is ENTRY, then `bytes` of payload (the row that its kind names, then whatever is of no fixed size), then zeros
to 8 bytes.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from .errors import JournalDamaged
from .layout import RECORD_BYTES, Record


class EntryKind(IntEnum):
    """The first three are what the recorder's ring brings, under the same numbers."""

    LANE = 7
    PIECE = 8
    DROPPED = 9
    LOSS = 10
    HEAD = 11


ENTRY = np.dtype([("kind", "<i8"), ("bytes", "<i8")])
LANE = np.dtype([("lane", "<i8"), ("symbol", "S32"), ("generation", "<i8"), ("made", "<i8"), ("capacity", "<i8")])
PIECE = np.dtype([("lane", "<i8"), ("begin", "<i8"), ("end", "<i8")])
DROPPED = np.dtype([("lane", "<i8"), ("sequence", "<i8"), ("recv_ns", "<i8"), ("wall_ns", "<i8")])
LOSS = np.dtype(
    [
        ("lane", "<i8"),
        ("begin", "<i8"),  # positions [begin, end) of its ring; both -1 if only dropped messages were lost
        ("end", "<i8"),
        ("first_sequence", "<i8"),  # as far as known; both 0 when it is not
        ("last_sequence", "<i8"),
    ]
)
HEAD = np.dtype([("lane", "<i8"), ("position", "<i8")])

# The same rows for Python's struct, which makes plain numbers ten times as fast as numpy does.
_ENTRY, _LANE, _PIECE, _DROPPED, _LOSS = (struct.Struct(text) for text in ("<2q", "<q32s3q", "<3q", "<4q", "<5q"))
_POSITION: Final = struct.Struct("<2q")  # HEAD
_HEAD: Final = struct.Struct("<II3qI")  # of a ring record: bytes, kind, sequence, both stamps, chunks and chunk
_FIRST: Final = struct.Struct("<II")
_VENUE: Final = struct.Struct("<I")
_VENUE_AT: Final = RECORD_BYTES - _VENUE.size


class Lane(NamedTuple):
    """Which ring the pieces that follow are of. One with another generation or `made` begins at position 0 again."""

    lane: int
    symbol: str
    generation: int
    made: int
    capacity: int


class Piece(NamedTuple):
    lane: int
    begin: int
    end: int
    data: memoryview


class Dropped(NamedTuple):
    """A message for which the instrument's ring had no room: no worker saw it, and a replay skips it."""

    lane: int
    sequence: int
    recv_ns: int
    wall_ns: int
    message: memoryview


class Loss(NamedTuple):
    """What came in and could not be taken down: see LOSS."""

    lane: int
    begin: int
    end: int
    first_sequence: int
    last_sequence: int


class Head(NamedTuple):
    """The records that stand at that position of a ring, which came before it, in the order of their sequences."""

    lane: int
    position: int
    data: memoryview


Entry = Lane | Piece | Dropped | Loss | Head


class Standing(NamedTuple):
    """A record that holds until the next of its kind, with its header, as it lay in its ring."""

    kind: int
    sequence: int
    data: bytes


class RingRecord(NamedTuple):
    """One record of a piece. `recv_ns` is CLOCK_BOOTTIME, `wall_ns` the time of day; of chunks those of the last.
    `symbol` is the instrument's, empty if no entry named its lane."""

    lane: int
    kind: int
    sequence: int
    recv_ns: int
    wall_ns: int
    venue: int
    payload: bytes
    symbol: str = ""


class Span(NamedTuple):
    """The first and the last record of a piece: sequences and both stamps; and those in it that stand."""

    first_sequence: int
    first_recv_ns: int
    first_wall_ns: int
    last_sequence: int
    last_recv_ns: int
    last_wall_ns: int
    standing: tuple[Standing, ...] = ()


def pack(entry: Entry) -> bytes:
    """The entry as it lies in a block."""
    kind, payload = payload_of(entry)
    return b"".join((_ENTRY.pack(kind, len(payload)), payload, bytes(-len(payload) % 8)))


def payload_of(entry: Entry) -> tuple[EntryKind, bytes]:
    """Its kind and its payload, as the recorder's ring carries them."""
    match entry:
        case Lane(lane, symbol, generation, made, capacity):
            return EntryKind.LANE, _LANE.pack(lane, symbol.encode("ascii"), generation, made, capacity)
        case Piece(lane, begin, end, data):
            return EntryKind.PIECE, _PIECE.pack(lane, begin, end) + data
        case Dropped(lane, sequence, recv_ns, wall_ns, message):
            return EntryKind.DROPPED, _DROPPED.pack(lane, sequence, recv_ns, wall_ns) + message
        case Loss():
            return EntryKind.LOSS, _LOSS.pack(*entry)
        case Head(lane, position, data):
            return EntryKind.HEAD, _POSITION.pack(lane, position) + data


def parse(kind: int, payload: memoryview) -> Entry:
    """The entry whose payload this is; pieces and messages are views of it. Raises JournalDamaged."""
    try:
        if kind == EntryKind.PIECE:
            lane, begin, end = _PIECE.unpack_from(payload)
            if end - begin != len(payload) - _PIECE.size:
                raise JournalDamaged(f"a piece from {begin:,} to {end:,} has {len(payload) - _PIECE.size:,} bytes")
            return Piece(lane, begin, end, payload[_PIECE.size :])
        if kind == EntryKind.DROPPED:
            lane, sequence, recv_ns, wall_ns = _DROPPED.unpack_from(payload)
            return Dropped(lane, sequence, recv_ns, wall_ns, payload[_DROPPED.size :])
        if kind == EntryKind.LANE:
            lane, symbol, generation, made, capacity = _LANE.unpack(payload)
            return Lane(lane, symbol.rstrip(b"\0").decode("ascii"), generation, made, capacity)
        if kind == EntryKind.LOSS:
            return Loss(*_LOSS.unpack(payload))
        if kind == EntryKind.HEAD:
            lane, position = _POSITION.unpack_from(payload)
            return Head(lane, position, payload[_POSITION.size :])
    except (struct.error, UnicodeDecodeError):
        raise JournalDamaged(f"an entry of kind {kind} cannot have {len(payload):,} bytes like these") from None
    raise JournalDamaged(f"there is no kind {kind} of entry")


def parse_body(body: memoryview) -> Iterator[Entry]:
    """The entries of a block, in order. Raises JournalDamaged."""
    at = 0
    while at < len(body):
        if len(body) - at < _ENTRY.size:
            raise JournalDamaged(f"an entry is cut off at byte {at:,} of its block")
        kind, size = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size
        if not 0 <= size <= len(body) - at:
            raise JournalDamaged(f"an entry of {size:,} bytes does not fit at byte {at:,} of its block")
        yield parse(kind, body[at : at + size])
        at += size + -size % 8


def parse_block(body: memoryview, entries: int) -> list[Entry]:
    """The entries of a block, which are so many. Raises JournalDamaged."""
    found = list(parse_body(body))
    if len(found) != entries:
        raise JournalDamaged(f"it has {len(found):,} entries, and its header says {entries:,}")
    return found


def span(data: memoryview) -> Span | None:
    """The first and last record of a piece; None if there is only padding. Raises JournalDamaged."""
    first = last = -1
    stand: list[Standing] = []
    for at, kind in _places(data):
        if first < 0:
            first = at
        last = at
        if kind == Record.CONFIG or kind == Record.SESSIONS:
            stand.append(_standing(data, at))
    if first < 0:
        return None
    _, _, *begin = _HEAD.unpack_from(data, first)[:5]
    _, _, *end = _HEAD.unpack_from(data, last)[:5]
    return Span(*begin, *end, tuple(stand))  # type: ignore[call-arg]  # three and three


def standing(data: memoryview) -> tuple[Standing, ...]:
    """The records of a head. Raises JournalDamaged."""
    return tuple(_standing(data, at) for at, _ in _places(data))


def _standing(data: memoryview, at: int) -> Standing:
    size, kind, sequence = _HEAD.unpack_from(data, at)[:3]
    return Standing(kind, sequence, bytes(data[at : at + RECORD_BYTES + ((size + 8) & ~7)]))


def _places(data: memoryview) -> Iterator[tuple[int, int]]:
    """Where the records of a piece begin, and of which kind they are; padding left out. Raises JournalDamaged."""
    at, end, read = 0, len(data), _FIRST.unpack_from
    while at < end:
        if end - at < _FIRST.size:
            raise JournalDamaged(f"a piece ends inside of a record, at byte {at:,}")
        size, kind = read(data, at)
        is_record = kind != Record.PAD
        step = RECORD_BYTES + ((size + 8) & ~7) if is_record else size
        if step <= 0 or step % 8 or step > end - at:
            raise JournalDamaged(f"a piece has a record of {step:,} bytes at byte {at:,}")
        if is_record:
            yield at, kind
        at += step


class RecordReader:
    """Pieces into records: what was taken down twice is left out, and chunks are put together.

    Reads lanes of one journal in its order, from anywhere: of a chunked record whose beginning was not read nothing
    comes, and of heads nothing either: they repeat records. `lanes` says whose they are.
    """

    def __init__(self) -> None:
        self.lanes: dict[int, Lane] = {}
        self._through: dict[int, int] = {}  # of a lane: the position up to which its records were read
        self._chunks: dict[int, list[bytes]] = {}

    def read(self, entry: Entry) -> Iterator[RingRecord]:
        """The records that an entry completes. Raises JournalDamaged."""
        if isinstance(entry, Lane):
            if self.lanes.get(entry.lane) != entry:
                self.lanes[entry.lane] = entry
                self._through.pop(entry.lane, None)
                self._chunks.pop(entry.lane, None)
        elif isinstance(entry, Piece):
            known = max(0, self._through.get(entry.lane, entry.begin) - entry.begin)
            if known < len(entry.data):
                self._through[entry.lane] = entry.end
                yield from self._records(entry.lane, entry.data[known:])
        elif isinstance(entry, Loss):
            self._chunks.pop(entry.lane, None)

    def _records(self, lane: int, data: memoryview) -> Iterator[RingRecord]:
        symbol = self.lanes[lane].symbol if lane in self.lanes else ""
        for at, _ in _places(data):
            size, kind, sequence, recv_ns, wall_ns, chunk = _HEAD.unpack_from(data, at)
            (venue,) = _VENUE.unpack_from(data, at + _VENUE_AT)
            payload = bytes(data[at + RECORD_BYTES : at + RECORD_BYTES + size])
            if kind == Record.CHUNK:
                whole = self._joined(lane, payload, chunk >> 16, chunk & 0xFFFF)
                if whole is None:
                    continue
                payload, kind = whole, int(Record.DATA)
            yield RingRecord(lane, kind, sequence, recv_ns, wall_ns, venue, payload, symbol)

    def _joined(self, lane: int, payload: bytes, count: int, number: int) -> bytes | None:
        if number == 0:
            self._chunks[lane] = []
        parts = self._chunks.get(lane)
        if parts is None or len(parts) != number:
            self._chunks.pop(lane, None)
            return None
        parts.append(payload)
        return b"".join(self._chunks.pop(lane)) if len(parts) == count else None
