"""The few calls by which a journal gets to disk, so that tests can let any of them fail."""

import os
from pathlib import Path
from typing import NamedTuple

from shm.journal import journal_files

from .. import durable


class Kept(NamedTuple):
    """A journal file in the folder."""

    path: Path
    bytes: int
    modified_wall_ns: int


class Disk:
    """The file system itself. Every call raises OSError as the system call does."""

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, path: Path) -> int:
        """A descriptor of the new file `path`, 0600; it must not exist."""
        return durable.create(path)

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """All of `data` at `offset`; after an error any first part of it may be there."""
        durable.write(descriptor, data, offset)

    def shorten(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """The folder's names survive a power loss from here on."""
        durable.sync(folder)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def files(self, folder: Path) -> list[Kept]:
        """The journal files that are there, oldest first."""
        found = [(path, path.lstat()) for path in journal_files(folder)]
        return [Kept(path, status.st_size, status.st_mtime_ns) for path, status in found]

    def unlink(self, path: Path) -> None:
        path.unlink()
