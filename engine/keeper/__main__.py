"""`python -m engine.keeper`: the process that does the disk, of one engine. It has no socket and knows no secret.

The job comes on stdin as one JSON object, a line: {"settings", "generation", "folder", "supervisor_pid"}; when
instruments come, go or change, the whole job follows again. Logs go to stderr, and stdout has one JSON line, "fatal"
with a message, before it ends with status 1. SIGTERM ends it with status 0; a kill at any moment loses nothing.
"""

import json
import logging
import select
import signal
import sys
import time
from types import FrameType
from typing import Final

from shm.errors import LayoutError
from shm.life import AlreadyHeld, LifeLock, end_with

from ..config import ConfigError
from ..job import parse
from ..lines import Lines
from .keeper import TURN_S, Keeper

_SOURCE: Final = "the job of the keeper"

_log = logging.getLogger("keeper")


class Ending:
    """Whether SIGTERM came; the turn that is under way is finished."""

    def __init__(self) -> None:
        self.wanted = False
        signal.signal(signal.SIGTERM, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True


def run(keeper: Keeper, lines: Lines, ending: Ending) -> None:
    """Turn after turn, until SIGTERM or the supervisor's end."""
    while not ending.wanted and not lines.ended:
        keeper.turn(time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns())
        if select.select([lines], [], [], TURN_S)[0]:
            for line in lines.take()[-1:]:  # each says all
                _follow(keeper, line)
    keeper.close()


def _follow(keeper: Keeper, line: bytes) -> None:
    try:
        keeper.take(parse(line, _SOURCE).settings)
    except ConfigError as error:
        _log.error("%s; the instruments stay as they were", error)


def main() -> int:
    """Run the job on stdin; the exit status."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all on the terminal; the supervisor ends us in order
    try:
        ending = Ending()
        lines = Lines(sys.stdin.fileno())
        job = parse(lines.wait(), _SOURCE)
        end_with(job.supervisor_pid, signal.SIGKILL)
        lock = LifeLock.take(job.folder / "keeper.lock")
        run(Keeper(job, time.clock_gettime_ns(time.CLOCK_BOOTTIME)), lines, ending)
        lock.release()
    except (ConfigError, LayoutError) as error:
        return _fatal(str(error))
    except AlreadyHeld as error:
        return _fatal(f"a keeper runs there already: {error}")
    except FileNotFoundError as error:
        return _fatal(f"{error.filename} is not there: start the engine with scripts/launch")
    except ProcessLookupError as error:
        return _fatal(f"{error.strerror}: a keeper does not run without its supervisor")
    return 0


def _fatal(message: str) -> int:
    print(f"keeper: {message}", file=sys.stderr)
    print(json.dumps({"event": "fatal", "message": message}), flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
