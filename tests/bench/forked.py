"""A second process of a benchmark: a fork of this one, so that its kernels are warm, and never an orphan."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shm.life import end_with

_END_LIMIT_S = 5.0


@contextmanager
def forked(work: Callable[[], None]) -> Iterator[int]:
    """Run `work` in a fork while the block lasts, then end it; gives its pid.

    To be entered before this process starts a thread or an event loop.
    """
    parent_pid = os.getpid()

    def live() -> None:
        end_with(parent_pid, signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()

    process = multiprocessing.get_context("fork").Process(target=live)
    process.start()
    assert process.pid is not None
    try:
        yield process.pid
    finally:
        process.terminate()
        process.join(_END_LIMIT_S)
        process.kill()
        process.join()
        process.close()
