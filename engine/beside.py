"""How a process beside the engine runs, keeper or recorder: its job on stdin, its end, and what stops it at once.

The job is one JSON object, a line: {"settings", "generation", "folder", "supervisor_pid"}. Logs go to stderr, and
stdout has one JSON line, "fatal" with a message, before it ends with status 1. SIGTERM ends it with status 0.
"""

import json
import logging
import signal
import sys
from collections.abc import Callable
from types import FrameType

from shm.errors import LayoutError
from shm.life import AlreadyHeld, LifeLock, end_with

from .job import Job, parse
from .lines import Lines
from .rules import ConfigError


class Ending:
    """Whether SIGTERM came, also before this was made if it was blocked till then; the turn under way is finished."""

    def __init__(self) -> None:
        self.wanted = False
        signal.signal(signal.SIGTERM, self)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True


def main(name: str, serve: Callable[[Job, Lines, Ending], None], orphaned: signal.Signals = signal.SIGKILL) -> int:
    """Run `serve` with the job on stdin until it returns; the exit status. `orphaned`: what a dead supervisor sends.

    `name` is that of its life lock in the engine's folder, and of its log.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all on the terminal; the supervisor ends us in order
    try:
        ending = Ending()
        lines = Lines(sys.stdin.fileno())
        job = parse(lines.wait(), source(name))
        end_with(job.supervisor_pid, orphaned)
        lock = LifeLock.take(job.folder / f"{name}.lock")
        serve(job, lines, ending)
        lock.release()
    except (ConfigError, LayoutError) as error:
        return _fatal(name, str(error))
    except AlreadyHeld as error:
        return _fatal(name, f"a {name} runs there already: {error}")
    except FileNotFoundError as error:
        return _fatal(name, f"{error.filename} is not there: start the engine with scripts/launch")
    except ProcessLookupError as error:
        return _fatal(name, f"{error.strerror}: a {name} does not run without its supervisor")
    return 0


def source(name: str) -> str:
    """What a job is called in a sentence that refuses it."""
    return f"the job of the {name}"


def _fatal(name: str, message: str) -> int:
    print(f"{name}: {message}", file=sys.stderr)
    print(json.dumps({"event": "fatal", "message": message}), flush=True)
    return 1
