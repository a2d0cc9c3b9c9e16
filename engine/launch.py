"""`launch`: bring the whole engine up, show it, compare it with the truth, and say how it went.

Here is the command line, and what needs nothing but the command line: the rest is in launching.py, whose imports take
half a second, in which a Ctrl-C, or a machine that shardbook does not run on, is to be a sentence and no traceback.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .arguments import Arguments, list_of_symbols, number_reader
from .entry import complain, early, refusal

MAX_RATE_ENTRIES_PER_S = 200_000.0  # what the simulator is made for
MAX_NUMBER = 1e9
MAX_SEED = 2**63 - 1
MAX_LIFETIME_S = 365 * 86_400
SCRIPT = "scripts/launch"


# ── what was asked for ────────────────────────────────────────────────────────────────────────────────────


def _whole(what: str, low: int, high: int, unit: str = "") -> Callable[[str], int]:
    """A reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not {what}: {low} to {high:,}{unit}")
        return value

    return read


def parser(command: str = SCRIPT) -> Arguments:
    """The options; --help says everything there is to know about them."""
    made = Arguments(
        prog=command,
        description="Bring up the whole engine: feed, one worker process an instrument, books and trades in shared "
        "memory that any process can read (from shm import attach). With no option it runs on the built-in exchange "
        "simulator until Ctrl-C, and compares the live books with the simulator's truth all the time.",
        epilog="Exit status: 0 for a good run, 1 for a failure (one wrong level is one), 2 for wrong use "
        "and for what the venue refuses for good. "
        "A real venue's credentials come from the environment only: PROJECT_X_USERNAME and PROJECT_X_API_KEY.",
    )
    made.add_argument(
        "--for",
        dest="for_s",
        type=number_reader("a number of seconds", 0, MAX_NUMBER),
        metavar="SECONDS",
        help="stop after so long",
    )
    made.add_argument("--json", action="store_true", help="print the summary as one JSON object on stdout")
    made.add_argument("--check", action="store_true", help="only read and validate the settings")
    engine = made.add_argument_group("the engine")
    engine.add_argument("--name", default="default", help="what readers attach to (default: default)")
    engine.add_argument("--venue", choices=("simulator", "projectx"), help="who to connect to (default: simulator)")
    engine.add_argument("--symbols", type=list_of_symbols, metavar="A,B", help="only these instruments")
    engine.add_argument(
        "--symbols-dir",
        type=Path,
        metavar="DIR",
        help="symbol files in place of the shipped ones; followed while the engine runs: what is added, changed or "
        "removed there takes effect at once (with --symbols: of those that it names)",
    )
    engine.add_argument("--config", type=Path, metavar="FILE", help="settings of venue, http and feed, in TOML")
    engine.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="where data is kept (default: shardbook under the XDG data home; with --for a temporary folder)",
    )
    simulator = made.add_argument_group("the simulator")
    simulator.add_argument(
        "--rate",
        type=number_reader("a rate", 1, MAX_RATE_ENTRIES_PER_S),
        metavar="ENTRIES_PER_S",
        help="depth entries a second over all instruments (default: 6000; with --single-prints 50 an instrument)",
    )
    simulator.add_argument(
        "--seed", type=_whole("a seed", 0, MAX_SEED), default=7, help="the same seed gives the same flow (default: 7)"
    )
    simulator.add_argument(
        "--flow", type=Path, metavar="FILE", help="a recorded DBN capture for ES, from its opening on"
    )
    simulator.add_argument(
        "--pace",
        type=number_reader("a pace", 0, MAX_NUMBER),
        metavar="N",
        help="N times as fast as recorded (default: no limit)",
    )
    simulator.add_argument("--crossed", action="store_true", help="the capture's pre-open too, where books are crossed")
    simulator.add_argument(
        "--quiet", type=list_of_symbols, default=[], metavar="A,B", help="instruments that say next to nothing"
    )
    simulator.add_argument(
        "--port", type=_whole("a port", 0, 65535), default=0, help="the simulator's port on 127.0.0.1 (default: any)"
    )
    simulator.add_argument(
        "--bursts", action="store_true", help="quiet hours and bursts of ten times the rate, in days of two minutes"
    )
    simulator.add_argument(
        "--single-prints",
        action="store_true",
        help="one trade a message and no level taken away unsaid, up to 500 entries/s an instrument: for clients such "
        "as project-x-py, which lose trades of longer lists",
    )
    simulator.add_argument("--deflate", action="store_true", help="agree to permessage-deflate on its hubs")
    simulator.add_argument(
        "--token-lifetime",
        type=_whole("a lifetime", 1, MAX_LIFETIME_S, " whole seconds"),
        metavar="SECONDS",
        help="how long its tokens are good (default: a day)",
    )
    simulator.add_argument("--simulator-only", action="store_true", help="only the simulator; its address on stdout")
    return made


def _check_use(options: argparse.Namespace, arguments: Arguments) -> None:
    """What options cannot stand together; ends with status 2."""
    if options.flow is None and (options.pace is not None or options.crossed):
        arguments.error("--pace and --crossed are about a recorded flow: name one with --flow FILE")
    if options.flow is not None and not options.flow.is_file():
        arguments.error(f"--flow {options.flow}: there is no such file")
    if options.single_prints and (options.flow is not None or options.bursts):
        arguments.error("--single-prints is about generated flow without bursts: leave out --flow and --bursts")
    if options.simulator_only and options.for_s is not None:
        arguments.error("--simulator-only runs until Ctrl-C: leave out --for")
    if options.json and (options.check or options.simulator_only):
        arguments.error("--json is the summary of a run, and --check and --simulator-only have none: leave it out")


def main(argv: Sequence[str] | None = None, command: str = SCRIPT) -> int:
    """The command, by the name that was typed. Status 0, 1 for a failure, 2 for what would fail again."""
    with early(command):
        arguments = parser(command)
        options = arguments.parse_args(argv)
        _check_use(options, arguments)
        if sentence := refusal():
            complain(command, sentence)
            return 1
        from .launching import launch

        return launch(options, command)


if __name__ == "__main__":
    sys.exit(main())
