"""The newest record of contract and increments and of trading hours of each ring: what a new file begins with.

They come once, and hold until the next of their kind; without them nothing that follows can be read. So a file that
has them does not need the files before it, which retention deletes.
"""

from collections.abc import Iterable, Iterator

from shm.journal_entries import Head, Standing, standing


class Heads:
    """Of each lane its standing records, in the order of their sequences."""

    def __init__(self, known: Iterable[Head] = ()) -> None:
        self._records: dict[int, dict[int, Standing]] = {}
        for head in known:
            self.take(head.lane, standing(head.data))

    def take(self, lane: int, records: Iterable[Standing]) -> bool:
        """Records of a lane in their order; whether one of them is newer than what was known."""
        known = self._records.setdefault(lane, {})
        is_newer = False
        for record in records:
            if record.kind not in known or record.sequence > known[record.kind].sequence:
                known.pop(record.kind, None)
                known[record.kind] = record  # the last one now
                is_newer = True
        return is_newer

    def forget(self, lane: int) -> None:
        self._records.pop(lane, None)

    def head(self, lane: int, position: int) -> Head:
        """What stands at that position of the lane's ring."""
        return Head(lane, position, memoryview(b"".join(each.data for each in self._records[lane].values())))

    def lanes(self) -> Iterator[int]:
        """Those of which there is something."""
        return (lane for lane, records in self._records.items() if records)
