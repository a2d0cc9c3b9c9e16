"""Checkpoints beside a closed journal file, so that the book at a time is found without running all before it.

`<generation>-<number>.sbw` has one part for each instrument that was there by the end of the file:

    ├ PART ┼ body ┼ PART ┼ body ┼ …      a body, one lz4 block: ROW, levels, ROW, levels, …

The last ROW of a part is how the file ended, and the next file goes on from there. Everything in it can be made again
from the journal. So a file that does not fit its journal, or this program, or its own checksums, counts as absent.
"""

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import lz4.block
import numpy as np

from shm.journal import seal
from shm.layout import LEVEL, STATE
from shm.stretches import Stream

from .passage import Interval
from .recovery import Checkpoint

SUFFIX: Final = ".sbw"
MAX_BODY_BYTES: Final = 1 << 28
_MAGIC: Final = b"SBWAYPTS"
_VERSION: Final = 1

PART = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<i8"),
        ("state_crc32", "<i8"),  # of the names and places in a STATE: with another one its rows mean nothing
        ("journal_bytes", "<i8"),  # of the journal file when this was made
        ("symbol", "S32"),
        ("body_bytes", "<i8"),
        ("stored_bytes", "<i8"),
        ("body_crc32", "<u4"),
        ("crc32", "<u4"),
    ]
)
ROW = np.dtype(
    [
        ("generation", "<i8"),
        ("made", "<i8"),
        ("position", "<i8"),
        ("block", "<i8"),
        ("least_wall_ns", "<i8"),
        ("least_venue_ns", "<i8"),
        ("from_nothing", "<i8"),  # 1: no checkpoint, and `state` is zero
        ("state", STATE),
    ]
)
_NUMBERS: Final = ("position", "block", "least_wall_ns", "least_venue_ns")
_STATE_CRC32: Final = zlib.crc32(repr(STATE.descr).encode())


class Ways(NamedTuple):
    """What is known of one instrument in one file."""

    intervals: list[Interval]
    carried: Interval | None  # how the file ends


def path_of(journal: Path) -> Path:
    """Where the waypoints of a journal file lie."""
    return journal.with_suffix(SUFFIX)


def write(journal: Path, journal_bytes: int, found: Mapping[str, Ways]) -> None:
    """Put them beside the file, all or nothing. OSError passes."""
    path = path_of(journal)
    building = path.with_name(f"{path.name}.tmp")
    descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        for symbol, ways in found.items():
            file.write(_part(symbol, journal_bytes, ways))
        file.flush()
        os.fsync(descriptor)
    building.rename(path)


def read(journal: Path, journal_bytes: int, symbol: str) -> Ways | None:
    """Those of one instrument; empty ones if it was not there yet, None if there is no file, or none to go by."""
    found = _read(journal, journal_bytes, symbol)
    return found if found is None else found.get(symbol, Ways([], None))


def read_all(journal: Path, journal_bytes: int) -> dict[str, Ways] | None:
    """Those of every instrument; None if there is no file, or none to go by."""
    return _read(journal, journal_bytes, None)


def _read(journal: Path, journal_bytes: int, wanted: str | None) -> dict[str, Ways] | None:
    found: dict[str, Ways] = {}
    try:
        descriptor = os.open(path_of(journal), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        while head := file.read(PART.itemsize):
            part = _checked(head, journal_bytes)
            if part is None:
                return None
            symbol, stored_bytes = bytes(part["symbol"]).decode(errors="replace"), int(part["stored_bytes"])
            if wanted not in (None, symbol):
                file.seek(stored_bytes, os.SEEK_CUR)
                continue
            ways = _parsed(part, file.read(stored_bytes))
            if ways is None:
                return None
            found[symbol] = ways
    return found


def _part(symbol: str, journal_bytes: int, ways: Ways) -> bytes:
    rows = [*ways.intervals, ways.carried] if ways.carried else ways.intervals
    body = b"".join(map(_row, rows))
    if len(body) > MAX_BODY_BYTES:
        raise OverflowError(f"{symbol} has {len(body):,} bytes of checkpoints in one file: make the files smaller")
    stored: bytes = lz4.block.compress(body, store_size=False)
    part = np.zeros(1, PART)
    part["magic"], part["version"], part["state_crc32"] = _MAGIC, _VERSION, _STATE_CRC32
    part["journal_bytes"], part["symbol"] = journal_bytes, symbol.encode()
    part["body_bytes"], part["stored_bytes"], part["body_crc32"] = len(body), len(stored), zlib.crc32(stored)
    return seal(part) + stored


def _row(interval: Interval) -> bytes:
    row = np.zeros(1, ROW)
    row["generation"], row["made"] = interval.stream
    for name in _NUMBERS:
        row[name] = getattr(interval, name)
    checkpoint = interval.checkpoint
    if checkpoint is None:
        row["from_nothing"] = 1
        return row.tobytes()
    row["state"] = checkpoint.state
    return row.tobytes() + b"".join(side.tobytes() for side in checkpoint.sides)


def _checked(head: bytes, journal_bytes: int) -> np.void | None:
    """A PART of ours and of that journal; else None."""
    if len(head) != PART.itemsize:
        return None
    part: np.void = np.frombuffer(head, PART)[0]
    is_ours = zlib.crc32(head[:-4]) == part["crc32"] and bytes(part["magic"]) == _MAGIC
    wanted = _VERSION, _STATE_CRC32, journal_bytes
    fits = tuple(int(part[name]) for name in ("version", "state_crc32", "journal_bytes")) == wanted
    return part if is_ours and fits and 0 <= part["body_bytes"] <= MAX_BODY_BYTES else None


def _parsed(part: np.void, stored: bytes) -> Ways | None:
    if len(stored) != part["stored_bytes"] or zlib.crc32(stored) != part["body_crc32"]:
        return None
    body = lz4.block.decompress(stored, uncompressed_size=int(part["body_bytes"]))
    rows: list[Interval] = []
    at = 0
    while at < len(body):
        row = np.frombuffer(body, ROW, 1, at)[0]
        at += ROW.itemsize
        checkpoint = None
        if not row["from_nothing"]:
            state = np.array([row["state"]], STATE)
            counts = int(state["n_bids"][0]), int(state["n_asks"][0])
            levels = np.zeros((2, max(counts)), LEVEL)
            for side, count in enumerate(counts):
                levels[side, :count] = np.frombuffer(body, LEVEL, count, at)
                at += count * LEVEL.itemsize
            checkpoint = Checkpoint(state, levels)
        stream = Stream(int(row["generation"]), int(row["made"]))
        position, block, least_wall_ns, least_venue_ns = (int(row[name]) for name in _NUMBERS)
        rows.append(Interval(stream, position, block, least_wall_ns, least_venue_ns, checkpoint))
    return Ways(rows[:-1], rows[-1]) if rows else Ways([], None)
