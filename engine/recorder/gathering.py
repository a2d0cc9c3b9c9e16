"""Entries on their way into one block: their bytes, their stamps, and what would be lost with them."""

import zlib
from collections.abc import Iterable, Sequence

import lz4.block
import numpy as np

from shm.journal import BLOCK, BLOCK_MAGIC, END, END_MAGIC, INDEX, INDEX_MAGIC, Block, seal
from shm.journal_entries import Dropped, Entry, Head, Lane, Span, pack

from .losses import Losses


class Gathering:
    """What the next block will hold. Entries are copied, so what they were views of may be released.

    `lanes` are those that hold before its first entry, and `heads` theirs; `if_lost` is what is missing if it is never
    written.
    """

    def __init__(self, lanes: Iterable[Lane] = (), heads: Iterable[Head] = ()) -> None:
        self.lanes = tuple(lanes)
        self.heads = tuple(heads)
        self.body = bytearray()
        self.count = 0
        self.if_lost = Losses()
        self._named = 0
        self._stamps: list[tuple[int, int]] = []  # (wall, boottime)

    def add(self, entry: Entry, ends: Span | None = None) -> None:
        """Put an entry in; `ends` of a piece: its first and its last record."""
        self.body += pack(entry)
        self.count += 1
        self._named += isinstance(entry, Lane | Head)
        if isinstance(entry, Dropped):
            self._stamps.append((entry.wall_ns, entry.recv_ns))
        if ends is not None:
            self._stamps += [(ends.first_wall_ns, ends.first_recv_ns), (ends.last_wall_ns, ends.last_recv_ns)]

    def block(self, number: int, offset: int) -> tuple[Block, bytes]:
        """The block with this number, and its bytes, to be written at `offset`."""
        walls, recvs = zip(*self._stamps, strict=True) if self._stamps else ((0,), (0,))
        times = min(walls), max(walls), min(recvs), max(recvs)
        return _block(BLOCK_MAGIC, bytes(self.body), offset, (number, self.count, self._named), times)


def closing(blocks: Sequence[Block], offset: int) -> bytes:
    """What closes a file of `blocks`, to be written at `offset`, behind the last of them: the index, and the end."""
    rows = np.zeros(len(blocks), INDEX)
    for i, block in enumerate(blocks):
        rows["offset"][i] = block.offset
        rows["block"][i] = _row(BLOCK_MAGIC, block)
    index, data = _block(INDEX_MAGIC, rows.tobytes(), offset, (len(blocks), 0, 0), (0, 0, 0, 0))
    end = np.zeros(1, END)
    end["magic"], end["index_at"], end["bytes"] = END_MAGIC, offset, index.end + END.itemsize
    return data + seal(end)


def _block(
    magic: bytes, body: bytes, offset: int, counts: tuple[int, int, int], times: tuple[int, int, int, int]
) -> tuple[Block, bytes]:
    packed: bytes = lz4.block.compress(body, store_size=False)
    stored = packed if len(packed) < len(body) else body
    block = Block(offset, *counts, len(body), len(stored), *times, zlib.crc32(stored))
    return block, _row(magic, block).tobytes() + stored


def _row(magic: bytes, block: Block) -> np.ndarray[tuple[int, ...], np.dtype[np.void]]:
    row = np.zeros(1, BLOCK)
    row["magic"] = magic
    for name in Block._fields[1:]:
        row[name] = getattr(block, name)
    seal(row)
    return row
