"""`python -m engine.recorder`: the process that writes down what came in, of one engine. It knows no secret.

It runs as beside.py says. A kill at any moment loses nothing that the engine could put into its ring; when the
supervisor dies, what is in the ring is written first, because the ring goes with the next start.
"""

import signal
import sys
import time

from ..beside import Ending, main
from ..job import Job
from ..lines import Lines
from .recorder import Moment
from .taking import Taking


def serve(job: Job, lines: Lines, ending: Ending) -> None:
    """Turn after turn, until SIGTERM."""
    taking = Taking(job)
    while not ending.wanted:
        taking.turn(now())
        taking.wait()
    taking.close(now())


def now() -> Moment:
    return Moment(time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME))


if __name__ == "__main__":
    sys.exit(main("recorder", serve, signal.SIGTERM))
