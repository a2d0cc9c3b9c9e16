"""`export`: an instrument of a journal as Parquet, or for hftbacktest. The command line; workers/export does it."""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .arguments import WRONG_USE, Arguments, utc_time
from .entry import complain, early, refusal
from .supervised import TOP
from .supervisor.child import plain_environment

SCRIPT = "scripts/export"
ENDED = 130  # as shells say of a command that Ctrl-C ended
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,31}")


def _symbol(text: str) -> str:
    if not _SYMBOL.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text[:64]} is no symbol")
    return text


def parser(command: str) -> Arguments:
    """The options; --help says everything there is to know about them."""
    made = Arguments(
        prog=command,
        description="Run an instrument of a journal once more and write what happened to files: trades, quotes and "
        "book changes as Parquet, or the events of both as hftbacktest reads them.",
        epilog="Exit status: 0, 1 for a failure, 2 for wrong use, 130 after Ctrl-C. Nothing is left of an export that "
        "fails. More: docs/export.md.",
    )
    made.add_argument("journal", nargs="+", type=Path, metavar="JOURNAL", help="journal files, or a folder of them")
    made.add_argument("--symbol", type=_symbol, required=True, metavar="SYMBOL", help="as MNQ")
    made.add_argument("--format", choices=("parquet", "hftbacktest"), default="parquet", help="(default: parquet)")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder for the files; it must exist")
    made.add_argument(
        "--from", dest="start", type=utc_time, metavar="TIME", help="received then or later, ISO 8601, UTC"
    )
    made.add_argument("--to", dest="end", type=utc_time, metavar="TIME", help="received before then")
    return made


def main(argv: Sequence[str] | None = None, command: str = SCRIPT) -> int:
    """The command, by the name that was typed. Status 0, 1 for a failure, 2 for wrong use."""
    with early(command):
        options = parser(command).parse_args(argv)
        if sentence := refusal():
            complain(command, sentence)
            return 1
        from shm.errors import LayoutError
        from shm.journal import files_of
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
        complain(command, said.get("failed", "the process that runs the records ended by itself"))
        return 1
    if not any(wrote.values()):
        complain(command, f"nothing of {options.symbol} is in that time: scripts/inspect says what there is")
        return 1
    print(", ".join(f"{count:,} {name}" for name, count in wrote.items()), f"of {options.symbol} in {options.out}")
    return 0


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
    return said


if __name__ == "__main__":
    sys.exit(main())
