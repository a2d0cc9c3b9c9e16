"""Stop another process between two of its instructions (ptrace), to kill it while its memory is half written."""

import ctypes
import os
import random
import signal
from collections.abc import Callable

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.restype = ctypes.c_long
_SINGLESTEP, _SEIZE, _INTERRUPT = 9, 0x4206, 0x4207


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    if _LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(pid), ctypes.c_void_p(0), ctypes.c_void_p(data)) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace request {request} of process {pid} failed")


class Stepper:
    """A tracee that is stopped; it must be a child of this process. Skips the test where ptrace is forbidden."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            _ptrace(_SEIZE, pid)
        except OSError as error:
            self.kill()
            pytest.skip(f"ptrace is forbidden here: {error}")
        _ptrace(_INTERRUPT, pid)
        self._wait()

    def step_until(self, inside: Callable[[], bool], limit_steps: int) -> bool:
        """Single-step until `inside()`; False when the limit came first.

        Both on one processor meanwhile: a step is two switches, and across processors each takes twice as long.
        """
        allowed = os.sched_getaffinity(0)
        here = {random.choice(sorted(allowed))}
        os.sched_setaffinity(self.pid, here)
        os.sched_setaffinity(0, here)
        try:
            for _ in range(limit_steps):
                if inside():
                    return True
                self.step()
            return inside()
        finally:
            os.sched_setaffinity(0, allowed)

    def step(self) -> None:
        _ptrace(_SINGLESTEP, self.pid)
        self._wait()

    def kill(self) -> None:
        """SIGKILL, and reap."""
        os.kill(self.pid, signal.SIGKILL)
        while True:
            _, status = os.waitpid(self.pid, 0)
            if os.WIFSIGNALED(status):
                return

    def _wait(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSTOPPED(status):
            raise ProcessLookupError(f"process {self.pid} ended while it was stepped: status {status}")
