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
import threading
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


def turn(folder: Path) -> int:
    """Make what is missing in a journal's folder, and delete what belongs to nothing; how many files were done.

    All but the last are closed for good, and so is the last if it has its end. OSError passes.
    """
    sweep(folder)
    files = journal_files(folder)
    done = 0
    for number, path in enumerate(files):
        try:
            with JournalFile(path) as file:
                is_closed = file.finished or number + 1 < len(files)
                if is_closed and waypoints.read_all(path, file.bytes) is None:
                    waypoints.write(path, file.bytes, survey(file, files[:number]))
                    done += 1
        except FileNotFoundError:  # too old, and deleted since
            continue
        except (LayoutError, OverflowError) as error:
            _log.error("no waypoints for %s: %s", path.name, error)
    return done


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
    rest = threading.Event()
    while True:
        try:
            turn(Path(job["journal"]))
        except OSError as error:
            _log.error("the journal cannot be worked on: %s", error)
        rest.wait(TURN_S)


if __name__ == "__main__":
    sys.exit(main())
