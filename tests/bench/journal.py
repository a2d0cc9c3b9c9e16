"""Frames into journal files and out of them again, beside a plain loop that writes and reads length-prefixed frames.

Both get the same frames, of depth and trades as the gateway sends them, and sync what they wrote. The journal gets them
as its recorder does, in pieces of a ring, and reads back what a replay would: each record checked, once, with its
sequence and both stamps. Files are in the page cache when they are read. What a real capture takes on disk is shown
beside that, where ../shared/data is there: Binance's frames of one instrument.
"""

import gzip
import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from engine.recorder.recorder import Moment, Options, Recorder
from shm.journal import JournalFile, journal_files, records
from shm.journal_entries import Piece, RingRecord
from shm.layout import Record, Venue
from tests import made_journal
from tests.made_journal import BEGIN

from . import plain
from .records import ENTRIES, depths, trades
from .row import Row
from .running import TOP

FRAMES = 200_000
QUICK_FRAMES = 10_000
A_PIECE = 16  # frames that the engine publishes together
PIECE_NS = 2_000_000  # from one to the next
CAPTURE = TOP.parent / "shared" / "data" / "hftbacktest" / "binance_usdm_btcusdt_20240808.gz"


class Round(NamedTuple):
    """Seconds, and bytes of the files."""

    written_s: float
    read_s: float
    plain_written_s: float
    plain_read_s: float
    stored: int
    plain_stored: int


def rows(quick: bool) -> Iterator[Row]:
    count, rounds = (QUICK_FRAMES, 2) if quick else (FRAMES, 5)
    frames = _frames(count)
    pieces = _pieces(frames)
    measured = [_round(frames, pieces) for _ in range(rounds + 1)][1:]  # the first does not count
    middle = Round(*map(statistics.median, zip(*measured, strict=True)))
    size_mb = sum(map(len, frames)) / 1e6
    for what, ours_s, plain_s in (
        ("written", middle.written_s, middle.plain_written_s),
        ("read", middle.read_s, middle.plain_read_s),
    ):
        for value, unit in ((count, "frames/s"), (size_mb, "MB/s")):
            ours, plain = value / ours_s, value / plain_s
            compared = f"length-prefixed frames: {plain:,.3g} {unit}"
            yield Row("journal", f"{what}, in pieces of {A_PIECE}", ours, unit, compared, plain)
    entry_s = middle.written_s / len(pieces)
    yield Row("journal", "entries written", 1 / entry_s, "entries/s")
    stored, plain = middle.stored / count, middle.plain_stored / count
    yield Row("journal", "on disk", stored, "B/frame", f"length-prefixed frames: {plain:,.0f} B", plain)
    if CAPTURE.is_file():
        captured = list(itertools.islice(_captured(), count))
        one = _round(captured, _pieces(captured))
        stored, plain = one.stored / len(captured), one.plain_stored / len(captured)
        compared = f"length-prefixed frames: {plain:,.0f} B"
        yield Row("journal", "on disk, of a Binance capture", stored, "B/frame", compared, plain)


def _captured() -> Iterator[bytes]:
    """Its frames, as they were received; a line is receive time and frame."""
    with gzip.open(CAPTURE) as lines:
        for line in lines:
            yield line.partition(b" ")[2].rstrip(b"\n")


def _frames(count: int) -> list[bytes]:
    """Three of depth to one of trades."""
    books, prints = iter(depths(count - count // 4, ENTRIES)), iter(trades(count // 4, 2))
    return [next(prints if n % 4 == 3 else books) for n in range(count)]


def _pieces(frames: Sequence[bytes]) -> list[Piece]:
    made, through = [], 0
    for first in range(0, len(frames), A_PIECE):
        now = _moment(first // A_PIECE)
        data = b"".join(
            made_journal.ring_bytes(
                RingRecord(0, Record.DATA, first + i + 1, now.boot_ns, now.wall_ns, Venue.PROJECTX, frame)
            )
            for i, frame in enumerate(frames[first : first + A_PIECE])
        )
        made.append(Piece(0, through, through + len(data), memoryview(data)))
        through += len(data)
    return made


def _moment(turn: int) -> Moment:
    return Moment(BEGIN.wall_ns + turn * PIECE_NS, BEGIN.boot_ns + turn * PIECE_NS)


def _round(frames: Sequence[bytes], pieces: Sequence[Piece]) -> Round:
    with TemporaryDirectory(prefix="shardbook-bench-") as made:
        folder, beside = Path(made) / "journal", Path(made) / "plain"
        times = [time.perf_counter()]
        _record(folder, pieces)
        times.append(time.perf_counter())
        read = _read(folder)
        times.append(time.perf_counter())
        plain.write(beside, frames)
        times.append(time.perf_counter())
        plain_read = sum(len(frame) > 0 for frame in plain.read(beside))
        times.append(time.perf_counter())
        assert read == plain_read == len(frames)
        written_s, read_s, plain_written_s, plain_read_s = (b - a for a, b in itertools.pairwise(times))
        stored = sum(path.stat().st_size for path in journal_files(folder))
        return Round(written_s, read_s, plain_written_s, plain_read_s, stored, beside.stat().st_size)


def _record(folder: Path, pieces: Sequence[Piece]) -> None:
    recorder = Recorder(folder, made_journal.GENERATION, Options())
    recorder.take([made_journal.lane(0)], _moment(0))
    for turn, piece in enumerate(pieces):
        recorder.take([piece], _moment(turn))
        recorder.tick(_moment(turn))
    recorder.close(_moment(len(pieces)))


def _read(folder: Path) -> int:
    count = 0
    for path in journal_files(folder):
        with JournalFile(path) as file:
            count += sum(len(record.payload) > 0 for record in records([file]))
    return count
