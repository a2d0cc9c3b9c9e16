"""What a journal is measured against: a plain file of frames, each behind its length, written and read in a loop."""

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

LENGTH = struct.Struct("<I")


def write(path: Path, frames: Iterable[bytes]) -> None:
    """All of them, and synced."""
    with open(path, "wb") as file:
        for frame in frames:
            file.write(LENGTH.pack(len(frame)))
            file.write(frame)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> Iterator[bytes]:
    """One after the other."""
    with open(path, "rb") as file:
        while head := file.read(LENGTH.size):
            yield file.read(LENGTH.unpack(head)[0])
