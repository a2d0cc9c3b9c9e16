"""A folder of bars in words: what its files hold together, and every check that can be made of each of them."""

from collections.abc import Iterator
from pathlib import Path

from shm.bars import FILE_NAME
from shm.errors import LayoutError
from shm.sealed import FETCHED, LIVE, Listing, Sealed, listing
from shm.timeframe import Timeframe, parse

from . import sealed
from .report import Check, Groups, Report, first_of
from .words import wall

_SERIES = ((LIVE, "sealed bars"), (FETCHED, "bars of the venue's"))


def timeframe_of(folder: Path) -> Timeframe | None:
    """What a folder's name says; None if it is none of a timeframe."""
    try:
        return parse(folder.name)
    except ValueError:
        return None


def parts(folder: Path) -> list[Path]:
    """What there is to inspect in `<data>/bars`, or in an instrument's folder below it: files of hot bars and
    folders of timeframes. Raises LayoutError for a folder without any."""
    found = _parts(folder) or [part for below in sorted(folder.glob("*/")) for part in _parts(below)]
    if not found:
        raise LayoutError(f"{folder} holds no bars: name DATA/bars/MNQ, or a folder of a timeframe below that")
    return found


def _parts(folder: Path) -> list[Path]:
    """Those of one instrument."""
    hot = folder / FILE_NAME
    return [*([hot] if hot.exists() else []), *(path for path in sorted(folder.glob("*/")) if timeframe_of(path))]


def examine(folder: Path, timeframe: Timeframe) -> Report:
    """A timeframe's folder. It reads all of its files."""
    found = listing(folder, timeframe)
    return Report(f"{folder}", _groups(folder, timeframe, found), tuple(_checks(folder, found)))


def _groups(folder: Path, timeframe: Timeframe, found: Listing) -> Groups:
    header = (("kind", "folder of bars"), ("symbol", folder.parent.name), ("timeframe", timeframe.name))
    files = [
        (what, _said([file for file in found.read if file.name.series == series], found.through_of(series)))
        for series, what in _SERIES
    ]
    waiting = (("replaced", f"{len(found.replaced):,} files"), ("gone", f"{len(found.gone):,} files"))
    return (("header", header), ("files", (*files, *waiting)))


def _said(files: list[Sealed], through: int) -> str:
    if not files:
        return "none" if through == 0 else f"none that is read, and rows were sealed to {through:,}"
    first, last = min(file.first_start_ns for file in files), max(file.last_start_ns for file in files)
    bars = sum(file.rows for file in files)
    return f"{len(files):,} files, {bars:,} bars, {wall(first)} to {wall(last)}, rows to {through:,}"


def _checks(folder: Path, found: Listing) -> Iterator[Check]:
    refused = [str(error) for error in found.refused]
    yield Check(f"files with a name of ours: {len(found.read):,} believed", first_of(refused))
    holes = [f"{first:,} to {last - 1:,}" for first, last in found.holes]
    yield Check("row numbers: none is missing between files", first_of(holes))
    strange = [file.path.name for file in found.read if file.symbol != folder.parent.name]
    yield Check("files: all of the instrument whose folder it is", first_of(strange))
    faults = [
        f"{file.path.name}: {what}: {fault}" for file in found.read for what, fault in sealed.checks(file) if fault
    ]
    yield Check("contents: checksums, columns and rows", first_of(faults))
