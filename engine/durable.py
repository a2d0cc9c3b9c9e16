"""The system calls that bring bytes to disk and let them survive a power loss, which more than one process makes.

Every one raises OSError as its system call does.
"""

import os
from pathlib import Path


def create(path: Path) -> int:
    """A descriptor of the new file `path`, 0600, to write; it must not exist."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def write(descriptor: int, data: bytes, offset: int) -> None:
    """All of `data` at `offset`; after an error any first part of it may be there."""
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def sync(path: Path) -> None:
    """A file's bytes, or a folder's names, survive a power loss from here on."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
