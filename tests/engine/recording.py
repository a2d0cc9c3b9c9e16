"""A ring that remembers, in order, what was done to it; and a page of counters in private memory."""

import numpy as np

from engine.page import Page
from shm import layout
from shm.layout import Reason


class RecordingRing:
    """Stands in for RingWriter. `done` holds ("gap", reason), ("push", bytes), ("clock",), ("configure", bytes),
    ("publish",); `full` makes it drop and refuse as a full ring does."""

    def __init__(self, fresh: bool = True) -> None:
        self.done: list[tuple[object, ...]] = []
        self.fresh = fresh
        self.words = None
        self.full = False
        self.resync_wanted = 0
        self.delivered = 0
        self.dropped = 0

    def push(self, payload: bytes) -> bool:
        self.delivered += 1
        if self.full:
            self.dropped += 1
            return False
        self.done.append(("push", payload))
        return True

    def gap(self, reason: Reason) -> None:
        self.done.append(("gap", reason))

    def clock(self) -> bool:
        if not self.full:
            self.done.append(("clock",))
        return not self.full

    def configure(self, config: bytes) -> bool:
        if not self.full:
            self.done.append(("configure", config))
        return not self.full

    def publish(self) -> bool:
        self.done.append(("publish",))
        return False

    @property
    def gaps(self) -> list[Reason]:
        return [step[1] for step in self.done if step[0] == "gap"]  # type: ignore[misc]

    @property
    def pushed(self) -> list[bytes]:
        return [step[1] for step in self.done if step[0] == "push"]  # type: ignore[misc]


def page() -> Page:
    """A page of private memory."""
    return Page(np.zeros(layout.engine_regions()["words"].shape, layout.WORDS))
