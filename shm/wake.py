"""Sleeping until a word in shared memory changes, from plain Python and on a mapping that may only be read.

FUTEX_WAIT needs no more than the right to read the word, so a reader registers nowhere and leaves nothing behind
when it dies. The handshake needs no write either: load the word, look for news, and sleep with the value that was
loaded. If the writer came in between, the kernel finds another value and does not put us to sleep.

One sleep in the kernel is at most MAX_SLEEP_NS long, so that a wake-up lost in whatever way costs that much and no
more, and a signal that another thread was given is soon seen.
"""

import ctypes
import errno
import os
import platform
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

MAX_SLEEP_NS = 100_000_000

_CALL_NUMBER = 98 if platform.machine() == "aarch64" else 202
_FUTEX_WAIT = 0  # not the private kind: the waker is another process
_FUTEX_WAKE_OP = 5
_ADD_ONE = 1 << 28 | 1 << 12  # futex(2), FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)
_EVERYONE = 0x7FFFFFFF


# A word to sleep on: its memory, its byte offset there, and its value from before the look that found no news. A
# plain tuple, because one is made at every look.
Word = tuple[memoryview, int, int]


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (
    ctypes.c_long,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_uint32,
    ctypes.POINTER(_Timespec),
    ctypes.c_void_p,
    ctypes.c_uint32,
)
_operate = _libc["syscall"]  # the same function, whose fourth argument is now a count
_operate.restype = ctypes.c_long
_operate.argtypes = (
    ctypes.c_long,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_uint32,
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.c_uint32,
)


def bump(words: npt.NDArray[np.int64], index: int) -> int:
    """Add one to the low half of a word that others add to as well, and wake who sleeps on it; how many that was.

    The kernel does both in one call, the adding atomically, which plain Python cannot. For a process without numba.
    """
    address = words.ctypes.data + 8 * index
    woken: int = _operate(_CALL_NUMBER, address, _FUTEX_WAKE_OP, _EVERYONE, 0, address, _ADD_ONE)
    if woken < 0:
        reason = ctypes.get_errno()
        raise OSError(reason, f"futex: {os.strerror(reason)}")
    return woken


def wait(memory: memoryview, byte_offset: int, seen: int, timeout_s: float) -> bool:
    """Sleep until the 8-byte word at `byte_offset` is no longer `seen`; False if it still is after `timeout_s`.

    Only its low half is looked at. It may return True though nothing changed; look again. Raises OSError only for
    memory that is not mapped.
    """
    word = np.frombuffer(memory, np.uint32, count=1, offset=byte_offset)
    end_ns = time.monotonic_ns() + int(timeout_s * 1e9)
    while True:
        left_ns = end_ns - time.monotonic_ns()
        if left_ns <= 0:
            return bool(word[0] != seen & 0xFFFFFFFF)
        limit = _Timespec(0, min(left_ns, MAX_SLEEP_NS))
        status = _syscall(_CALL_NUMBER, word.ctypes.data, _FUTEX_WAIT, seen & 0xFFFFFFFF, limit, None, 0)
        if status == 0:
            return True
        reason = ctypes.get_errno()
        if reason == errno.EAGAIN:
            return True
        if reason not in (errno.EINTR, errno.ETIMEDOUT):  # after EINTR Python runs the signal's handler first
            raise OSError(reason, f"futex: {os.strerror(reason)}")


def until_news(look: Callable[[], Word | None], after_silence: Callable[[], object], timeout_s: float) -> bool:
    """Sleep until `look` has found news, which it says by returning no word; False if none came for `timeout_s`.

    `after_silence` is called when a whole sleep has brought no change: perhaps the word is nobody's any more.
    """
    end_s = time.monotonic() + timeout_s
    while (word := look()) is not None:
        limit_s = sleep_s(end_s)
        if limit_s <= 0:
            return False
        if not wait(*word, limit_s):
            after_silence()
    return True


def load(memory: memoryview, byte_offset: int) -> Word:
    """A word as it is now."""
    return memory, byte_offset, int.from_bytes(memory[byte_offset : byte_offset + 8], "little")


def sleep_s(end_s: float) -> float:
    """How long to sleep now, by the monotonic clock, to be awake at `end_s`."""
    return min(end_s - time.monotonic(), MAX_SLEEP_NS / 1e9)
