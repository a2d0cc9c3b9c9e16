"""`python -m engine.supervisor`: take the name, make the memory, run all, leave nothing.

Its job comes on standard input (job.py). On standard output it tells launch, one JSON object a line:

    compiling                                   kernels are not kept from an earlier start: it takes a while
    compiled {seconds}                          the fork server has all of them
    ready {name, generation, folder, …pids}     every process was started
    died {role, pid, how, symbols}, restarted {role, pid, restarts, why, symbols}; symbols: that it works for
    refused {role, how}                         the fork server could not make that worker
    parked {role, why, symbols}                 it is not started again
    added, changed, removed {symbol}            a symbol file came, was changed or went, and it is so now
    rejected {symbol, why}                      a symbol file that cannot be used; what was goes on; in the log too
    quarantined {role, symbol, sequence}        a ring record on which two lives of that worker ended
    said {role, line}                           what a child said that is not for the supervisor
    stopped, or failed {message, final}         the last word; status 0, or 1; final: it would fail again
"""

import logging
import os
import signal
import sys

from shm.errors import ShardbookError
from shm.life import adopt_orphans, end_with

from .errors import RefusedForGood
from .generation import take_generation
from .job import MAX_JOB_BYTES, Job
from .lines import Report
from .memory import Memory, remove, sweep, take_name
from .run import Supervisor
from .signals import Signals


def supervise(job: Job, report: Report, signals: Signals) -> str:
    """One engine, from the first file to the last. Returns the sentence of its failure; empty if there was none.

    Raises RefusedForGood for a failure that would come again, CannotStart, LayoutError.
    """
    folder, lock = take_name(job.settings.name, job.settings.shm_root)
    try:
        adopt_orphans()
        sweep(folder)
        generation = take_generation(job.settings.data_folder)
        account, recorder_bytes = job.settings.venue.account, job.settings.journal.ring_bytes
        memory = Memory(folder, generation, job.settings.symbols, account=account, recorder_bytes=recorder_bytes)
        return Supervisor(job, memory, report, signals, os.environ).run()
    finally:
        remove(folder, lock)


def main() -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    report = Report()
    signals = Signals()  # first of all: from here on a wish to stop is a wish, and not the end
    final = False
    try:
        job = Job.from_json(sys.stdin.buffer.read(MAX_JOB_BYTES))
        end_with(job.launch_pid, signal.SIGTERM)
        message = supervise(job, report, signals)
    except ProcessLookupError as error:
        message = str(error.strerror)
    except ShardbookError as error:
        message, final = str(error), isinstance(error, RefusedForGood)
    if message:
        report.say("failed", message=message, final=final)
        return 1
    report.say("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
