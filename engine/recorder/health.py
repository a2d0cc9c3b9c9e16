"""Whether the disk takes what is recorded, why not, and when it is tried again: decisions on values, no clock.

`full` is apart from `broken` because a person mends them differently, and because a full disk leaves a file as it was:
the same place of it is written again. After any other error nobody knows what of the file is on disk, so it is closed
for good and the next try makes a new one. `stalled` is a disk that answers, but too late.
"""

import errno
from enum import IntEnum
from typing import Final

STALLED_NS: Final = 1_000_000_000  # of a turn that comes late: ten times what a turn waits for
FIRST_DELAY_NS: Final = 250_000_000
MAX_DELAY_NS: Final = 10_000_000_000

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class State(IntEnum):
    RECORDING = 1
    STALLED = 2
    FULL = 3
    BROKEN = 4


class Health:
    """The state, and `why` in the system's words while it is full or broken. Times are CLOCK_BOOTTIME."""

    def __init__(self) -> None:
        self.state = State.RECORDING
        self.why = ""
        self._delay_ns = FIRST_DELAY_NS
        self._retry_at_ns = 0
        self._turned_ns: int | None = None

    @property
    def is_writable(self) -> bool:
        return self.state in (State.RECORDING, State.STALLED)

    def may_try(self, now_ns: int) -> bool:
        return self.is_writable or now_ns >= self._retry_at_ns

    def turned(self, now_ns: int) -> None:
        """A turn of the recorder's loop began. It waits for nothing but its disk, so a late one is the disk's."""
        late = self._turned_ns is not None and now_ns - self._turned_ns > STALLED_NS
        self._turned_ns = now_ns
        if self.is_writable:
            self.state = State.STALLED if late else State.RECORDING

    def wrote(self) -> None:
        """A block was taken."""
        if not self.is_writable:
            self.state, self.why = State.RECORDING, ""
        self._delay_ns = FIRST_DELAY_NS

    def failed(self, error: OSError, now_ns: int) -> None:
        """A call that recording cannot go on without raised `error`."""
        self.state = State.FULL if error.errno in _FULL else State.BROKEN
        self.why = error.strerror or str(error)
        self._retry_at_ns = now_ns + self._delay_ns
        self._delay_ns = min(2 * self._delay_ns, MAX_DELAY_NS)
