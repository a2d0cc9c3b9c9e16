"""Where the journal ends and memory goes on: the rows of both, each once, by their keys.

A journal is behind memory by what its recorder gathers, a tenth of a second; a broadcast ring has its newest rows only.
They meet if the oldest row of the ring is no newer than the journal's last record, or the ring has all rows since it
was made. Everything here is a decision on values; who waits for the journal is stream.py.
"""

from typing import NamedTuple

import numpy as np

from .errors import Hole
from .layout import Rows
from .past_rows import DTYPES, Part, PastRows, Through
from .values import Scale


class Kept(NamedTuple):
    """The rows that a broadcast ring held, and how many had been overwritten."""

    stream: tuple[int, int]  # generation and making of its segment
    region: str
    rows: Rows  # layout.TRADE or QUOTE
    overwritten: int
    scale: Scale
    wall_less_recv_ns: int  # the time of day less the machine's uptime, at the newest publication

    def meets(self, through: Through) -> bool:
        """Whether no row can lie behind the journal's end and before these."""
        if through.sequence == 0 or through.stream != self.stream:  # rows of the ring before this one may be due
            return False
        return self.overwritten == 0 or bool(len(self.rows) and self.rows["sequence"][0] <= through.sequence)

    def part(self, through: Through, start_ns: int) -> Part:
        """The rows that the journal does not have, of those that were received from `start_ns` on."""
        new = self.rows[self.rows["sequence"] > through.sequence]
        rows = np.zeros(len(new), DTYPES[self.region])
        for name in new.dtype.names or ():
            rows[name] = new[name]
        rows["wall_ns"] = rows["recv_ns"] + self.wall_less_recv_ns
        return Part(self.scale, rows[rows["wall_ns"] >= start_ns])

    def holes(self, past: PastRows, start_ns: int, now_ns: int) -> list[Hole]:
        """Where rows are missing in the two together. `now_ns`: the time of day."""
        through = past.through
        if self.meets(through):
            return [hole for hole in past.holes if hole.from_ns < through.wall_ns]  # what is behind the end is here
        oldest_ns = int(self.rows["recv_ns"][0]) + self.wall_less_recv_ns if len(self.rows) else now_ns
        begin_ns = max(start_ns, through.wall_ns)
        return [*_closed(past), *([Hole(begin_ns, oldest_ns)] if oldest_ns > begin_ns else [])]


def longer(past: PastRows, more: PastRows) -> PastRows:
    """`past`, and what the journal has behind its end; `more` may begin before that."""
    known = past.through
    if more.through.sequence <= known.sequence:
        return past
    parts = [Part(part.scale, part.rows[part.rows["sequence"] > known.sequence]) for part in more.parts]
    holes = [*_closed(past), *(hole for hole in more.holes if hole.to_ns > known.wall_ns)]
    return PastRows([*past.parts, *(part for part in parts if len(part.rows))], holes, more.through)


def _closed(past: PastRows) -> list[Hole]:
    """The holes that end before the journal does: of others it is told again when it is longer."""
    return [hole for hole in past.holes if hole.to_ns <= past.through.wall_ns]
