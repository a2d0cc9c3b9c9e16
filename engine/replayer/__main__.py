"""`python -m engine.replayer`: plays a journal into the rings, in the place of the engine. It knows no secret and no
network.

The job comes on stdin as one JSON object, a line: that of the engine, and "replay", what is to be played. Logs go to
stderr; stdout has one JSON line an event: "played" when all is in the rings, with by symbol the number of places at
which records are missing; "fatal" with a message before it ends with status 1. When all is played it stays, and keeps
the books live. SIGTERM ends it with status 0; a kill at any moment loses nothing.
"""

import json
import logging
import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import Final

from shm import segment
from shm.errors import JournalDamaged, LayoutError
from shm.journal import files_of
from shm.layout import Kind
from shm.life import AlreadyHeld, LifeLock, end_with
from shm.refill import take_back
from shm.registry import generation_folder
from shm.ring import RingWriter

from ..job import Job, parse_with
from ..lines import Lines
from ..page import Page
from ..rings import map_ring
from ..rules import ConfigError
from .job import Wanted
from .missing import Missing
from .pace import Pace
from .player import Player, warm
from .stretches import entries_of, stretches

_SOURCE: Final = "the job of the player"
OLDEST: Final = 1  # generation: the sequences of a replay are the recorded ones, whichever those are


class Rest:
    """Waits between two looks at the clock, until SIGTERM; each look is a heartbeat."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._is_over = False
        signal.signal(signal.SIGTERM, self._end)

    def __call__(self, ns: int) -> bool:
        self._page.add("heartbeat")
        if ns > 0 and not self._is_over:
            time.sleep(ns / 1e9)
        return not self._is_over

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._is_over = True


def boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def report(said: Mapping[str, object]) -> None:
    """One line for the supervisor."""
    print(json.dumps(said), flush=True)


def run(job: Job, wanted: Wanted) -> None:
    """Play until SIGTERM. Raises LayoutError, JournalDamaged, FileNotFoundError."""
    here = generation_folder(job.folder, job.generation)
    counters = segment.attach(here / "engine", Kind.ENGINE, writable=True, generation=job.generation)
    counters.claim()
    rest = Rest(Page(counters.array("words")))
    mapped = {each.symbol: map_ring(here, job.generation, each) for each in job.settings.symbols}
    for each in mapped.values():
        take_back(each.words)
    rings = {symbol: RingWriter(each.words, OLDEST, bell=each.bell) for symbol, each in mapped.items()}
    pace = Pace(wanted.speed, wanted.from_wall_ns)
    player = Player(rings, pace, boottime_ns, rest)
    entries = entries_of(files_of(wanted.places), wanted.to_wall_ns, pace.free_ns)
    missing = Missing()
    if player.play(missing.watch(stretches(entries, rings.keys(), wanted.to_wall_ns))):
        report({"event": "played", "missing": missing.places})
        player.stay()


def main() -> int:
    """Run the job on stdin; the exit status."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all on the terminal; the supervisor ends us in order
    warm()  # while the supervisor holds the job back: on a first start the fork server compiles at the same time
    try:
        job, replay = parse_with(Lines(sys.stdin.fileno()).wait(), _SOURCE, "replay")
        end_with(job.supervisor_pid, signal.SIGKILL)
        lock = LifeLock.take(job.folder / "engine.lock")
        run(job, Wanted.from_json(replay))
        lock.release()
    except (ConfigError, LayoutError, JournalDamaged) as error:
        return _fatal(str(error), final=True)
    except AlreadyHeld as error:
        return _fatal(f"an engine runs there already: {error}")
    except ProcessLookupError as error:
        return _fatal(f"{error.strerror}: a player does not run without its supervisor")
    except OSError as error:
        return _fatal(f"{error.filename or 'the journal'}: {error.strerror}")
    return 0


def _fatal(message: str, *, final: bool = False) -> int:
    print(f"replayer: {message}", file=sys.stderr)
    report({"event": "fatal", "message": message, "final": final})
    return 1


if __name__ == "__main__":
    sys.exit(main())
