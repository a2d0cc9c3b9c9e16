"""Records on which two lives of a worker ended, and journal files that nobody can run: what stands beside a journal.

A worker leaves such a record out, and keeps it as `<data>/quarantine/<SYMBOL>-<sequence>.record`, beside
`<data>/journal`. Sequences never begin again in a data folder, so symbol and sequence name one record of its journal
for ever. Whoever runs that once more leaves the same records out, as the worker did, and so comes to the same book.

A journal can hold one more that kills: its worker did not live to say so, or another machine or version dies where that
one did not. The historian notes a file on which two of its processes died, `<generation>-<number>.sbx` beside it, so
that nobody runs it again. The note holds as long as file and set-aside records are what they were.
"""

import json
import os
import re
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = "quarantine"
NOTE_SUFFIX: Final = ".sbx"
MAX_NOTE_BYTES: Final = 1 << 20

# A process that ends by one of these was ended by what it did.
CRASH_SIGNALS: Final = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT})

SetAside = Mapping[str, tuple[int, ...]]  # by symbol the sequences, in order

_NAME: Final = re.compile(r"([A-Z0-9][A-Z0-9._-]{0,31})-([1-9][0-9]{0,18})\.record")


def record_path(data_folder: Path, symbol: str, sequence: int) -> Path:
    """Where a worker keeps the record."""
    return data_folder / FOLDER / f"{symbol}-{sequence}.record"


def set_aside(journal_files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """What was set aside of the journals that these files are of. OSError passes; a folder need not be there."""
    found: dict[str, set[int]] = {}
    for folder in {path.absolute().parent.parent for path in journal_files}:
        try:
            names = os.listdir(folder / FOLDER)
        except FileNotFoundError:
            continue
        for name in names:
            if match := _NAME.fullmatch(name):
                found.setdefault(match[1], set()).add(int(match[2]))
    return {symbol: tuple(sorted(found[symbol])) for symbol in sorted(found)}


def note_path(journal_file: Path) -> Path:
    return journal_file.with_suffix(NOTE_SUFFIX)


def note(journal_file: Path, journal_bytes: int, known: SetAside, why: str) -> None:
    """Note that the file cannot be run, all or nothing. OSError passes."""
    path = note_path(journal_file)
    building = path.with_name(f"{path.name}.tmp")
    building.write_text(json.dumps(_condition(journal_bytes, known) | {"why": why}))
    building.rename(path)


def noted(journal_file: Path, journal_bytes: int, known: SetAside) -> str:
    """Why the file cannot be run; empty if nobody noted that, or it is another file or other records are left out."""
    try:
        with open(note_path(journal_file), "rb") as file:
            said = json.loads(file.read(MAX_NOTE_BYTES))
    except (FileNotFoundError, ValueError, RecursionError):
        return ""
    if not isinstance(said, dict) or not isinstance(why := said.pop("why", None), str):
        return ""
    return why if said == _condition(journal_bytes, known) else ""


def _condition(journal_bytes: int, known: SetAside) -> dict[str, object]:
    return {"journal_bytes": journal_bytes, "set_aside": {symbol: list(each) for symbol, each in known.items()}}
