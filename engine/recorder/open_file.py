"""The journal file that is being written: its header first, then blocks, and an index when it is closed."""

import contextlib
from pathlib import Path

import numpy as np

from shm.journal import FILE, FILE_MAGIC, VERSION, Block, Name, seal

from .disk import Disk
from .gathering import Gathering, closing

DAY_NS = 86_400_000_000_000


class SyncFailed(OSError):
    """Nobody knows what of the file is on disk: it is to be closed, and no more written to it."""


class OpenFile:
    """Every call may raise OSError, and then the file is as it was before the call, but for bytes behind `end`."""

    def __init__(self, disk: Disk, folder: Path, name: Name, wall_ns: int) -> None:
        self.path = folder / name.text
        self.day = wall_ns // DAY_NS
        self.end = FILE.itemsize
        self.blocks: list[Block] = []
        self.is_synced = False
        self._disk = disk
        self._has_rest = False  # of a block that was written in part
        self._descriptor = disk.create(self.path)
        try:
            disk.write(self._descriptor, header(name, wall_ns), 0)
            self.sync()
            disk.sync_folder(folder)
        except OSError:
            self.close()
            with contextlib.suppress(OSError):  # it holds nothing, and each try would leave one more
                disk.unlink(self.path)
            raise

    def append(self, gathered: Gathering) -> Block:
        """Write a block; it may be read at once, and survives a power loss after `sync`."""
        block, data = gathered.block(len(self.blocks), self.end)
        self._put(data)
        self.blocks.append(block)
        self.end = block.end
        return block

    def sync(self) -> None:
        """All that was written survives a power loss from here on. Raises SyncFailed."""
        try:
            self._disk.sync(self._descriptor)
        except OSError as error:
            raise SyncFailed(error.errno, error.strerror) from error
        self.is_synced = True

    def finish(self) -> None:
        """Put index and end behind the blocks, which are synced first: whoever sees an index may trust in them."""
        if not self.is_synced:
            self.sync()
        self._put(closing(self.blocks, self.end))
        self.sync()

    def close(self) -> None:
        """No error of this says anything that a sync did not: after it the descriptor is gone in any case."""
        try:
            self._disk.close(self._descriptor)
        except OSError:
            return

    def _put(self, data: bytes) -> None:
        """Shortened first if a write failed: what it left may be longer than what comes in its place."""
        if self._has_rest:
            self._disk.shorten(self._descriptor, self.end)
        self._has_rest = True
        self.is_synced = False
        self._disk.write(self._descriptor, data, self.end)
        self._has_rest = False


def header(name: Name, wall_ns: int) -> bytes:
    """What a file begins with."""
    row = np.zeros(1, FILE)
    row["magic"], row["version"], row["begun_wall_ns"] = FILE_MAGIC, VERSION, wall_ns
    row["generation"], row["number"] = name
    return seal(row)
