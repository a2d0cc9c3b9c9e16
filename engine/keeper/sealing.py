"""A frame of bars as the bytes of one sealed file: polars writes the Arrow part, then the seal goes before its footer.

The Arrow file format finds everything through the footer at its end, so bytes between the last batch and the footer
belong to nobody, and any Arrow library reads the file as if they were not there. Offsets in a footer are absolute and
the batches lie before it: nothing has to be written anew.

Repairs of a month, in one file, are a few bars here and a few there. A reader merges what batches of two files have of
the same time, so such a file is cut into batches where its bars leave much time out, and what our own files have of
that time stays apart. Polars cuts only into equal batches: each is taken out of a file of its own, and the footer out
of one with as many.
"""

import io
import itertools
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from shm.bars_frame import schema
from shm.sealed import BATCH, BATCH_ROWS, FETCHED, MAGIC, MAX_FILE_ROWS, SEAL, SEAL_VERSION, Name
from shm.timeframe import Timeframe
from shm.values import Scale

GAP_BARS: Final = 1024  # a batch of the venue's bars ends where time for more than so many of them is left out
MAX_GAPS: Final = 256  # of a file, the widest
_TRAILER_BYTES = 10  # the footer's length and "ARROW1"
_RECORD_BATCHES = 3  # the field of an Arrow footer that lists them: format/File.fbs of the Arrow specification
_BLOCK = np.dtype([("offset", "<i8"), ("header_bytes", "<i4"), ("padding", "<i4"), ("body_bytes", "<i8")])


class Subject(NamedTuple):
    """Whose bars they are."""

    symbol: str
    timeframe: Timeframe
    scale: Scale


def check_columns(bars: pl.DataFrame, subject: Subject) -> None:
    """ValueError for columns that are not those of `schema`."""
    if bars.schema != schema(subject.scale.whole_sizes):
        raise ValueError(f"these are no bars of {subject.symbol}: the columns are {bars.schema}")


def file_bytes(bars: pl.DataFrame, name: Name, subject: Subject, wall_ns: int) -> bytes:
    """The file `name` with `bars`, which are sorted by key, hold none twice and have passed `check_columns`.

    ValueError for no row, or more than MAX_FILE_ROWS.
    """
    if not 0 < len(bars) <= MAX_FILE_ROWS:
        raise ValueError(f"a file holds between 1 and {MAX_FILE_ROWS:,} bars, not {len(bars):,}")
    starts = bars["start"].to_physical().to_numpy()
    edges = _edges(starts, name, subject.timeframe)
    arrow, footer_at = _joined([bars[begin:end] for begin, end in itertools.pairwise(edges)])
    footer = arrow[footer_at:-_TRAILER_BYTES]
    table = _table(arrow, _blocks(footer), starts, edges)
    body = arrow[:footer_at]
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


def _edges(starts: npt.NDArray[np.int64], name: Name, timeframe: Timeframe) -> list[int]:
    """The rows at which batches begin, and the end: each BATCH_ROWS, and of the venue's bars at gaps in time; days and
    longer are too few for that."""
    edges = {*range(0, len(starts), BATCH_ROWS), len(starts)}
    if name.series == FETCHED and not timeframe.is_session:
        left_out_ns = np.diff(starts) - timeframe.length_ns
        wide = np.flatnonzero(left_out_ns > GAP_BARS * timeframe.length_ns)
        edges.update((wide[np.argsort(left_out_ns[wide])[-MAX_GAPS:]] + 1).tolist())
    return sorted(edges)


def _joined(parts: Sequence[pl.DataFrame]) -> tuple[bytes, int]:
    """An Arrow file in which each of these is a batch, and where its footer lies."""
    frame, frame_footer_at = _written(pl.concat([part[:1] for part in parts]), batch_rows=1)
    footer = bytearray(frame[frame_footer_at:])
    blocks = _blocks(footer)
    end = blocks[-1]
    end_mark = frame[int(end["offset"]) + int(end["header_bytes"]) + int(end["body_bytes"]) : frame_footer_at]
    pieces = [frame[: int(blocks[0]["offset"])]]
    at = len(pieces[0])
    for block, part in zip(blocks, parts, strict=True):
        one, one_footer_at = _written(part, batch_rows=BATCH_ROWS)
        (its,) = _blocks(one[one_footer_at:])
        block["header_bytes"], block["body_bytes"] = its["header_bytes"], its["body_bytes"]
        size = int(its["header_bytes"]) + int(its["body_bytes"])
        pieces.append(one[int(its["offset"]) : int(its["offset"]) + size])
        block["offset"], at = at, at + size
    return b"".join((*pieces, end_mark, footer)), at + len(end_mark)


def _written(bars: pl.DataFrame, batch_rows: int) -> tuple[bytes, int]:
    """The Arrow file that polars makes of them, and where its footer lies."""
    written = io.BytesIO()
    bars.rechunk().write_ipc(written, compression="uncompressed", record_batch_size=batch_rows)
    arrow = written.getvalue()
    return arrow, len(arrow) - _TRAILER_BYTES - int.from_bytes(arrow[-_TRAILER_BYTES:-6], "little")


def _table(
    arrow: bytes, blocks: npt.NDArray[np.void], starts: npt.NDArray[np.int64], edges: Sequence[int]
) -> npt.NDArray[np.void]:
    """A BATCH row for each block, which has the rows between two edges."""
    table = np.zeros(len(blocks), BATCH)
    for i, (block, (begin, end)) in enumerate(zip(blocks, itertools.pairwise(edges), strict=True)):
        offset, header_bytes = int(block["offset"]), int(block["header_bytes"])
        data = memoryview(arrow)[offset : offset + header_bytes + int(block["body_bytes"])]
        table[i] = (
            *(offset, len(data), header_bytes, end - begin, starts[begin], starts[end - 1]),
            *(zlib.crc32(data[:header_bytes]), zlib.crc32(data)),
        )
    return table


def _blocks(footer: bytes | bytearray) -> npt.NDArray[np.void]:
    """Where the batches lie, in an Arrow footer (a flatbuffer that polars has just written); a view of it."""

    def number(at: int, size: int = 4) -> int:
        return int.from_bytes(footer[at : at + size], "little")

    root = number(0)
    fields = root - int.from_bytes(footer[root : root + 4], "little", signed=True)
    place = root + number(fields + 4 + 2 * _RECORD_BATCHES, 2)
    vector = place + number(place)
    return np.frombuffer(footer, _BLOCK, number(vector), vector + 4)
