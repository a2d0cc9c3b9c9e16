"""Whether the places and the file that a command names can be used, asked before anything is made or started.

What is found here may be another a moment later: each place is asked again when it is used. This is for a sentence at
once, and for `--check`.
"""

import os
import stat
from pathlib import Path

from .config import Settings
from .rules import ConfigError

DBN_BEGINNINGS = (b"DBN", b"\x28\xb5\x2f\xfd")  # plain, and in a zstd frame


def check_places(settings: Settings) -> None:
    """The folders of data and of shared memory could be made or written to. Raises ConfigError."""
    if not settings.shm_root.is_dir() or not os.access(settings.shm_root, os.W_OK | os.X_OK):
        raise ConfigError(f"{settings.shm_root}: nothing can be made there: name another folder in SHARDBOOK_SHM")
    data = settings.data_folder
    existing = next(each for each in (data, *data.parents) if os.path.lexists(each) or each == each.parent)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        where = existing if existing == data else f"{data}: {existing}"
        raise ConfigError(f"{where} is no folder that can be written to: give a folder of yours with --data")


def check_capture(path: Path) -> None:
    """The file begins as a recorded flow does. Raises ConfigError."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            is_ordinary = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            beginning = file.read(4) if is_ordinary else b""
    except OSError as error:
        raise ConfigError(f"--flow {path}: cannot be read ({error.strerror}): name another file") from None
    if not beginning.startswith(DBN_BEGINNINGS):
        raise ConfigError(f"--flow {path}: does not begin as a DBN capture: name another file")
