"""`python -m workers.historian`: runs each journal file that is closed once more, and puts waypoints beside it.

The job comes on stdin as one JSON object: {"journal": folder, "supervisor_pid": pid}. It has the lowest priority, and
nobody waits for it: what it has not done yet, a reader does for itself, and slower. A kill loses the file that it was
at. Waypoints whose journal file was deleted are deleted.

Each file is run by a process of its own, which dies if a record of it kills whoever runs it. After the second death the
file is noted (shm/quarantine.py), and left, so that the others come to their turn.
"""

import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from shm.errors import LayoutError
from shm.joined import joined_from
from shm.journal import JournalFile, journal_files, parse_name
from shm.journal_entries import Lane
from shm.life import end_with
from shm.quarantine import CRASH_SIGNALS, NOTE_SUFFIX, SetAside, note, note_path, noted, set_aside

from . import rerun, waypoints
from .passage import Interval, Passage
from .waypoints import Ways

TURN_S: Final = 10.0
MAX_DEATHS: Final = 2  # of processes that ran one file
_LOWEST_PRIORITY: Final = 19
_REFUSED: Final = 3  # the status of a process whose file cannot be read

_log = logging.getLogger("historian")


class Historian:
    """One journal's folder, looked at turn by turn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._settled: set[tuple[str, int]] = set()  # names and sizes of files that need nothing more
        self._set_aside: SetAside = {}
        self._is_warm = False

    def turn(self) -> int:
        """Make what is missing, and delete what belongs to nothing; how many files were done. OSError passes."""
        sweep(self._folder)
        files = journal_files(self._folder)
        if self._set_aside != (known := set_aside(files)):
            self._set_aside = known
            self._settled.clear()  # what killed may be left out by now
        there = set()
        done = 0
        for number, path in enumerate(files):
            try:
                key = path.name, path.stat().st_size
                there.add(key)
                if key not in self._settled:
                    is_made = self._settle(path, files[:number], is_last=number + 1 == len(files))
                    done += is_made
                    if is_made and note_path(path).exists():
                        self._make_anew(files[number + 1 :])
                        note_path(path).unlink()
            except FileNotFoundError:  # too old, and deleted since
                continue
        self._settled &= there
        return done

    def _make_anew(self, files: list[Path]) -> None:
        """Those before could not be run when these were, and now they can: these go on from another book."""
        for path in files:
            waypoints.path_of(path).unlink(missing_ok=True)
            self._settled = {key for key in self._settled if key[0] != path.name}

    def _settle(self, path: Path, before: list[Path], *, is_last: bool) -> bool:
        """All but the last file are closed for good, and so is that if it has its end. True if something was made."""
        size = path.stat().st_size
        is_made = False
        try:
            with JournalFile(path) as file:
                if is_last and not file.finished:
                    return False
            if waypoints.read_all(path, size) is None and not noted(path, size, self._set_aside):
                status = self._run(path, before)
                is_made = status == 0
                if status not in (0, _REFUSED) and not self._is_noted(path, size, status):
                    return False  # another turn may do better
        except LayoutError as error:
            _log.error("no waypoints for %s: %s", path.name, error)
        self._settled.add((path.name, size))
        return is_made

    def _run(self, path: Path, before: list[Path]) -> int:
        """Have a process make the waypoints: its exit status, below 0 the signal that ended it. A crash counts if it
        is one twice."""
        if not self._is_warm:
            rerun.warm()  # here, and so in each of the processes
            self._is_warm = True
        status = 0
        for _ in range(MAX_DEATHS):
            job = path, before, self._set_aside, os.getpid()
            process = multiprocessing.get_context("fork").Process(target=_run_alone, args=job)
            process.start()
            process.join()
            status = process.exitcode or 0
            if -status not in CRASH_SIGNALS:
                break
        return status

    def _is_noted(self, path: Path, size: int, status: int) -> bool:
        """Note a file that kills who runs it. False if it was something else that failed."""
        if -status not in CRASH_SIGNALS:
            _log.error("no waypoints for %s yet: the process that makes them ended with %d", path.name, status)
            return False
        why = f"a record in it ended {MAX_DEATHS} processes that ran it ({signal.Signals(-status).name})"
        _log.error("no waypoints for %s: %s", path.name, why)
        note(path, size, self._set_aside, why)
        return True


def _run_alone(path: Path, before: list[Path], left_out: SetAside, parent_pid: int) -> None:
    """The life of the process that makes the waypoints of one file."""
    end_with(parent_pid, signal.SIGKILL)
    try:
        with JournalFile(path) as file:
            waypoints.write(path, file.bytes, survey(file, before, left_out))
    except (LayoutError, OverflowError) as error:
        _log.error("no waypoints for %s: %s", path.name, error)
        sys.exit(_REFUSED)


def survey(file: JournalFile, before: list[Path], left_out: SetAside) -> dict[str, Ways]:
    """The ways of every instrument that is in the file, or was in one before it. Raises JournalDamaged, LayoutError."""
    carried = _carried(before)
    named = {entry.symbol for entry in joined_from(file, len(file.blocks)) if isinstance(entry, Lane)}
    found = {}
    for symbol in sorted(named | carried.keys()):
        passage = Passage(symbol, carried.get(symbol), left_out.get(symbol, ()))
        passage.advance(file)
        found[symbol] = Ways(passage.intervals, passage.carried)
    return found


def sweep(folder: Path) -> None:
    """Delete waypoints and notes, and halves of them, that no journal file has."""
    for suffix in (waypoints.SUFFIX, NOTE_SUFFIX):
        for path in folder.glob(f"*{suffix}*"):
            journal = folder / f"{path.name.partition('.')[0]}.sbj"
            if parse_name(journal.name) and (path.suffix != suffix or not journal.exists()):
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
