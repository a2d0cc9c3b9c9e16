"""Too little processor time for one process, made on purpose: it and many busy ones share a single processor."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A busy loop that dies with whoever started it.
_BUSY = "import ctypes\nctypes.CDLL(None).prctl(1, 9)\nwhile True: pass"


@contextmanager
def crowded(pid: int, count: int) -> Iterator[None]:
    """All threads of `pid` run on one processor, beside `count` loops that never sleep; afterwards as before."""
    processors = os.sched_getaffinity(0)
    crowded_one = {min(processors)}
    busy = [subprocess.Popen([sys.executable, "-S", "-c", _BUSY], start_new_session=True) for _ in range(count)]
    try:
        for each in busy:
            os.sched_setaffinity(each.pid, crowded_one)
        _move(pid, crowded_one)
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()
        _move(pid, processors)


def _move(pid: int, processors: set[int]) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), processors)
