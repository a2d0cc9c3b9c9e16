"""A day of one instrument as an engine records it, or less: so many records, evenly spread over that venue time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.recorder.recorder import Options
from shm.journal_entries import Entry, Lane, Piece, RingRecord
from shm.layout import Record, Venue
from tests.made_journal import BEGIN, GENERATION, later, record, ring_bytes
from tests.workers.bar_rig import stamp
from tests.workers.rig import CONTRACT, config

DAY_NS = 86_400_000_000_000
RING_BYTES = 1 << 20
_A_PIECE = 500  # records
_VENUE = int(Venue.PROJECTX)


def write(folder: Path, rng: np.random.Generator, records: int, length_ns: int = DAY_NS) -> None:
    """The journal. Every tenth record is a clock frame."""
    pieces = -(-records // _A_PIECE)
    step_ms = length_ns // 1_000_000 // pieces
    entries: list[Entry] = [Lane(0, "MNQ", GENERATION, 1, RING_BYTES)]
    through = 0
    kinds = _records(rng, records, length_ns)
    for _ in range(pieces):
        data = b"".join(ring_bytes(made) for made, _ in zip(kinds, range(_A_PIECE), strict=False))
        entries.append(Piece(0, through, through + len(data), memoryview(data)))
        through += len(data)
    record(folder, entries, Options(file_bytes=16 << 20), step_ms=step_ms).close(later(step_ms * len(entries)))


def _records(rng: np.random.Generator, count: int, length_ns: int) -> Iterator[RingRecord]:
    step_ns = length_ns // count
    draws = rng.integers(1 << 30, size=(count, 3)).tolist()
    for n, (what, where, size) in enumerate(draws):
        ago_ns = n * step_ns
        kind, payload = Record.DATA, b""
        if n == 0:
            kind, payload = Record.CONFIG, config()
        elif n == 1:
            payload = _message("GatewayDepth", _snapshot(stamp(BEGIN.wall_ns)))
        elif n % 10 == 0:
            kind = Record.CLOCK
        elif what % 10 < 3:
            price = 21000 + (where % 81 - 40) / 4
            row = f'"price":{price},"timestamp":"{stamp(BEGIN.wall_ns + ago_ns)}","type":{size % 2}'
            row = f'{{"symbolId":"F.US.MNQ",{row},"volume":{1 + size // 2 % 9}}}'
            payload = _message("GatewayTrade", row)
        else:
            is_bid = where % 2
            price = 21000 + (1 + where // 2 % 60) / 4 * (-1 if is_bid else 1)
            payload = _message("GatewayDepth", _level(stamp(BEGIN.wall_ns + ago_ns), 1 + is_bid, price, size % 9))
        at = BEGIN.boot_ns + ago_ns, BEGIN.wall_ns + ago_ns
        yield RingRecord(0, kind, (GENERATION << 40) + n, *at, _VENUE, payload)


def _snapshot(at: str) -> str:
    rows = [_level(at, 6, 0, 0)]
    rows += [_level(at, 2, 21000 - k / 4, k) for k in range(1, 61)]
    rows += [_level(at, 1, 21000 + k / 4, k) for k in range(1, 61)]
    return ",".join(rows)


def _level(at: str, kind: int, price: float, size: int) -> str:
    return f'{{"timestamp":"{at}","type":{kind},"price":{price},"volume":{size},"currentVolume":{size}}}'


def _message(target: str, rows: str) -> bytes:
    return f'{{"type":1,"target":"{target}","arguments":["{CONTRACT}",[{rows}]]}}'.encode()
