"""A folder for as long as a command runs; of those that were killed, the next command removes what they left.

Each folder has a life lock in it: who can be seen to live keeps it. The name has the user in it, and nothing of
another user is ever touched.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shm.life import LifeLock, is_held

YOUNG_S = 60.0  # between making a folder and taking its lock there is a moment: so long nobody doubts it
MAX_SWEPT = 100  # the next command removes the next ones


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder of this process, removed at the end."""
    parent = Path(tempfile.gettempdir())
    prefix = f"shardbook-launch-{os.geteuid()}-"
    sweep(parent, prefix, time.time())
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = LifeLock.take(folder / "lock")
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path, prefix: str, now_s: float) -> None:
    """Remove the folders with that prefix whose process is dead."""
    for folder in sorted(parent.glob(f"{prefix}*"))[:MAX_SWEPT]:
        try:
            status = folder.lstat()
            if not folder.is_dir() or folder.is_symlink() or status.st_uid != os.geteuid():
                continue
            lock = folder / "lock"
            is_dead = not is_held(lock) if lock.exists() else now_s - status.st_mtime > YOUNG_S
        except OSError:  # its own process, or another command, has just removed it
            continue
        if is_dead:
            shutil.rmtree(folder, ignore_errors=True)
