"""What the `export` command does once it knows what is asked for: finds the files, has workers/export run their
records, and shows how far that is. Only the result goes to stdout."""

import argparse
import json
import os
import signal
import subprocess
import sys
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from shm.errors import LayoutError
from shm.journal import files_of
from shm.quarantine import CRASH_SIGNALS

from .arguments import WRONG_USE
from .entry import complain
from .supervised import TOP
from .supervisor.child import plain_environment

ENDED: Final = 130  # as shells say of a command that Ctrl-C ended


def export(options: argparse.Namespace, command: str) -> int:
    """All of it; the exit status: 0, 1 for a failure, 2 for wrong use, 130 after Ctrl-C."""
    if not options.out.is_dir():
        complain(command, f"{options.out} is no folder: make it, or name another with --out")
        return WRONG_USE
    try:
        files = files_of(options.journal)
    except FileNotFoundError as error:
        complain(command, f"{error.filename} does not exist")
        return 1
    except LayoutError as error:
        complain(command, str(error))
        return 1
    job = {
        "files": [str(path) for path in files],
        "symbol": options.symbol,
        "start_wall_ns": options.start,
        "end_wall_ns": options.end,
        "form": options.format,
        "folder": str(options.out.absolute()),
    }
    try:
        said = _run(job)
    except KeyboardInterrupt:
        complain(command, "ended before all was there: nothing was written")
        return ENDED
    if (wrote := said.get("wrote")) is None:
        complain(command, said["failed"])
        return 1
    if not any(wrote.values()):
        complain(command, f"nothing of {options.symbol} is in that time: scripts/inspect says what there is")
        return 1
    rows = ", ".join(f"{count:,} {name}" for name, count in wrote.items())
    print(f"{rows} of {options.symbol} in {options.out}{_lack(*said['missing'])}")
    return 0


def _lack(places: int, missing_ns: int) -> str:
    """What is said of the records that are missing; nothing if none is."""
    if not places:
        return ""
    counted = f"{places:,} place" + "s" * (places != 1)
    return f"; records are missing at {counted}, {missing_ns / 1e9:,.1f} s in all: scripts/inspect says where"


def _run(job: dict[str, Any]) -> dict[str, Any]:
    """Have it done, and show how far it is; the last word."""
    said: dict[str, Any] = {}
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.export"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=plain_environment(os.environ),
        cwd=TOP,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with process, bar:
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        shown = bar.add_task(job["symbol"], total=None)
        for line in process.stdout:
            said = json.loads(line)
            if "done" in said:
                bar.update(shown, completed=said["done"], total=said["planned"])
    return said if said.keys() & {"wrote", "failed"} else {"failed": _how_it_ended(process.returncode)}


def _how_it_ended(status: int) -> str:
    """What there is to say of a process that said nothing at its end."""
    if -status not in CRASH_SIGNALS:
        return f"the process that runs the records ended with status {status}"
    return (
        f"a record ended the process that ran it ({signal.Signals(-status).name}): scripts/replay of the same journal"
        " with --speed max --data EMPTY finds it; copy EMPTY/quarantine to beside the journal, and it is left out"
    )
