"""`scripts/bench`: what section 12 of the design promises, measured, each number beside something of the same run.

Timings are noisy, so medians of several rounds are shown and ratios are what to look at. Nothing is asserted and a
missed promise is no failure; the exit status is 0 unless the options were wrong or a case could not run.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from . import (
    bars,
    expressions,
    frames,
    http,
    journal,
    latency,
    load,
    memory,
    past,
    reads,
    recorder,
    recovery,
    replay,
    startup,
    worker,
)
from .machine import Machine
from .row import Row, print_table, write_json

REPORT_COLUMNS = 160  # of a table that goes into a file

CASES: dict[str, Callable[[bool], Iterator[Row]]] = {
    "worker": worker.rows,
    "frames": frames.rows,
    "reads": reads.rows,
    "latency": latency.rows,
    "memory": memory.rows,
    "startup": startup.rows,
    "recovery": recovery.rows,
    "http": http.rows,
    "bars": bars.rows,
    "expressions": expressions.rows,
    "journal": journal.rows,
    "recorder": recorder.rows,
    "replay": replay.rows,
    "past": past.rows,
    "load": load.rows,
}


def main() -> int:
    made = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    made.add_argument("--out", type=Path, metavar="FILE", help="write machine and rows as JSON too")
    made.add_argument("--case", nargs="+", choices=list(CASES), metavar="NAME", help=f"only these: {', '.join(CASES)}")
    made.add_argument("--quick", action="store_true", help="few rounds: does it run, not how fast is it")
    options = made.parse_args()
    if options.out is not None and not options.out.absolute().parent.is_dir():
        made.error(f"--out {options.out}: there is no such folder")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what was started is ended
    machine = Machine.here()
    progress = Console(stderr=True)
    results: list[Row] = []
    try:
        for name in options.case or CASES:
            progress.print(f"{name} …", highlight=False)
            results += CASES[name](options.quick)
    finally:  # what was measured is shown, whatever became of the case after it
        output = Console(width=None if sys.stdout.isatty() else REPORT_COLUMNS)
        output.print(machine.text(), highlight=False)
        print_table(results, output)
        if options.out is not None:
            write_json(options.out, results, machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
