"""When a record is due: an open-loop schedule, which asks nobody whether the receiver keeps up.

A flow's `due` says what must have been reached before a record may go; here that measure is worked out from the
time that has passed, and back. A generated flow may come in a rhythm: quiet hours and bursts of ten times the mean,
on a clock on which a day takes two minutes. Pure: seconds in, record numbers out.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

from .flow import Flow


class Rhythm:
    """A rate that repeats itself: steps of (seconds, times the mean). Over a whole cycle the mean is kept.

    Raises ValueError if it is not kept, or if a step stands still: then no time would have a record of its own.
    """

    def __init__(self, steps: tuple[tuple[float, float], ...]) -> None:
        self.cycle_s = sum(seconds for seconds, _ in steps)
        if min(min(step) for step in steps) <= 0:
            raise ValueError("every step of a rhythm takes time and goes on")
        self._times = [0.0, *accumulate(seconds for seconds, _ in steps)]
        self._done = [0.0, *accumulate(seconds * times for seconds, times in steps)]
        if abs(self._done[-1] - self.cycle_s) > 1e-9 * self.cycle_s:
            raise ValueError(f"a rhythm of {self.cycle_s} s does the work of {self._done[-1]} s of its mean")

    def mean_s(self, elapsed_s: float) -> float:
        """How many seconds at the mean rate do what this does in the first `elapsed_s`."""
        return self._turn(elapsed_s, self._times, self._done)

    def elapsed_s(self, mean_s: float) -> float:
        """The inverse."""
        return self._turn(mean_s, self._done, self._times)

    def _turn(self, value: float, given: list[float], wanted: list[float]) -> float:
        cycles, rest = divmod(value, self.cycle_s)
        step = min(bisect_right(given, rest), len(given) - 1)
        share = (rest - given[step - 1]) / (given[step] - given[step - 1])
        return cycles * self.cycle_s + wanted[step - 1] + share * (wanted[step] - wanted[step - 1])


_QUIET, _BURST = 0.01, 10.0
_USUAL = (120 - 6 * _BURST - 40 * _QUIET) / 74  # what keeps the mean
BURSTS = Rhythm(((10, _USUAL), (3, _BURST), (44, _USUAL), (3, _BURST), (20, _USUAL), (40, _QUIET)))


@dataclass(slots=True)
class Schedule:
    """units_per_s: depth entries a second for a generated flow; for a recorded one nanoseconds of its own time a
    second of ours, and infinite for as fast as the clients take it. lead: units by which this contract is ahead, so
    that at low rates contracts do not all speak at once. rhythm: how a generated flow's rate comes and goes."""

    flow: Flow
    units_per_s: float
    lead: float = 0.0
    rhythm: Rhythm | None = None
    unpaced: bool = field(init=False)
    _due: list[int] = field(init=False, repr=False)  # a list: a thousand times a second, numpy's overhead would count

    def __post_init__(self) -> None:
        self.unpaced = self.units_per_s == float("inf")
        self._due = self.flow.due.tolist()

    def due(self, elapsed_s: float) -> int:
        """Records, over all loops, that should have been sent `elapsed_s` after the start."""
        if self.unpaced:
            return len(self._due)
        mean_s = self.rhythm.mean_s(elapsed_s) if self.rhythm else elapsed_s
        loops, rest = self._split(mean_s * self.units_per_s + self.lead)
        return loops * len(self._due) + bisect_right(self._due, rest)

    def due_at(self, record: int) -> float:
        """Seconds after the start at which running record number `record` is due; infinite behind a flow's end."""
        loops, index = divmod(record, len(self._due))
        if loops and not self.flow.loops:
            return float("inf")
        if self.unpaced:
            return 0.0
        mean_s = (loops * self.flow.span + self._due[index] - self.lead) / self.units_per_s
        return self.rhythm.elapsed_s(mean_s) if self.rhythm else mean_s

    def _split(self, units: float) -> tuple[int, float]:
        if not self.flow.loops:
            return 0, units
        loops, rest = divmod(units, self.flow.span)
        return int(loops), rest
