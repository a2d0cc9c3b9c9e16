"""A process of the supervisor's, held by a pidfd: waited for, told, and reaped without ever naming a wrong one.

The environment of each is a list of what it may have, not of what it may not: so no secret gets into a worker, the
simulator or the fork server, whatever the user's shell holds.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping
from typing import IO

from ..tables import KEY_VARIABLE, USER_VARIABLE
from .decide import Death

_PLAIN = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "XDG_CACHE_HOME",
    "SHARDBOOK_SHM",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
)
_KEEPER_NICENESS = 10
_HISTORIAN_NICENESS = 19  # the lowest priority that there is
_PIPE_BYTES = 1 << 20  # what a process may ask for without privilege, by default
_ENGINE_TOO = (USER_VARIABLE, KEY_VARIABLE, "SSL_CERT_FILE", "SSL_CERT_DIR")


def plain_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the simulator, the fork server and so every worker get: nothing secret.

    One BLAS thread, because importing numpy would start several, and a process with threads must not be forked.
    """
    return {key: environ[key] for key in _PLAIN if key in environ} | {"OPENBLAS_NUM_THREADS": "1"}


def engine_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the engine gets: the same, and the credentials."""
    return plain_environment(environ) | {key: environ[key] for key in _ENGINE_TOO if key in environ}


class Child:
    """One living process; `pidfd` is readable from the moment it is dead."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd

    def tell(self, signal_number: int) -> None:
        """Send it a signal; nothing happens if it has just ended."""
        with contextlib.suppress(ProcessLookupError):  # its death is about to be seen
            signal.pidfd_send_signal(self.pidfd, signal_number)

    def reap(self) -> Death:
        """How it ended; to be called once, when `pidfd` is readable."""
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        assert result is not None
        os.close(self.pidfd)
        killed = result.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
        return Death(signal=result.si_status, status=0) if killed else Death(signal=0, status=result.si_status)


class Started(Child):
    """A child that was started with a command line; `stdin` and `stdout` are its pipes, as far as it has them."""

    def __init__(self, module: str, environment: dict[str, str], stdin: int, stdout: int) -> None:
        # A session of its own: a Ctrl-C at the terminal is for launch to act on.
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=stdin, stdout=stdout, env=environment, start_new_session=True
        )
        self.stdin: IO[bytes] | None = self._process.stdin
        self.stdout: IO[bytes] | None = self._process.stdout
        if self.stdin is not None:
            fcntl.fcntl(self.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        super().__init__(self._process.pid, os.pidfd_open(self._process.pid))

    def give(self, job: bytes) -> None:
        """Write its job to its standard input and close that. Nothing happens if it has ended."""
        self.say(job)
        assert self.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()

    def say(self, text: bytes) -> None:
        """Write to its standard input. Nothing happens if it has ended."""
        assert self.stdin is not None
        assert len(text) <= _PIPE_BYTES, len(text)  # so it fits, and nobody waits for the other to read
        with contextlib.suppress(BrokenPipeError):  # its death is about to be seen
            self.stdin.write(text)
            self.stdin.flush()

    @property
    def heard_all(self) -> bool:
        """Whether it has read what was said so far: who says on only then never fills the pipe of one that stands."""
        assert self.stdin is not None
        return fcntl.ioctl(self.stdin, termios.FIONREAD, bytes(4)) == bytes(4)

    def reap(self) -> Death:
        death = super().reap()
        self._process.returncode = -death.signal or death.status  # so that Popen asks no more
        for pipe in (self.stdin, self.stdout):
            if pipe is not None:
                pipe.close()
        return death


def start_engine(environ: Mapping[str, str]) -> Started:
    """The engine, which imports what it needs and then waits for its job."""
    return Started("engine", engine_environment(environ), subprocess.PIPE, subprocess.PIPE)


def start_player(environ: Mapping[str, str]) -> Started:
    """The player of a journal, in the engine's place: it waits for its job as that does, and has no secret."""
    return Started("engine.replayer", plain_environment(environ), subprocess.PIPE, subprocess.PIPE)


def start_simulator(environ: Mapping[str, str]) -> Started:
    """The simulator, which waits for its job and answers with its address."""
    return Started("engine.simulator", plain_environment(environ), subprocess.PIPE, subprocess.PIPE)


def start_keeper(environ: Mapping[str, str]) -> Started:
    """The keeper, which waits for its job and answers nothing: what it does is seen in its segment.

    It yields to all others: it imports for seconds while the first books fill, and has hours for all it does later.
    """
    keeper = Started("engine.keeper", plain_environment(environ), subprocess.PIPE, subprocess.DEVNULL)
    os.setpriority(os.PRIO_PROCESS, keeper.pid, _KEEPER_NICENESS)
    return keeper


def start_recorder(environ: Mapping[str, str]) -> Started:
    """The recorder, likewise, but all wait for it. While it imports, a SIGTERM waits until it listens (beside.py): what
    came in by then is written, and not given up."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        return Started("engine.recorder", plain_environment(environ), subprocess.PIPE, subprocess.DEVNULL)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_historian(environ: Mapping[str, str]) -> Started:
    """The historian, which waits for its job and answers nothing: it yields to the keeper too, from its imports on."""
    historian = Started("workers.historian", plain_environment(environ), subprocess.PIPE, subprocess.DEVNULL)
    os.setpriority(os.PRIO_PROCESS, historian.pid, _HISTORIAN_NICENESS)
    return historian
