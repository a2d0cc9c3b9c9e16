"""The sealed bars of one timeframe of one instrument: rows become files, files become fewer, old ones go.

One process writes to a folder at a time. Every change is one rename, synced, so each can be killed or lose its power
at any step: the folder then holds the old state or the new one, and every row once (shm/sealed.py says how a reader
knows). After `seal` returned, its rows survive a power loss, and only then may `sealed to` be stored.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from shm.bars_frame import check_schema, frame, keep_highest
from shm.errors import LayoutError
from shm.sealed import (
    FETCHED,
    FILE_NUMBERS_BITS,
    LIVE,
    MAX_FILE_ROWS,
    Listing,
    Name,
    Sealed,
    listing,
    parse_name,
    verify,
)

from . import compaction, retention
from .disk import Disk, put
from .retention import Limits
from .sealing import Subject, check_columns, file_bytes


class Store:
    """The folder `<data>/bars/<SYMBOL>/<timeframe>`, made if it is not there, and recovered."""

    def __init__(self, folder: Path, subject: Subject, disk: Disk | None = None) -> None:
        self.folder = folder
        self.subject = subject
        self._disk = disk or Disk()
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for made in (folder, *list(folder.parents)[:2]):  # the timeframe's, the instrument's, bars
                self._disk.sync(made.parent)
        self.recover()

    def listing(self) -> Listing:
        """What is there now."""
        return listing(self.folder, self.subject.timeframe, self.subject.symbol)

    def recover(self) -> None:
        """Remove half-written files. All else that a kill leaves is whole already, see `listing`."""
        for path in self.folder.glob(".*.tmp"):
            if parse_name(path.name[1 : -len(".tmp")]) is not None:
                self._disk.unlink(path)

    def sealed_through(self) -> int:
        """The number after the last hot row that is sealed: what `sealed to` must say after a start."""
        return self.listing().through_of(LIVE)

    def seal(self, rows: npt.NDArray[np.void], wall_ns: int) -> int:
        """Put closed hot rows (layout.BAR, numbers that follow one another) into a file; the new `sealed to`.

        Rows that were sealed before are passed over, so a seal that was killed is simply made again. Of rows with one
        key the highest revision is kept. Rows of the same hot file that are missing before these were damaged there:
        the file stands for them too, so that a hole between files is always a file that is missing. ValueError if the
        numbers of `rows` leave a hole, or there are more than MAX_FILE_ROWS.
        """
        through = self.sealed_through()
        fresh = rows[rows["number"] >= through]
        if len(fresh) == 0:
            return through
        numbers = fresh["number"]
        first, last = int(numbers[0]), int(numbers[-1]) + 1
        if not np.array_equal(numbers, np.arange(first, last)):
            raise ValueError(f"the rows {first} to {last} of {self.subject.symbol} do not follow one another")
        begin = max(through, first - first % (1 << FILE_NUMBERS_BITS)) if through else first
        self._put(frame(fresh, self.subject.scale), Name(LIVE, begin, last), wall_ns)
        return last

    def add(self, bars: pl.DataFrame, wall_ns: int) -> Path | None:
        """Put bars that the venue told (columns of `shm.bars_frame.schema`) into a file of the second series.

        They count where they say a higher revision than a row of the same key, and where there is none. Their
        numbers are given here. None for no bars; ValueError for more than MAX_FILE_ROWS or other columns.
        """
        if bars.is_empty():
            return None
        first = self.listing().through_of(FETCHED)
        numbered = bars.with_columns(number=pl.int_range(first, first + len(bars), dtype=pl.Int64))
        return self._put(numbered, Name(FETCHED, first, first + len(bars)), wall_ns)

    def compact(self, now_wall_ns: int, max_rows: int = MAX_FILE_ROWS) -> list[Path]:
        """Make one file of each group that belongs together; the new files. What they replace stays for an hour.

        Every byte of a group passes its checksum first; a group with a damaged file stays as it is, because what
        is good in it can be read.
        """
        return [
            path
            for group in compaction.plan(self.listing().read, now_wall_ns, max_rows)
            if (path := self._join(group, now_wall_ns)) is not None
        ]

    def retain(self, limits: Limits, now_wall_ns: int) -> list[Name]:
        """Take the files that are beyond a limit out of what readers see: a mark beside each. Their names."""
        return self.retire(retention.expired(self.listing().read, limits, now_wall_ns))

    def retire(self, files: Sequence[Sealed]) -> list[Name]:
        """Take these files out of what readers see. Their names."""
        names = [file.name for file in files]
        for name in names:
            put(self._disk, self.folder / name._replace(gone=True).text, b"")
        return names

    def sweep(self, now_wall_ns: int) -> list[Name]:
        """Delete what was replaced or taken out an hour ago and more. Readers that have it mapped keep it."""
        names = retention.deletable(self.listing(), now_wall_ns)
        for files in ([name for name in names if not name.gone], [name for name in names if name.gone]):
            for name in files:
                with contextlib.suppress(FileNotFoundError):  # of a mark whose file went before a kill
                    self._disk.unlink(self.folder / name.text)
            if files:
                self._disk.sync(self.folder)  # no mark may go for good before its file has
        return names

    def _join(self, group: Sequence[Sealed], wall_ns: int) -> Path | None:
        try:
            bars = pl.concat([whole(file) for file in group])
        except LayoutError:
            return None
        return self._put(bars, Name(group[0].name.series, group[0].name.first, group[-1].name.last), wall_ns)

    def _put(self, bars: pl.DataFrame, name: Name, wall_ns: int) -> Path:
        check_columns(bars, self.subject)
        kept = keep_highest(bars, self.subject.timeframe).collect()
        path = self.folder / name.text
        put(self._disk, path, file_bytes(kept, name, self.subject, wall_ns))
        return path


def whole(file: Sealed) -> pl.DataFrame:
    """All bars of a file after every checksum of it was compared. LayoutError names the first batch that is damaged."""
    check_schema(file)
    for i, fault in verify(file):
        if fault:
            raise LayoutError(f"{file.path}, batch {i}: {fault}")
    return pl.read_ipc(file.path)
