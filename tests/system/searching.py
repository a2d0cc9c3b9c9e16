"""Where a secret is: environments, command lines, memory of processes, and the bytes of files."""

import os
from collections.abc import Iterable
from pathlib import Path

_CHUNK_BYTES = 1 << 22


def environ_of(pid: int) -> bytes:
    """The environment that a process was started with; empty if it is gone."""
    return _read(Path(f"/proc/{pid}/environ"))


def command_of(pid: int) -> bytes:
    return _read(Path(f"/proc/{pid}/cmdline"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def files_with(secret: bytes, folders: Iterable[Path]) -> list[str]:
    """The files below `folders` in whose bytes or name the secret is. Every file is read whole."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            if secret in os.fsencode(path.name):
                found.append(f"the name of {path}")
            if path.is_file() and not path.is_symlink() and secret in path.read_bytes():
                found.append(str(path))
    return found


def memory_holds(pid: int, secret: bytes) -> bool:
    """Whether the secret is anywhere in the private, writable memory of a process. Raises PermissionError."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, modes = line.split()[:2]
            first, end = (int(number, 16) for number in place.split("-"))
            if modes.startswith("rw") and _range_holds(memory.fileno(), first, end, secret):
                return True
    return False


def _range_holds(descriptor: int, first: int, end: int, secret: bytes) -> bool:
    before = b""
    for at in range(first, end, _CHUNK_BYTES):
        try:
            part = os.pread(descriptor, min(_CHUNK_BYTES, end - at), at)
        except OSError:  # a page that is not there
            before = b""
            continue
        if secret in before + part:
            return True
        before = part[-len(secret) :]
    return False
