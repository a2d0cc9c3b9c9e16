"""Time as an input: a clock frame into every ring each 100 ms, and the word "paused" when our own tick was late.

A worker asks nobody for the time, so a book stays live only while clock frames come. An engine that was stopped or
starved does not know what the venue did meanwhile: it says so in every ring first, and only then lets time go on.
Data is put in by the socket's callbacks, which may run before the late tick; so the router asks `notice` as well,
before the first message of each batch.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from shm.layout import Reason

from .page import Page

TICK_NS: Final = 100_000_000
LATE_NS: Final = 500_000_000


class Ring(Protocol):
    """What a clock needs of a ring."""

    def gap(self, reason: Reason) -> None: ...
    def clock(self) -> bool: ...
    def publish(self) -> bool: ...


class Clock:
    """`now_ns` is CLOCK_BOOTTIME, which goes on in suspend."""

    def __init__(self, rings: Sequence[Ring], page: Page, now_ns: Callable[[], int]) -> None:
        self._rings = list(rings)
        self._page = page
        self._now_ns = now_ns
        self._due_ns = now_ns() + TICK_NS

    def add(self, ring: Ring) -> None:
        """One more ring."""
        self._rings.append(ring)

    def remove(self, ring: Ring) -> None:
        """A ring from which the time shall be heard no more."""
        self._rings.remove(ring)

    def tick(self) -> None:
        """Write a clock frame into every ring and make it visible; alone it wakes nobody."""
        now_ns = self._now_ns()
        self.notice(now_ns)
        for ring in self._rings:
            ring.clock()
            ring.publish()
        self._due_ns = now_ns + TICK_NS
        self._page.add("heartbeat")
        self._page.set("tick_ns", now_ns)

    def notice(self, now_ns: int) -> None:
        """Put a gap into every ring if the tick that is due is late by LATE_NS or more."""
        if now_ns - self._due_ns < LATE_NS:
            return
        self._due_ns = now_ns + TICK_NS
        self._page.add("pauses")
        for ring in self._rings:
            ring.gap(Reason.ENGINE_PAUSED)
