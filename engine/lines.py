"""What the supervisor says on the standard input of a process of the engine's: the job, and then what is new."""

import logging
import os
from typing import Final

MAX_LINE_BYTES: Final = 1 << 20  # the job is by far the longest
_READ_BYTES: Final = 1 << 16

_log = logging.getLogger(__name__)


class Lines:
    """The lines of a pipe: the first one is waited for, the others are taken as they come."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self.ended = False

    def fileno(self) -> int:
        return self._descriptor

    def wait(self) -> bytes:
        """The first line, or what there was of it when the pipe ended or had too much without an end."""
        while b"\n" not in self._rest and len(self._rest) <= MAX_LINE_BYTES and not self.ended:
            self._read()
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def take(self) -> list[bytes]:
        """The lines that are whole by now; does not wait, and from then on nothing here does."""
        os.set_blocking(self._descriptor, False)  # an event loop may say "readable" once more after all was read
        try:
            self._read()
        except BlockingIOError:
            return []
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            _log.error("the supervisor sent a line that never ends; it is thrown away")
            self._rest = b""
        return lines

    def _read(self) -> None:
        data = os.read(self._descriptor, _READ_BYTES)
        self.ended = not data
        self._rest += data
