"""The few calls that change a folder of bars, each a step at which a kill or a power loss may fall.

Everything that the keeper does on disk goes through a Disk, so that tests can stop it after any step, and can forget
whatever was not synced.
"""

import contextlib
import errno
import os
from pathlib import Path

from .. import durable

READ_BYTES = 1 << 20


class Disk:
    """The file system itself. Every call raises OSError as the system call does."""

    def write(self, path: Path, data: bytes) -> None:
        """Make the file `path` (0600, it must not exist) and put `data` in it: not synced, nor its name."""
        descriptor = durable.create(path)
        try:
            durable.write(descriptor, data, 0)
        finally:
            os.close(descriptor)

    def sync(self, path: Path) -> None:
        """The file's bytes, or the folder's names, survive a power loss from here on."""
        durable.sync(path)

    def holds(self, path: Path, data: bytes) -> bool:
        """The file's bytes are `data`, read back."""
        with open(path, "rb", buffering=0) as file:
            for at in range(0, len(data) + 1, READ_BYTES):  # one read past the end: there must be nothing
                if file.read(READ_BYTES) != data[at : at + READ_BYTES]:
                    return False
        return True

    def rename(self, path: Path, to: Path) -> None:
        path.rename(to)

    def unlink(self, path: Path) -> None:
        path.unlink()


def put(disk: Disk, path: Path, data: bytes) -> None:
    """The file `path` with `data`, whole or not at all, and after the return for good.

    Synced before it gets its name, so that no power loss leaves that name with other bytes. OSError passes (a full
    disk, one that reads back something else), and nothing is left; a kill leaves a temporary file, which
    `Store.recover` removes.
    """
    building = temporary(path)
    try:
        disk.write(building, data)
        disk.sync(building)
        if not disk.holds(building, data):
            raise OSError(errno.EIO, "what was written is read back as something else", str(building))
        disk.rename(building, path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            disk.unlink(building)
        raise
    disk.sync(path.parent)


def temporary(path: Path) -> Path:
    """Where `path` is built."""
    return path.with_name(f".{path.name}.tmp")
