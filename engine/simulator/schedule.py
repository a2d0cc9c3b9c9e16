"""When a record is due: an open-loop schedule, which asks nobody whether the receiver keeps up.

A flow's `due` says what must have been reached before a record may go; here that measure is worked out from the
time that has passed, and back. Pure: seconds in, record numbers out.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

from .flow import Flow


@dataclass(slots=True)
class Schedule:
    """units_per_s: depth entries a second for a generated flow; for a recorded one nanoseconds of its own time a
    second of ours, and infinite for as fast as the clients take it. lead: units by which this contract is ahead, so
    that at low rates contracts do not all speak at once."""

    flow: Flow
    units_per_s: float
    lead: float = 0.0
    unpaced: bool = field(init=False)
    _due: list[int] = field(init=False, repr=False)  # a list: a thousand times a second, numpy's overhead would count

    def __post_init__(self) -> None:
        self.unpaced = self.units_per_s == float("inf")
        self._due = self.flow.due.tolist()

    def due(self, elapsed_s: float) -> int:
        """Records, over all loops, that should have been sent `elapsed_s` after the start."""
        if self.unpaced:
            return len(self._due)
        loops, rest = self._split(elapsed_s * self.units_per_s + self.lead)
        return loops * len(self._due) + bisect_right(self._due, rest)

    def due_at(self, record: int) -> float:
        """Seconds after the start at which running record number `record` is due; infinite behind a flow's end."""
        loops, index = divmod(record, len(self._due))
        if loops and not self.flow.loops:
            return float("inf")
        if self.unpaced:
            return 0.0
        return (loops * self.flow.span + self._due[index] - self.lead) / self.units_per_s

    def _split(self, units: float) -> tuple[int, float]:
        if not self.flow.loops:
            return 0, units
        loops, rest = divmod(units, self.flow.span)
        return int(loops), rest
