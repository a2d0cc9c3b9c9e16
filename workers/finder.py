"""The book of one instrument after any record of a journal folder.

By receive time, and by the venue's stamp, the record meant is the last one, in the journal's order, after which that
stamp is at or before the time. Clocks may have been set back, and a snapshot carries the stamp of what it shows: so
files and intervals are looked at from the newest one back, until one has such a record.

Files with waypoints (waypoints.py) are run for one interval only. Of the others, such as the one being written, the
passages are made here, and a few of them kept.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from shm.errors import JournalDamaged, NotRecorded
from shm.joined import joined_from
from shm.journal import JournalFile, journal_files
from shm.past import By
from shm.quarantine import SetAside, noted, set_aside
from shm.stretches import StretchReader

from . import waypoints
from .passage import Interval, Passage, apply
from .recovery import Checkpoint
from .waypoints import Ways

MAX_PASSAGES: Final = 8  # each with a book and a ring: some 20 MiB


class Found(NamedTuple):
    checkpoint: Checkpoint
    wall_ns: int  # when the record was received


class Finder:
    """Looks at the folder anew each time it is asked: files come, grow and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._passages: OrderedDict[tuple[str, str], Passage] = OrderedDict()
        self._set_aside: SetAside = {}

    def book_at(self, symbol: str, time_ns: int, by: By) -> Found:
        """The book after the last record at or before `time_ns`, by its receive time or the venue's stamp.

        Raises NotRecorded if there is none, JournalDamaged if it may lie in a damaged file; OSError passes.
        """
        files = self.files()
        end = len(files)
        while by == By.RECEIVE and end > 1 and _begins_after(files[end - 2], time_ns):
            end -= 1  # and the file after is looked at: that records before it are missing shows there
        for number in reversed(range(end)):
            try:
                with JournalFile(files[number]) as file:
                    found = self._find(files[: number + 1], file, symbol, time_ns, by)
            except FileNotFoundError:  # too old, and deleted since
                break
            except JournalDamaged:
                if by == By.RECEIVE and _begins_after(files[number], time_ns):
                    continue
                raise
            if found is None:
                continue
            if number > 0 and _begins_after(files[number], found.wall_ns):  # all that is known is that some is missing
                self._require_whole(files[:number], symbol)
            return found
        raise NotRecorded(f"no record of {symbol} at or before that time is in {self.folder}")

    def files(self) -> list[Path]:
        """Those of the folder, and what is to be left out of them is known from now on."""
        files = journal_files(self.folder)
        if self._set_aside != (known := set_aside(files)):
            self._set_aside = known
            self._passages.clear()  # they may have run what is to be left out
        return files

    def left_out(self, symbol: str) -> Sequence[int]:
        """Sequences that its worker set aside, as of the last `files`."""
        return self._set_aside.get(symbol, ())

    def _find(self, files: list[Path], file: JournalFile, symbol: str, time_ns: int, by: By) -> Found | None:
        intervals = self.ways(files, file, symbol).intervals
        for i in reversed(range(len(intervals))):
            interval = intervals[i]
            if (interval.least_wall_ns, interval.least_venue_ns)[by] <= time_ns:
                following = intervals[i + 1] if i + 1 < len(intervals) else None
                return _run(file, symbol, interval, following, time_ns, by, self.left_out(symbol))
        return None

    def _require_whole(self, files: list[Path], symbol: str) -> None:
        """Raise JournalDamaged if what is missing may lie in the last of the files."""
        with suppress(FileNotFoundError), JournalFile(files[-1]) as file:
            self.ways(files, file, symbol)

    def ways(self, files: list[Path], file: JournalFile, symbol: str) -> Ways:
        """Of `file`, the last one of `files`."""
        ways = waypoints.read(file.path, file.bytes, symbol)
        if ways is not None:
            return ways
        passage = self._passages.get((file.path.name, symbol))
        if passage is None:
            passage = self._passage(symbol, self._carried(files[:-1], symbol))
        self._advance(passage, file, symbol)
        return Ways(passage.intervals, passage.carried)

    def _carried(self, files: list[Path], symbol: str) -> Interval | None:
        """How these files end: from the newest whose end is known, through all behind it.

        Damaged ones and those that are gone are left out: what is missing shows by the positions.
        """
        carried, known = None, 0
        for number in reversed(range(len(files))):
            ways = self._known(files[number], symbol)
            if ways is not None:
                carried, known = ways.carried, number + 1
                break
        for path in files[known:]:
            try:
                with JournalFile(path) as file:
                    passage = self._passage(symbol, carried)
                    self._advance(passage, file, symbol)
            except (JournalDamaged, FileNotFoundError):
                continue
            carried = passage.carried
        return carried

    def _known(self, path: Path, symbol: str) -> Ways | None:
        try:
            with JournalFile(path) as file:
                passage = self._passages.get((path.name, symbol))
                if passage is None:
                    return waypoints.read(path, file.bytes, symbol)
                self._advance(passage, file, symbol)
                return Ways(passage.intervals, passage.carried)
        except (JournalDamaged, FileNotFoundError):
            return None

    def _passage(self, symbol: str, carried: Interval | None) -> Passage:
        return Passage(symbol, carried, self.left_out(symbol))

    def _advance(self, passage: Passage, file: JournalFile, symbol: str) -> None:
        """Run what is new in the file, and keep the passage as the last that is let go. Raises JournalDamaged, for a
        file too that is known to kill who runs it."""
        if why := noted(file.path, file.bytes, self._set_aside):
            raise JournalDamaged(f"{file.path} cannot be run: {why}")
        passage.advance(file)
        self._passages[file.path.name, symbol] = passage
        self._passages.move_to_end((file.path.name, symbol))
        while len(self._passages) > MAX_PASSAGES:
            self._passages.popitem(last=False)


def _begins_after(path: Path, time_ns: int) -> bool:
    """Whether all that it has was received after that time; False if it is damaged, because nobody knows."""
    try:
        with JournalFile(path) as file:
            return all(block.first_wall_ns > time_ns for block in file.blocks if block.last_wall_ns)
    except JournalDamaged:
        return False
    except FileNotFoundError:
        return True


def _run(
    file: JournalFile,
    symbol: str,
    interval: Interval,
    following: Interval | None,
    time_ns: int,
    by: By,
    left_out: Sequence[int],
) -> Found:
    """Twice: to see which record it is, and up to it."""
    end = (following.stream, following.position) if following else None
    rerun = interval.begin(left_out)
    stretches = []
    stamps = []
    for stretch in StretchReader(symbol, interval.stream, interval.position).read(joined_from(file, interval.block)):
        if end is not None and (stretch.stream, stretch.begin) >= end:
            break
        stretches.append(stretch)
        stamps.append(apply(rerun, stretch)[:, by])
    times = np.concatenate(stamps)
    left = int(np.flatnonzero((times > 0) & (times <= time_ns))[-1]) + 1
    rerun = interval.begin(left_out)
    for stretch in stretches:
        left -= len(apply(rerun, stretch, left))
        if left == 0:
            break
    return Found(rerun.checkpoint(), int(rerun.memory.state["wall_ns"][0]))
