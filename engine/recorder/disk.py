"""The few calls by which a journal gets to disk, so that tests can let any of them fail."""

import os
from pathlib import Path
from typing import NamedTuple

from shm.journal import journal_files


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
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """All of `data` at `offset`; after an error any first part of it may be there."""
        left = memoryview(data)
        while left:
            written = os.pwrite(descriptor, left, offset)
            left, offset = left[written:], offset + written

    def shorten(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """The folder's names survive a power loss from here on."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def files(self, folder: Path) -> list[Kept]:
        """The journal files that are there, oldest first."""
        found = [(path, path.lstat()) for path in journal_files(folder)]
        return [Kept(path, status.st_size, status.st_mtime_ns) for path, status in found]

    def unlink(self, path: Path) -> None:
        path.unlink()
