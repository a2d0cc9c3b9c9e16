"""Journal entries to record and to read: pieces of rings made in plain Python, as shm/layout.py draws a record."""

import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.recorder.disk import Disk
from engine.recorder.recorder import Moment, Options, Recorder
from shm.journal import JournalFile, journal_files
from shm.journal_entries import Entry, Lane, Piece, RingRecord
from shm.layout import Record, Venue

GENERATION = 7
BEGIN = Moment(1_772_409_600_000_000_000, 5_000_000_000)  # 2026-03-02 00:00 UTC
MS = 1_000_000
NAMES = ("MNQ", "MES", "GC")


def later(ms: int, since: Moment = BEGIN) -> Moment:
    return Moment(since.wall_ns + ms * MS, since.boot_ns + ms * MS)


def lane(number: int, made: int = 1) -> Lane:
    return Lane(number, NAMES[number], GENERATION, made, 1 << 22)


def ring_bytes(record: RingRecord, chunks: int = 1, chunk: int = 0) -> bytes:
    """A record with its header, as it lies in a ring."""
    size = len(record.payload)
    head = struct.pack("<II3q", size, record.kind, record.sequence, record.recv_ns, record.wall_ns)
    return head + struct.pack("<HHI", chunk, chunks, record.venue) + record.payload + bytes(8 - size % 8)


def padding(size: int) -> bytes:
    return struct.pack("<II", size, Record.PAD) + bytes(size - 8)


class Made(NamedTuple):
    """Entries, and the records that are in them."""

    entries: list[Entry]
    records: list[RingRecord]


def stream(chance: random.Random, pieces: int, lanes: int = 2, step_ms: int = 10) -> Made:
    """The lanes, then pieces of them by turns, of up to six records, some with padding, some of them in chunks."""
    entries: list[Entry] = [lane(number) for number in range(lanes)]
    records: list[RingRecord] = []
    through = [0] * lanes
    sequences = [GENERATION << 40] * lanes
    for turn in range(pieces):
        number, now, data = turn % lanes, later(turn * step_ms), b""
        for _ in range(chance.randrange(1, 7)):
            payload = b'{"price":%d}' % chance.randrange(10**6) * chance.randrange(1, 20)
            stamps = now.boot_ns, now.wall_ns
            made = RingRecord(
                number, Record.DATA, sequences[number], *stamps, Venue.PROJECTX, payload, symbol=NAMES[number]
            )
            sequences[number] += 1
            records.append(made)
            data += padding(8 * chance.randrange(1, 9)) if chance.random() < 0.2 else b""
            data += _in_chunks(made) if chance.random() < 0.1 else ring_bytes(made)
        entries.append(Piece(number, through[number], through[number] + len(data), memoryview(data)))
        through[number] += len(data)
    return Made(entries, records)


def record(
    folder: Path, entries: Sequence[Entry], options: Options, disk: Disk | None = None, step_ms: int = 10
) -> Recorder:
    """Hand the entries to a recorder one by one, `step_ms` apart; it is not closed."""
    recorder = Recorder(folder, GENERATION, options, disk)
    for i, entry in enumerate(entries):
        recorder.take([entry], later(i * step_ms))
        recorder.tick(later(i * step_ms))
    return recorder


def all_entries(folder: Path) -> list[Entry]:
    """What is in all files of a folder, in order."""
    found: list[Entry] = []
    for path in journal_files(folder):
        with JournalFile(path) as file:
            found += file.entries()
    return found


def _in_chunks(made: RingRecord) -> bytes:
    third = len(made.payload) // 3 + 1
    parts = [made.payload[at : at + third] for at in range(0, len(made.payload), third)]
    return b"".join(
        ring_bytes(made._replace(kind=Record.CHUNK, payload=part), len(parts), i) for i, part in enumerate(parts)
    )
