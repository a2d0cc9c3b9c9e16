"""The trading hours of an instrument as the keeper gives them to the engine: a small file, replaced by rename.

Only the keeper has a calendar library; the engine pushes the rows down the instrument's ring, so that the worker, and a
replay, know them in order. `<SYMBOL>.sessions` in the generation's folder holds layout.SESSION rows, by `open_ns`, and
after them the CRC-32 of their bytes in eight.
"""

import os
import zlib
from pathlib import Path
from typing import Final

import numpy as np

from shm.errors import LayoutError
from shm.layout import KEPT_SESSIONS, SESSION, Rows

SUFFIX: Final = ".sessions"
_CHECKSUM_BYTES: Final = 8
_MAX_FILE_BYTES: Final = KEPT_SESSIONS * SESSION.itemsize + _CHECKSUM_BYTES


def path_of(here: Path, symbol: str) -> Path:
    """`here`: the generation's folder."""
    return here / f"{symbol}{SUFFIX}"


def write(path: Path, rows: Rows) -> None:
    """Put 1 to KEPT_SESSIONS rows there, in place of those that were. Raises OSError."""
    if not 1 <= len(rows) <= KEPT_SESSIONS:
        raise ValueError(f"{path} holds 1 to {KEPT_SESSIONS} sessions, not {len(rows)}")
    data = rows.astype(SESSION, copy=False).tobytes()
    building = path.with_name(f"{path.name}.tmp")
    building.write_bytes(data + zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little"))
    building.rename(path)


def read(path: Path) -> Rows:
    """The rows that are there now. Raises LayoutError for what the keeper did not write; FileNotFoundError passes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        data = file.read(_MAX_FILE_BYTES + 1)
    body, checksum = data[:-_CHECKSUM_BYTES], int.from_bytes(data[-_CHECKSUM_BYTES:], "little")
    if not body or len(body) % SESSION.itemsize or len(data) > _MAX_FILE_BYTES or zlib.crc32(body) != checksum:
        raise LayoutError(f"{path} holds no trading hours: it is damaged or foreign")
    rows = np.frombuffer(body, SESSION)
    opens, closes = rows["open_ns"], rows["close_ns"]
    if opens[0] < 0 or not (opens < closes).all() or not (closes[:-1] <= opens[1:]).all():
        raise LayoutError(f"{path} holds trading hours that are not in order")
    return rows
