"""A second process for a stress test: started, watched, and ended whatever happens."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from shm import layout
from shm.layout import Kind
from shm.segment import Segment, attach, create
from tests.waiting import wait_for

TOP = Path(__file__).resolve().parents[3]
GENERATION = 1
STARTED, STOP, GO = 1, 2, 3  # words of the flags segment: the writer has compiled; the test has seen enough; begin
FLAGS = "flags"
_START_LIMIT_S = 60.0  # the first run ever compiles


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder in shared memory, or beside the other temporary files where there is none; removed at the end."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="shardbook-stress-", dir=where) as name:
        yield Path(name)


def make_flags(folder: Path) -> Any:
    """The words by which both processes agree on start and end."""
    return create(folder / FLAGS, Kind.CHANGED, layout.changed_regions(), generation=GENERATION).array("words")


def attach_writable(folder: Path, name: str, kind: Kind) -> Segment:
    """What the writer process does with a segment that the test made."""
    return attach(folder / name, kind, writable=True, generation=GENERATION)


def start_flagged(folder: Path) -> Any:
    """In the writer process: the flags as int64 words."""
    return attach_writable(folder, FLAGS, Kind.CHANGED).array("words").view(np.int64)


@contextmanager
def running(part: str, folder: Path, flags: Any, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """`tests.shm.stress.<part>.main(folder, *arguments)` in a process of its own, from its start on; ended with us."""
    code = f"import sys; from tests.shm.stress import {part}; {part}.main(*sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), *map(str, arguments)], cwd=TOP)
    try:
        wait_for(
            lambda: flags[STARTED] != 0 or process.poll() is not None, _START_LIMIT_S, "the writer process started"
        )
        assert process.poll() is None or flags[STARTED] != 0, f"the writer ended with status {process.returncode}"
        yield process
        flags[STOP] = 1
        assert process.wait(_START_LIMIT_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def orphaned(parent: int) -> bool:
    """In the writer process: whether the test is gone."""
    return os.getppid() != parent
