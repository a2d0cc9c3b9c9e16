"""A started engine as its launcher holds it: one child, the supervisor, its job on stdin and its events on stdout.

The credentials go into this child's environment and nowhere else: not into the job, not onto the command line.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .config import Credentials
from .tables import KEY_VARIABLE, USER_VARIABLE

STOP_LIMIT_S = 30.0  # the supervisor gives each of its parts 3 s and then kills it
MAX_LINE_BYTES = 1 << 20
LOG_TAIL_BYTES = 1 << 14

TOP = Path(__file__).resolve().parent.parent  # `python -m` finds the three packages from here, wherever we were called


class Supervised:
    """The supervisor's process, and the log that it and all of its children write to."""

    def __init__(
        self, job: Mapping[str, Any], credentials: Credentials | None, environ: Mapping[str, str], log_file: Path
    ) -> None:
        """`credentials` None: nobody is to log in.

        `log_file` is appended to; a file, because a pipe that nobody reads would one day stop the engine.
        """
        self.log_file = log_file
        own = dict(environ)
        if credentials is not None:
            own |= {USER_VARIABLE: credentials.user_name, KEY_VARIABLE: credentials.api_key}
        own["OPENBLAS_NUM_THREADS"] = "1"  # importing numpy starts threads otherwise, and the supervisor has one
        with open(log_file, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
            self._log_begins = os.fstat(log.fileno()).st_size
            # A session of its own: a Ctrl-C at the terminal is for launch to act on, and to act in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.supervisor"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=own,
                cwd=TOP,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(dict(job)).encode())
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it ended at once; its end is seen by who reads the events
        self._events = self._process.stdout.fileno()
        os.set_blocking(self._events, False)
        self._rest = b""
        self._ended = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def events(self, timeout_s: float) -> list[dict[str, Any]]:
        """What the supervisor has said since; waits at most `timeout_s` for the first of it, or for its end."""
        if not self._ended:
            with selectors.DefaultSelector() as selector:
                selector.register(self._events, selectors.EVENT_READ)
                selector.select(timeout_s)
        found = []
        while not self._ended:
            try:
                data = os.read(self._events, 1 << 16)
            except BlockingIOError:
                break
            self._ended = not data
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > MAX_LINE_BYTES:
                raise ValueError("the supervisor wrote a line that never ends")
            found += [json.loads(line) for line in lines if line]
        return found

    def last_warning(self) -> str:
        """What its log says last of a thing that did not work; empty if all did since the start, or it is long ago."""
        try:
            with open(self.log_file, "rb") as log:
                log.seek(max(self._log_begins, os.fstat(log.fileno()).st_size - LOG_TAIL_BYTES))
                lines = log.read(LOG_TAIL_BYTES).decode(errors="replace").splitlines()
        except OSError:
            return ""
        return next((line.partition(" WARNING ")[2] for line in reversed(lines) if " WARNING " in line), "")

    def stop(self) -> list[dict[str, Any]]:
        """End the engine: SIGTERM, which ends it part by part; SIGKILL after STOP_LIMIT_S. Its last events.

        Who was killed could not say so: the event `killed` {pid, after_s} is said in its place. All its parts end with
        it within seconds; the folder of its segments is swept by the next start of that name.
        """
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        events = []
        limit_s = time.monotonic() + STOP_LIMIT_S
        while not self._ended and time.monotonic() < limit_s:
            events += self.events(0.2)
        try:
            self._process.wait(max(0.1, limit_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()  # all its children die with it, by PR_SET_PDEATHSIG
            self._process.wait()
            events.append({"event": "killed", "pid": self.pid, "after_s": STOP_LIMIT_S})
        assert self._process.stdout is not None
        self._process.stdout.close()
        return events
