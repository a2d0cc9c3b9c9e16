"""The supervisor's own ring of events: the writing side, in plain Python, because events of processes are rare.

The order is that of rows.py: intent, row, count; then "anything changed" is bumped, so that who waits looks. On
x86-64 stores are seen in program order; elsewhere a fence stands where they must be. One process writes a log, the one
that made its segment.
"""

import time

from . import layout
from .layout import EVENT, EVENT_COUNT, EVENT_INTENT, EventKind
from .page import ORDERED_LOADS
from .segment import Segment
from .wake import bump

if ORDERED_LOADS:

    def store_fence() -> None:
        """Nothing: on this machine stores are seen in program order too."""

else:
    from .fenced import store_fence

_TEXT_BYTES = EVENT["text"].itemsize


class EventLog:
    """Where the supervisor says what befell the processes of its engine."""

    __slots__ = ("_changed", "_control", "_rows")

    def __init__(self, events: Segment, changed: Segment) -> None:
        """Writable segments of the kinds EVENTS and CHANGED."""
        self._control = events.array("control")
        self._rows = events.array("events")
        self._changed = changed.array("words")

    def say(
        self,
        kind: EventKind,
        symbol: str = "",
        *,
        who: str = "",
        why: str = "",
        pid: int = 0,
        count: int = 0,
        sequence: int = 0,
        from_wall_ns: int = 0,
    ) -> None:
        """One event, now. `symbol`: the instrument that it is of; "" for one of the engine as a whole.

        `who`: the part it is about, such as "worker". `why`: one sentence; of more than 80 bytes the rest is cut off.
        `sequence`: the ring record that is set aside. `from_wall_ns`: when that began which ends with this event.
        """
        number = int(self._control[EVENT_COUNT])
        self._control[EVENT_INTENT] = number + 1
        store_fence()
        row = self._rows[number % len(self._rows)]
        row["sequence"], row["place"] = number + 1, 0
        row["kind"], row["reason"] = int(kind), int(layout.Reason.NONE)
        row["wall_ns"] = time.clock_gettime_ns(time.CLOCK_REALTIME)
        row["recv_ns"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        row["from_sequence"], row["from_wall_ns"] = sequence, from_wall_ns
        row["count"], row["pid"] = count, pid
        row["symbol"], row["subject"], row["text"] = symbol.encode(), who.encode(), _cut(why)
        store_fence()
        self._control[EVENT_COUNT] = number + 1
        bump(self._changed, 0)


def _cut(text: str) -> bytes:
    """As much of it as a row has room for, in whole characters."""
    return text.encode()[:_TEXT_BYTES].decode(errors="ignore").encode()
