"""A minute of two instruments as an engine records it, made in the test's own memory: a record each millisecond."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.recorder.recorder import Options
from shm import layout
from shm.journal_entries import Entry, Lane, Piece
from shm.layout import RECORD_BYTES, Reason, Record
from shm.ring import RingWriter
from tests.made_journal import later, record
from tests.shm.consumer import ring_words
from tests.shm.test_refill import recorded
from tests.workers.rig import config, depth, quote, snapshot, trades

GENERATION = 7
SYMBOLS = ("MES", "MNQ")
BEGIN_NS = 1_795_357_980_000_000_000  # 2026-11-22 14:33 UTC, as the venue stamps of the rig
BOOT_NS = 5_000_000_000
STEP_NS = 1_000_000
RING_BYTES = 1 << 16  # so that a snapshot goes in chunks


class _Instrument:
    """Its ring as the engine fills it, and a worker that takes all at once."""

    def __init__(self, symbol: str, lane: int, rng: np.random.Generator) -> None:
        self.lane = Lane(lane, symbol, GENERATION, 1, RING_BYTES)
        self.contract = f"CON.F.US.{symbol}.Z26"
        self._rng = rng
        self._words = ring_words(RING_BYTES)
        self._writer = RingWriter(self._words, GENERATION)
        self._writer.gap(Reason.STARTING)
        self._writer.configure(config(self.contract))
        self._writer.push(snapshot(n=0).replace("MNQ", symbol).encode())

    def put(self, n: int) -> None:
        """What comes in in millisecond `n`."""
        rng, at = self._rng, n * 10_000
        price = 21000.0 + 0.25 * int(rng.integers(-40, 40))
        what = int(rng.integers(20))
        if n % 100 == 0:
            self._writer.clock()
        elif what == 0 and rng.integers(100) == 0:
            self._writer.gap(Reason.DISCONNECTED)
            self._writer.push(snapshot(n=at).replace("MNQ", self.lane.symbol).encode())
        elif what < 4:
            rows = [(price, int(rng.integers(1, 9)), int(rng.integers(2))) for _ in range(int(rng.integers(1, 4)))]
            self._writer.push(trades(rows, at, self.contract).encode())
        elif what == 4:
            self._writer.push(quote(self.contract, lastPrice=price).encode())
        else:
            levels = [self._level() for _ in range(int(rng.integers(1, 9)))]
            self._writer.push(depth(levels, at, self.contract).encode())

    def _level(self) -> tuple[int, float, int]:
        """Type, price and size of an ask above 21,000, or of a bid below."""
        of_bid, ticks = int(self._rng.integers(2)), int(self._rng.integers(1, 60))
        return 1 + of_bid, 21000.0 + 0.25 * ticks * (-1 if of_bid else 1), int(self._rng.integers(1, 9))

    def publish(self, n: int) -> Piece:
        """What was put since, as if it had come in up to millisecond `n`."""
        begin = int(self._words[layout.TAIL])
        self._writer.publish()
        end = int(self._words[layout.TAIL])
        self._words[layout.HEAD] = end
        return Piece(self.lane.lane, begin, end, memoryview(_stamped(recorded(self._words, begin, end), n)))


def made(rng: np.random.Generator, milliseconds: int) -> list[Entry]:
    """The entries of a journal: lanes, then pieces of both by turns."""
    instruments = [_Instrument(symbol, number, rng) for number, symbol in enumerate(SYMBOLS)]
    entries: list[Entry] = [each.lane for each in instruments]
    for n in range(milliseconds):
        for each in instruments:
            each.put(n)
            if n + 1 == milliseconds or rng.integers(4) == 0:
                entries.append(each.publish(n))
    return entries


def write(folder: Path, entries: Sequence[Entry]) -> None:
    """As the recorder does, into some files."""
    record(folder, entries, Options(file_bytes=1 << 20), step_ms=1).close(later(len(entries)))


def bytes_of(entries: Sequence[Entry], symbol: str) -> bytes:
    """All that one instrument received."""
    lane = SYMBOLS.index(symbol)
    return b"".join(bytes(entry.data) for entry in entries if isinstance(entry, Piece) and entry.lane == lane)


def _stamped(data: bytes, n: int) -> bytes:
    """The records of a piece with the receive times of that minute in place of ours."""
    out, at = bytearray(data), 0
    while at < len(out):
        size, kind = struct.unpack_from("<II", out, at)
        if kind == Record.PAD:
            at += size
            continue
        struct.pack_into("<2q", out, at + 16, BOOT_NS + n * STEP_NS, BEGIN_NS + n * STEP_NS)
        at += RECORD_BYTES + ((size + 8) & ~7)
    return bytes(out)
