"""`replay`: a journal played through workers, rings and readers as it came in. The command line; the rest is in
replaying.py."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .arguments import MAX_SPEED, MIN_SPEED, Arguments, list_of_symbols, number_reader, utc_time
from .entry import begin

SCRIPT = "scripts/replay"


def _speed(text: str) -> float | None:
    return None if text == "max" else number_reader("a speed", MIN_SPEED, MAX_SPEED)(text)


def parser(command: str) -> Arguments:
    """The options; --help says everything there is to know about them."""
    made = Arguments(
        prog=command,
        description="Play a recorded journal: the same workers, shared memory and readers (shm.attach) as live, with "
        "every record as it came in and at the pace at which it did. What is read says that it is a replay. A book "
        "is live as long as its worker follows, until the journal says that the feed was closed: that of an engine "
        "that ended in order does so at its end, and its books are closed then. It stays until Ctrl-C; with --digest "
        "it ends when all is played. Where records are missing it says so at the end.",
        epilog="Exit status: 0, 1 for a failure, 2 for wrong use. No network is used, and no credentials.",
    )
    made.add_argument(
        "places", nargs="+", type=Path, metavar="JOURNAL", help="journal files, folders of them, or a data folder"
    )
    made.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="N|max",
        help="N times as fast as recorded, or as fast as the workers take it (default: 1)",
    )
    made.add_argument(
        "--from",
        dest="from_wall_ns",
        type=utc_time,
        metavar="TIME",
        help="at that pace from then on; what came before makes the book, and is gone through as fast as possible",
    )
    made.add_argument(
        "--to", dest="to_wall_ns", type=utc_time, metavar="TIME", help="nothing that was received then or later"
    )
    made.add_argument(
        "--symbols", type=list_of_symbols, metavar="A,B", help="only these instruments (default: all of the journal)"
    )
    made.add_argument("--symbols-dir", type=Path, metavar="DIR", help="symbol files in place of the shipped ones")
    made.add_argument("--name", default="replay", help="what readers attach to (default: replay)")
    made.add_argument(
        "--data", type=Path, metavar="DIR", help="an empty folder for the bars (default: a temporary one)"
    )
    made.add_argument(
        "--digest",
        action="store_true",
        help="end when all is played, and print one number over all books, trades and bars: the same each time",
    )
    return made


def _load() -> Callable[[argparse.Namespace, str], int]:
    from .replaying import replay

    return replay


def main(argv: Sequence[str] | None = None, command: str = SCRIPT) -> int:
    """The command, by the name that was typed. Status 0, 1 for a failure, 2 for wrong use."""
    return begin(argv, command, parser, _load)


if __name__ == "__main__":
    sys.exit(main())
