"""When a recorded record is due: as long after the one before it as it was then, over the speed."""

from typing import Final

MAX_PAUSE_NS: Final = 1_000_000_000  # clock frames are recorded each 100 ms: without any for longer nobody recorded
FOREVER_NS: Final = (1 << 63) - 2


class Pace:
    """Times of day as they were recorded against a clock that goes on. Pure: `now_ns` is handed in.

    A pause in which nothing was recorded is not waited for, and who has fallen behind by as much goes on from there.
    """

    def __init__(self, speed: float | None, from_wall_ns: int | None) -> None:
        """`speed` None: all is due at once. What is from before `from_wall_ns` is due at once too."""
        self._speed = speed
        self._from_ns = from_wall_ns or 0
        self._since: tuple[int, int] | None = None  # the recorded time that was due, and when

    @property
    def free_ns(self) -> int:
        """What is recorded before that is due at once, whenever it is met."""
        return FOREVER_NS if self._speed is None else self._from_ns

    def due_ns(self, now_ns: int) -> int:
        """The recorded time through which all is due at `now_ns`."""
        if self._speed is None:
            return FOREVER_NS
        if self._since is None:
            return self._from_ns - 1
        recorded_ns, since_ns = self._since
        return max(self._from_ns - 1, recorded_ns + int((now_ns - since_ns) * self._speed))

    def meet(self, wall_ns: int, now_ns: int) -> None:
        """The next record is of `wall_ns`: say so before `due_ns` is asked."""
        if wall_ns >= self._from_ns and (self._since is None or abs(wall_ns - self.due_ns(now_ns)) > MAX_PAUSE_NS):
            self._since = wall_ns, now_ns

    def wait_ns(self, wall_ns: int, now_ns: int) -> int:
        """How long it is until a record of `wall_ns` is due."""
        missing_ns = wall_ns - self.due_ns(now_ns)
        return max(0, int(missing_ns / self._speed)) if self._speed else 0
