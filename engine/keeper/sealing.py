"""A frame of bars as the bytes of one sealed file: polars writes the Arrow part, then the seal goes before its footer.

The Arrow file format finds everything through the footer at its end, so bytes between the last batch and the footer
belong to nobody, and any Arrow library reads the file as if they were not there. Offsets in a footer are absolute and
the batches lie before it: nothing has to be written anew.
"""

import io
import zlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from shm.bars_frame import schema
from shm.sealed import BATCH, BATCH_ROWS, MAGIC, MAX_FILE_ROWS, SEAL, SEAL_VERSION, Name
from shm.timeframe import Timeframe
from shm.values import Scale

_TRAILER_BYTES = 10  # the footer's length and "ARROW1"
_RECORD_BATCHES = 3  # the field of an Arrow footer that lists them: format/File.fbs of the Arrow specification
_BLOCK = np.dtype([("offset", "<i8"), ("header_bytes", "<i4"), ("padding", "<i4"), ("body_bytes", "<i8")])


class Subject(NamedTuple):
    """Whose bars they are."""

    symbol: str
    timeframe: Timeframe
    scale: Scale


def file_bytes(bars: pl.DataFrame, name: Name, subject: Subject, wall_ns: int) -> bytes:
    """The file `name` with `bars`, which are sorted by key and hold none twice.

    ValueError for no row, more than MAX_FILE_ROWS, or columns that are not those of `schema`.
    """
    if not 0 < len(bars) <= MAX_FILE_ROWS:
        raise ValueError(f"a file holds between 1 and {MAX_FILE_ROWS:,} bars, not {len(bars):,}")
    if bars.schema != schema(subject.scale.whole_sizes):
        raise ValueError(f"these are no bars of {subject.symbol}: the columns are {bars.schema}")
    written = io.BytesIO()
    bars.rechunk().write_ipc(written, compression="uncompressed", record_batch_size=BATCH_ROWS)
    arrow = memoryview(written.getbuffer())
    footer_at = len(arrow) - _TRAILER_BYTES - int.from_bytes(arrow[-10:-6], "little")
    footer = bytes(arrow[footer_at:-_TRAILER_BYTES])
    table = _table(arrow, _blocks(footer), bars["start"].to_physical().to_numpy())
    body = bytes(arrow[:footer_at])
    padding = bytes(-len(body) % 8)
    seal = np.zeros(1, SEAL)
    seal["magic"], seal["version"], seal["batches"], seal["rows"] = MAGIC, SEAL_VERSION, len(table), len(bars)
    seal["total_bytes"] = len(arrow) + len(padding) + table.nbytes + SEAL.itemsize
    seal["first"], seal["last"] = name.first, name.last
    seal["unit"], seal["amount"] = subject.timeframe
    for field, value in subject.scale._asdict().items():
        seal[field] = value
    seal["sealed_wall_ns"], seal["symbol"] = wall_ns, subject.symbol.encode("ascii")
    head = arrow[: int(table["offset"][0])]
    seal["head_bytes"], seal["head_crc32"] = len(head), zlib.crc32(head)
    seal["footer_crc32"], seal["table_crc32"] = zlib.crc32(footer), zlib.crc32(table.tobytes())
    seal["crc32"] = zlib.crc32(seal.tobytes()[:-4])
    return b"".join((body, padding, table.tobytes(), seal.tobytes(), arrow[footer_at:]))


def _table(arrow: memoryview, blocks: npt.NDArray[np.void], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
    """A BATCH row for each block; batches are of BATCH_ROWS rows but for the last."""
    table = np.zeros(len(blocks), BATCH)
    for i, block in enumerate(blocks):
        begin, end = i * BATCH_ROWS, min((i + 1) * BATCH_ROWS, len(starts))
        offset, header_bytes = int(block["offset"]), int(block["header_bytes"])
        data = arrow[offset : offset + header_bytes + int(block["body_bytes"])]
        table[i] = (
            *(offset, len(data), header_bytes, end - begin, starts[begin], starts[end - 1]),
            *(zlib.crc32(data[:header_bytes]), zlib.crc32(data)),
        )
    if len(blocks) != -(-len(starts) // BATCH_ROWS):
        raise RuntimeError(f"polars wrote {len(blocks)} batches for {len(starts)} rows")
    return table


def _blocks(footer: bytes) -> npt.NDArray[np.void]:
    """Where the batches lie, out of an Arrow footer (a flatbuffer that polars has just written)."""

    def number(at: int, size: int = 4) -> int:
        return int.from_bytes(footer[at : at + size], "little")

    root = number(0)
    fields = root - int.from_bytes(footer[root : root + 4], "little", signed=True)
    place = root + number(fields + 4 + 2 * _RECORD_BATCHES, 2)
    vector = place + number(place)
    return np.frombuffer(footer, _BLOCK, number(vector), vector + 4)
