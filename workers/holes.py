"""Since when a journal lacks records of one instrument: for whoever runs its stretches, in order.

Records are missing where a stretch was lost, before a ring whose beginning is not there, and behind the last record of
an engine that was killed together with its recorder. What is known of when is the time of the record before, and of
the first one behind. The file with which an engine ended in order shows as finished, so one that was deleted from
there on, up to the next engine's, shows nowhere.
"""

from shm.errors import Hole
from shm.journal import JournalFile, parse_name
from shm.past_rows import Through
from shm.stretches import Stream, Stretch


class Holes:
    """How far the records go, and the hole that they are in."""

    def __init__(self, from_ns: int | None) -> None:
        """`from_ns`: since when records are missing that come before the first one; None: nobody asks for those."""
        self.through = Through(Stream(0, 0), 0, 0)  # the last record that was run
        self.from_ns = from_ns  # of the hole; None: in none
        self.is_blind = False  # behind that hole the book is not known
        self._is_finished: dict[int, bool] = {}  # by generation, the newest file of it

    def leave(self, file: JournalFile) -> None:
        """All of a file was read. One without a header was begun, and its name says by whom."""
        if (name := file.name or parse_name(file.path.name)) is not None:
            self._is_finished[name.generation] = file.finished

    def enter(self, stretch: Stretch) -> None:
        """Another ring, which begins with nothing; of the one before all is there, if its engine ended in order."""
        before = self.through
        generation, _ = before.stream
        is_cut = generation != stretch.stream.generation and not self._is_finished.get(generation, False)
        if stretch.begin > 0:
            self.miss(is_blind=True)
        elif before.sequence and is_cut:
            self.miss(is_blind=False)
        self.is_blind = self.from_ns is not None and stretch.begin > 0
        self.through = before._replace(stream=stretch.stream)

    def miss(self, *, is_blind: bool) -> None:
        """Behind the last record some are missing."""
        if self.from_ns is None and self.through.sequence:
            self.from_ns = self.through.wall_ns
        self.is_blind = self.is_blind or is_blind

    def close(self, wall_ns: int) -> Hole | None:
        """From `wall_ns` on all is known: the hole, if there was one."""
        from_ns, self.from_ns, self.is_blind = self.from_ns, None, False
        return None if from_ns is None else Hole(from_ns, wall_ns)
