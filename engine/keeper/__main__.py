"""`python -m engine.keeper`: the process that does the disk, of one engine. It has no socket and knows no secret.

It runs as beside.py says; when instruments come, go or change, the whole job follows again on stdin, as a line. A kill
at any moment loses nothing.
"""

import logging
import select
import sys
import time
from typing import Final

from ..beside import Ending, main, source
from ..job import Job, parse
from ..lines import Lines
from ..rules import ConfigError
from .keeper import TURN_S, Keeper

_NAME: Final = "keeper"

_log = logging.getLogger(_NAME)


def serve(job: Job, lines: Lines, ending: Ending) -> None:
    """Turn after turn, until SIGTERM or the supervisor's end."""
    keeper = Keeper(job, time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    while not ending.wanted and not lines.ended:
        keeper.turn(time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns())
        if select.select([lines], [], [], TURN_S)[0]:
            for line in lines.take()[-1:]:  # each says all
                _follow(keeper, line)
    keeper.close()


def _follow(keeper: Keeper, line: bytes) -> None:
    try:
        keeper.take(parse(line, source(_NAME)).settings)
    except ConfigError as error:
        _log.error("%s; the instruments stay as they were", error)


if __name__ == "__main__":
    sys.exit(main(_NAME, serve))
