"""`history`: the venue's bars of an instrument, as a file. The command line; the rest is in history/download.py."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .arguments import Arguments
from .entry import begin

SCRIPT = "scripts/history"
MAX_DAYS = 36_500
ENDINGS = (".arrow", ".parquet")


def _days(text: str) -> float:
    value = float(text)
    if not 0 < value <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{text} is not a number of days above 0 and up to {MAX_DAYS:,}")
    return value


def _file(text: str) -> Path:
    path = Path(text)
    if path.suffix not in ENDINGS:
        raise argparse.ArgumentTypeError(f"{text} does not end in {' or '.join(ENDINGS)}")
    return path


def parser(command: str) -> Arguments:
    """The options; --help says everything there is to know about them."""
    made = Arguments(
        prog=command,
        description="Fetch the venue's bars of an instrument and write them to a file, Arrow IPC or Parquet by its "
        "ending: one row a bar, in order of time. What the venue does not tell (buy and sell volume, trades, vwap) is "
        "null.",
        epilog="Exit status: 0, 1 for a failure, 2 for wrong use, 130 after Ctrl-C. Credentials come from the "
        "environment only: PROJECT_X_USERNAME and PROJECT_X_API_KEY.",
    )
    made.add_argument(
        "symbol", metavar="SYMBOL", help="the exchange's, as MNQ: of its front contract, unless --contract"
    )
    made.add_argument("timeframe", metavar="TIMEFRAME", help="as 1sec, 5min, 1hr, 4hr")
    made.add_argument("--out", type=_file, required=True, metavar="FILE", help="FILE.arrow or FILE.parquet")
    made.add_argument("--days", type=_days, default=5.0, metavar="N", help="how far back from now (default: 5)")
    made.add_argument("--contract", metavar="ID", help="this one, as CON.F.US.MNQ.Z26")
    made.add_argument(
        "--rolls",
        choices=("joined", "adjusted"),
        help="go on with the contracts before, each until the day after the next one traded more: joined at their own "
        "prices, or with all older prices adjusted by the difference at the join; flag 32 marks a join",
    )
    made.add_argument(
        "--url", metavar="URL", help="the address of a simulator, as scripts/launch --simulator-only prints it"
    )
    made.add_argument("--config", type=Path, metavar="FILE", help="settings of venue and http, in TOML")
    return made


def _load() -> Callable[[argparse.Namespace, str], int]:
    from .history.download import download

    return download


def main(argv: Sequence[str] | None = None, command: str = SCRIPT) -> int:
    """The command, by the name that was typed. Status 0, 1 for a failure, 2 for wrong use."""
    return begin(argv, command, parser, _load)


if __name__ == "__main__":
    sys.exit(main())
