"""What could not be written down: added up for each ring, until a mark of it is on disk."""

from collections.abc import Mapping

from shm.journal_entries import Dropped, Entry, Head, Lane, Loss, Piece, Span


class Losses:
    """What could not be written, of each ring from where to where, until a mark of it is on disk."""

    def __init__(self) -> None:
        self._lost: dict[Lane, Loss] = {}

    def note(self, lanes: Mapping[int, Lane], entry: Entry, ends: Span | None) -> None:
        """Add what is missing if `entry` is; nothing is if it is a lane or a head, told again whenever they must be."""
        if isinstance(entry, Lane | Head):
            return
        if isinstance(entry, Piece):
            sequences = (ends.first_sequence, ends.last_sequence) if ends else (0, 0)
            loss = Loss(entry.lane, entry.begin, entry.end, *sequences)
        elif isinstance(entry, Dropped):
            loss = Loss(entry.lane, -1, -1, entry.sequence, entry.sequence)
        else:
            loss = entry
        self.add(lanes.get(entry.lane, Lane(entry.lane, "", 0, 0, 0)), loss)

    def add(self, lane: Lane, loss: Loss) -> None:
        before = self._lost.get(lane, loss)
        begin = min((each.begin for each in (before, loss) if each.begin >= 0), default=-1)
        end = max(before.end, loss.end)
        first = min((each.first_sequence for each in (before, loss) if each.last_sequence), default=0)
        last = max(before.last_sequence, loss.last_sequence)
        self._lost[lane] = Loss(lane.lane, begin, end, first, last)

    def take(self, others: "Losses") -> None:
        """Add all of `others`, and leave them empty."""
        for lane, loss in others._lost.items():
            self.add(lane, loss)
        others.clear()

    def marks(self) -> list[Entry]:
        """Entries that tell it: each loss behind the lane that it is of."""
        return [entry for lane, loss in self._lost.items() for entry in (lane, loss)]

    def clear(self) -> None:
        self._lost.clear()
