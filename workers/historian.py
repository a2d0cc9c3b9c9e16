"""`python -m workers.historian`: runs each journal file that is closed once more, and puts waypoints beside it.

The job comes on stdin as one JSON object: {"journal": folder, "supervisor_pid": pid}. It has the lowest priority, and
nobody waits for it: what it has not done yet, a reader does for itself, and slower. A kill loses the file that it was
at. Waypoints whose journal file was deleted are deleted.
"""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from shm.errors import LayoutError
from shm.journal import JournalFile, journal_files, parse_name
from shm.journal_entries import Lane
from shm.life import end_with
from shm.stretches import entries_from

from . import waypoints
from .passage import Interval, Passage
from .waypoints import Ways

TURN_S: Final = 10.0
_LOWEST_PRIORITY: Final = 19

_log = logging.getLogger("historian")


class Historian:
    """One journal's folder, looked at turn by turn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._settled: set[tuple[str, int]] = set()  # names and sizes of files that need nothing more

    def turn(self) -> int:
        """Make what is missing, and delete what belongs to nothing; how many files were done. OSError passes."""
        sweep(self._folder)
        files = journal_files(self._folder)
        there = set()
        done = 0
        for number, path in enumerate(files):
            try:
                key = path.name, path.stat().st_size
                there.add(key)
                if key not in self._settled:
                    done += self._settle(path, files[:number], is_last=number + 1 == len(files))
            except FileNotFoundError:  # too old, and deleted since
                continue
        self._settled &= there
        return done

    def _settle(self, path: Path, before: list[Path], *, is_last: bool) -> bool:
        """All but the last file are closed for good, and so is that if it has its end. True if something was made."""
        key = path.name, path.stat().st_size
        try:
            with JournalFile(path) as file:
                if is_last and not file.finished:
                    return False
                is_made = waypoints.read_all(path, file.bytes) is None
                if is_made:
                    waypoints.write(path, file.bytes, survey(file, before))
        except (LayoutError, OverflowError) as error:
            _log.error("no waypoints for %s: %s", path.name, error)
            is_made = False
        self._settled.add(key)
        return is_made


def survey(file: JournalFile, before: list[Path]) -> dict[str, Ways]:
    """The ways of every instrument that is in the file, or was in one before it. Raises JournalDamaged, LayoutError."""
    carried = _carried(before)
    named = {entry.symbol for entry in entries_from(file, len(file.blocks)) if isinstance(entry, Lane)}
    found = {}
    for symbol in sorted(named | carried.keys()):
        passage = Passage(symbol, carried.get(symbol))
        passage.advance(file)
        found[symbol] = Ways(passage.intervals, passage.carried)
    return found


def sweep(folder: Path) -> None:
    """Delete waypoints, and halves of them, that no journal file has."""
    for path in folder.glob(f"*{waypoints.SUFFIX}*"):
        journal = folder / f"{path.name.partition('.')[0]}.sbj"
        if parse_name(journal.name) and (path.suffix != waypoints.SUFFIX or not journal.exists()):
            path.unlink(missing_ok=True)


def _carried(before: list[Path]) -> dict[str, Interval]:
    """How each instrument stood at the end of the newest file before that has waypoints."""
    for path in reversed(before):
        try:
            found = waypoints.read_all(path, path.stat().st_size)
        except FileNotFoundError:
            continue
        if found is not None:
            return {symbol: ways.carried for symbol, ways in found.items() if ways.carried is not None}
    return {}


def main() -> int:
    """Run the job on stdin; the exit status."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all on the terminal; the supervisor ends us in order
    job: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        end_with(job["supervisor_pid"], signal.SIGKILL)
    except ProcessLookupError as error:
        _log.error("%s: the historian does not run without its supervisor", error.strerror)
        return 1
    os.nice(_LOWEST_PRIORITY)
    historian = Historian(Path(job["journal"]))
    while True:
        try:
            historian.turn()
        except OSError as error:
            _log.error("the journal cannot be worked on: %s", error)
        time.sleep(TURN_S)


if __name__ == "__main__":
    sys.exit(main())
