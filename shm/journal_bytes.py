"""Where the bytes of a journal file are read from: the disk, or memory that holds them already."""

import errno
import os
import stat
from pathlib import Path
from typing import Protocol

from .errors import LayoutError


class Source(Protocol):
    """`size` is in bytes, as it was when it was opened."""

    size: int

    def read(self, size: int, offset: int) -> bytes:
        """`size` bytes at `offset`, or as many as there are."""

    def close(self) -> None: ...


class OnDisk:
    """A file, read where it lies. It may grow meanwhile."""

    def __init__(self, path: Path) -> None:
        """Raises LayoutError for what is no regular file; FileNotFoundError and OSError pass."""
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ELOOP or not path.is_symlink():
                raise
            raise LayoutError(
                f"{path} is a symbolic link, and those are not followed: put the file itself in its place"
            ) from None
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise LayoutError(f"{path} is no journal: it is not a regular file")
        self.size = status.st_size

    def read(self, size: int, offset: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class InMemory:
    """The bytes of a file; they are not copied before they are read."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data)
        self.size = len(data)

    def read(self, size: int, offset: int) -> bytes:
        return bytes(self._data[offset : offset + size])

    def close(self) -> None:
        self._data.release()
