"""The longest valid prefix of a damaged journal file, as a file of its own that is whole."""

from pathlib import Path
from typing import Final, NamedTuple

from shm.errors import LayoutError
from shm.journal import FILE, JournalFile

from .disk import Disk
from .gathering import closing

_COPY_BYTES: Final = 1 << 20


class Salvaged(NamedTuple):
    blocks: int
    entries: int
    left_bytes: int  # of the damaged file, index and end not among them
    fault: str  # what ended it; empty for a file that is only unfinished, or whole


def salvage(path: Path, out: Path, disk: Disk | None = None) -> Salvaged:
    """Write the blocks of `path` that lie before its first damaged byte to the new file `out`, closed in order.

    Raises LayoutError for what is no journal or has no whole header. OSError passes, FileExistsError among them, and
    then `out` is as it was before.
    """
    disk = disk or Disk()
    with JournalFile(path, salvage=True) as file:
        if file.name is None:
            raise LayoutError(f"{path} holds nothing to salvage: not even its header is whole")
        end = file.blocks[-1].end if file.blocks else FILE.itemsize
        descriptor = disk.create(out)
        try:
            for at in range(0, end, _COPY_BYTES):
                disk.write(descriptor, file.raw(at, min(end, at + _COPY_BYTES)), at)
            disk.write(descriptor, closing(file.blocks, end), end)
            disk.sync(descriptor)
        except BaseException:
            disk.unlink(out)
            raise
        finally:
            disk.close(descriptor)
        disk.sync_folder(out.parent)
        entries = sum(block.entries for block in file.blocks)
        return Salvaged(len(file.blocks), entries, file.bytes - end if file.fault else 0, file.fault)
