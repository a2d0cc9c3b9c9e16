"""Does a process live? A lock that the kernel drops with it says so, and asking never takes the lock.

A life lock is an open file description lock (F_OFD_SETLK) on a file of its own. It goes with the last descriptor,
so a process takes its lock after it was forked and forks no more. It is asked for with F_OFD_GETLK: asking by
taking would, for a moment, look like a living process to the next one who asks.

The file holds "PID START_TICKS" of its holder, because the kernel does not tell who holds such a lock.
"""

import ctypes
import errno
import fcntl
import os
import struct
from contextlib import ExitStack
from pathlib import Path

_FLOCK = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, pid (0 for these locks)
_WHOLE_FILE = (os.SEEK_SET, 0, 0, 0)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_MAX_TRIES = 100  # one more try costs another process that removed the file between our open and our lock


class AlreadyHeld(Exception):
    """Another process lives under this lock. `pid` is who, as far as the file says; 0 if it does not."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(f"{path} is held by process {pid}")
        self.pid = pid


class LifeLock:
    """A held lock; it is dropped by `release`, or by the kernel when the process ends in whatever way."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> "LifeLock":
        """Take the lock `path` for this process; the file is made if there is none. Raises AlreadyHeld."""
        for _ in range(_MAX_TRIES):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with ExitStack() as unless_taken:
                unless_taken.callback(os.close, descriptor)
                if not _lock(descriptor):
                    raise AlreadyHeld(path, _noted_pid(descriptor))
                # The old holder may have removed the file since we opened it: then this lock guards nothing.
                if _is_file_at(descriptor, path):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()} {start_ticks(os.getpid())}\n".encode(), 0)
                    unless_taken.pop_all()
                    return cls(path, descriptor)
        raise OSError(errno.EBUSY, "the lock file is removed again and again", str(path))

    def release(self) -> None:
        """Drop the lock; the file stays. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Drop the lock and its file: first the file, so that nobody locks a file that is about to go."""
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
            self.release()


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock `path`. Never takes it; no file means no."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, *_WHOLE_FILE))
    finally:
        os.close(descriptor)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def start_ticks(pid: int) -> int | None:
    """When process `pid` started, in clock ticks since boot (field 22 of /proc/PID/stat); None if it does not live.

    With the pid it names one process for ever: pids are used again, the pair is not. A zombie does not live.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()  # the name before it may hold anything, even ')'
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _lock(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, *_WHOLE_FILE))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _noted_pid(descriptor: int) -> int:
    noted = os.pread(descriptor, 64, 0).split()
    return int(noted[0]) if noted and noted[0].isdigit() else 0


def _is_file_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def end_with(parent_pid: int, signal_number: int) -> None:
    """Have the kernel send this process `signal_number` when its parent ends; ProcessLookupError if it has already.

    The order matters: first the wish, then the look at who the parent is, so that no death falls between the two.
    The kernel means the parent *thread*: a parent starts such children from a thread that lives as long as it does.
    """
    _prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent_pid:
        raise ProcessLookupError(errno.ESRCH, f"the parent, process {parent_pid}, has ended")


def adopt_orphans() -> None:
    """Make this process the parent of those below it whose own parent ends (a child subreaper)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")
