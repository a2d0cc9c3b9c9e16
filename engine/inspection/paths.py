"""What is found at a path, and who can say what of it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from shm.bars import ASIDE, FILE_NAME
from shm.errors import LayoutError
from shm.journal import FILE_MAGIC, SUFFIX, journal_files
from shm.life import is_held
from shm.sealed import parse_name

from .. import hours
from ..keeper import doubts
from . import journal, keeper, segment
from .report import Check, Report


def examine(path: Path) -> Iterable[Report]:
    """The reports of one path, whatever lies there: several for a folder of bars. Raises LayoutError, OSError."""
    if path.is_dir() and path.name != FILE_NAME:
        return [journal.examine(path)] if _is_journal(path) else _bars_folder(path)
    return [_file(path)]


def _file(path: Path) -> Report:
    if _is_journal(path):
        return journal.examine(path)
    if path.name == FILE_NAME or path.name.startswith(ASIDE):
        return _hot(path)
    if path.name == doubts.FILE_NAME:
        return keeper.examine_doubts(path)
    if path.suffix == ".lock" and path.is_file():
        held = "held: a process works here" if is_held(path) else "free: no process works here"
        return Report(f"{path}", (("lock", (("kind", "life lock of who works here"), ("state", held))),), ())
    if _is_bars(path):
        return _bars(path)
    return keeper.examine_hours(path) if path.suffix == hours.SUFFIX else segment.examine_file(path)


def _bars(path: Path) -> Report:
    from . import sealed  # brings polars, which no segment needs

    return sealed.examine(path)


def _bars_folder(path: Path) -> Iterator[Report]:
    """A report of each timeframe, and of the hot bars, in a folder of bars. Raises LayoutError for one without any."""
    from . import folder  # brings polars

    timeframe = folder.timeframe_of(path)
    for part in [path] if timeframe else folder.parts(path):
        wanted = folder.timeframe_of(part)
        yield _hot(part) if wanted is None else folder.examine(part, wanted)


def _hot(path: Path) -> Report:
    """Of hot bars even one that is none is reported. Raises FileNotFoundError and OSError."""
    try:
        report = segment.examine_file(path)
    except LayoutError as error:
        report = Report(f"{path}", (), (Check("a whole file of hot bars", str(error)),))
    if path.name.startswith(ASIDE):
        said = "another file took its place; the keeper seals what rows it can, and deletes it later"
        report = replace(report, groups=(("set aside", (("why", said),)), *report.groups))
    return report


def _is_journal(path: Path) -> bool:
    """By the name of the file, or of one in the folder; or by its first bytes."""
    if path.is_dir():
        return bool(journal_files(path))
    if not path.is_file():
        return path.suffix == SUFFIX
    with open(path, "rb") as file:
        return path.suffix == SUFFIX or file.read(len(FILE_MAGIC)) == FILE_MAGIC


def _is_bars(path: Path) -> bool:
    """It has the name or the first bytes of one, so that is what its faults are told as."""
    if parse_name(path.name) is not None:
        return True
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(6) == b"ARROW1"
