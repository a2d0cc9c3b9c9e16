"""`export`: an instrument of a journal as Parquet, or for hftbacktest. The command line; exporting.py does it."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .arguments import Arguments, utc_time
from .entry import begin

SCRIPT = "scripts/export"
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


def _load() -> Callable[[argparse.Namespace, str], int]:
    from .exporting import export

    return export


def main(argv: Sequence[str] | None = None, command: str = SCRIPT) -> int:
    """The command, by the name that was typed. Status 0, 1 for a failure, 2 for wrong use."""
    return begin(argv, command, parser, _load)


if __name__ == "__main__":
    sys.exit(main())
