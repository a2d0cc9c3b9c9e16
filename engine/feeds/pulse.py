"""The signs of life of a hub's websocket: when we give one, and when theirs has been missing for too long. Pure.

Time is counted in our own polls, and one poll counts for MAX_STEP_NS at most: a pause of this process is nobody
else's silence.
"""

from enum import Enum
from typing import Final

POLL_S: Final = 0.02
MAX_STEP_NS: Final = 100_000_000
_MS: Final = 1_000_000


class Beat(Enum):
    """What is due at a poll."""

    NOTHING = "nothing"
    PING = "ping"
    SILENT = "silent"  # nothing came for so long that nothing will


class Pulse:
    """Of one feed: `connect` for each of its connections, then `poll` each POLL_S."""

    def __init__(self, silence_ms: int, ping_interval_ms: int) -> None:
        self._silence_ns = silence_ms * _MS
        self._ping_ns = ping_interval_ms * _MS
        self._polled_ns = self._heard_ns = self._pinged_ns = 0
        self.own_ns = 0  # the time of our polls; it goes on from connection to connection

    def connect(self, now_ns: int) -> None:
        """A new connection: both sides have just been heard."""
        self._polled_ns = now_ns
        self._heard_ns = self._pinged_ns = self.own_ns

    def poll(self, now_ns: int, *, heard: bool) -> Beat:
        """`heard`: whether anything came since the last one."""
        self.own_ns += min(now_ns - self._polled_ns, MAX_STEP_NS)
        self._polled_ns = now_ns
        if heard:
            self._heard_ns = self.own_ns
        if self.own_ns - self._heard_ns >= self._silence_ns:
            return Beat.SILENT
        if self.own_ns - self._pinged_ns >= self._ping_ns:
            self._pinged_ns = self.own_ns
            return Beat.PING
        return Beat.NOTHING
