"""Entries and the records of pieces: what goes in comes out, each once, and what cannot be is refused."""

import random
import struct

import pytest

from shm.errors import JournalDamaged
from shm.journal_entries import (
    DROPPED,
    ENTRY,
    HEAD,
    LANE,
    LOSS,
    PIECE,
    Dropped,
    Entry,
    EntryKind,
    Head,
    Loss,
    Piece,
    RecordReader,
    RingRecord,
    Span,
    pack,
    parse,
    parse_body,
    payload_of,
    span,
    standing,
)
from shm.layout import Record
from tests import made_journal


def _read(entries: list[Entry]) -> list[RingRecord]:
    reader = RecordReader()
    return [record for entry in entries for record in reader.read(entry)]


def test_every_kind_comes_back_as_it_was() -> None:
    entries: list[Entry] = [
        made_journal.lane(0),
        Piece(1, 0, 3, memoryview(b"abc")),
        Dropped(1, 2, 3, 4, memoryview(b"message")),
        Head(1, 99, memoryview(b"records")),
        Loss(1, 8, 16, 4, 5),
    ]
    assert list(parse_body(memoryview(b"".join(map(pack, entries))))) == entries
    for entry, row in zip(entries, (LANE, PIECE, DROPPED, HEAD, LOSS), strict=True):
        carried = {EntryKind.PIECE: 3, EntryKind.DROPPED: 7, EntryKind.HEAD: 7}
        kind, payload = payload_of(entry)
        assert len(payload) - carried.get(kind, 0) == row.itemsize


def test_records_of_pieces_are_what_was_put_in(seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 300)
    assert _read(made.entries) == made.records


def test_what_was_taken_down_twice_is_read_once(seed: int) -> None:
    chance = random.Random(seed)
    made = made_journal.stream(chance, 60, lanes=1)
    twice = made.entries[:40] + made.entries[30:]
    assert _read(twice) == made.records
    first, second = made.entries[1], made.entries[2]
    assert isinstance(first, Piece)
    assert isinstance(second, Piece)
    longer = Piece(0, first.begin, second.end, memoryview(bytes(first.data) + bytes(second.data)))
    assert _read([made.entries[0], first, longer, *made.entries[3:]]) == made.records


def test_a_ring_that_is_made_anew_begins_at_position_0_again(seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 20, lanes=1)
    again = [made_journal.lane(0, made=2), *made.entries[1:]]
    assert _read(made.entries + again) == made.records * 2
    assert _read(made.entries + made.entries) == made.records  # a file that names its lanes again


def test_of_chunks_whose_beginning_is_missing_nothing_comes() -> None:
    chunk = RingRecord(0, 2, 1, 5, 6, 1, b"part")
    data = made_journal.ring_bytes(chunk, 3, 1) + made_journal.ring_bytes(chunk, 3, 2)
    assert _read([Piece(0, 0, len(data), memoryview(data))]) == []
    whole = made_journal.ring_bytes(chunk, 3, 0) + data
    (found,) = _read([Piece(0, 0, len(whole), memoryview(whole))])
    assert (found.payload, found.symbol) == (b"part" * 3, "")  # of a lane that nothing named


def test_the_span_of_a_piece(seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 1, lanes=1)
    piece = made.entries[1]
    assert isinstance(piece, Piece)
    ends = made.records[0][2:5] + made.records[-1][2:5]
    assert span(piece.data) == Span(*ends)
    assert span(memoryview(made_journal.padding(64))) is None


def test_what_stands_in_a_piece_is_what_a_head_repeats() -> None:
    records = [
        made_journal.ring_bytes(RingRecord(0, kind, 10 + n, 5, 6, 1, b"%d" % n))
        for n, kind in enumerate((Record.DATA, Record.CONFIG, Record.CLOCK, Record.SESSIONS, Record.CONFIG))
    ]
    found = span(memoryview(b"".join(records)))
    assert found is not None
    assert [(each.kind, each.sequence) for each in found.standing] == [
        (Record.CONFIG, 11),
        (Record.SESSIONS, 13),
        (Record.CONFIG, 14),
    ]
    data = memoryview(b"".join(each.data for each in found.standing))
    assert data == records[1] + records[3] + records[4]
    assert standing(data) == found.standing


@pytest.mark.parametrize(
    "body",
    [
        b"x" * (ENTRY.itemsize - 1),
        struct.pack("<2q", EntryKind.LOSS, 41),
        struct.pack("<2q", EntryKind.LOSS, -1),
        struct.pack("<2q", EntryKind.LOSS, 8) + bytes(8),
        struct.pack("<2q", 99, 0),
        struct.pack("<2q", EntryKind.PIECE, 24) + struct.pack("<3q", 0, 0, 8),
        struct.pack("<2q", EntryKind.LANE, 64) + b"\xff" * 64,
    ],
)
def test_a_body_that_nobody_wrote_is_refused(body: bytes) -> None:
    with pytest.raises(JournalDamaged):
        list(parse_body(memoryview(body)))


@pytest.mark.parametrize(
    "data", [b"1234", struct.pack("<II", 0, 0xFFFFFFFF), struct.pack("<II", 1 << 31, 1), bytes(16)]
)
def test_a_piece_that_is_no_ring_bytes_is_refused(data: bytes) -> None:
    kind, payload = payload_of(Piece(0, 0, len(data), memoryview(data)))
    entry = parse(kind, memoryview(payload))
    with pytest.raises(JournalDamaged):
        _read([entry])
