"""`python -m engine`: the I/O process of one engine. The only place that wires its parts together.

The job comes on stdin as one JSON object, a line: {"settings", "generation", "folder", "supervisor_pid"}; user name
and key come in the environment. What the supervisor wants later follows line by line (control.py). Logs go to stderr;
stdout has one JSON line an event, for the supervisor: "streaming" when all is subscribed, "let_go" with a symbol that
a successor feeds no more and the venue's sentence, "fatal" with a message before it ends with status 1 (`final`: the
venue or the settings would refuse it again), and the answers of control.py. SIGTERM ends it with status 0.

Rings outlive the process: a successor finds them as they are and begins with a gap record in each.
"""

import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import uvloop

from shm import account_rows, layout, segment
from shm.account_rows import AccountWriter
from shm.errors import LayoutError
from shm.layout import Kind, Reason
from shm.life import AlreadyHeld, LifeLock, end_with
from shm.registry import generation_folder
from shm.ring import RingWriter

from .cache import Caches
from .clock import TICK_NS, Clock
from .config import SymbolSettings, credentials
from .control import Control
from .errands import Errands
from .feeds import projectx
from .feeds.account import AccountFeed
from .feeds.gateway import Gateway
from .feeds.market import Feed
from .history.fetching import History
from .hours_relay import HoursRelay
from .http import HttpPool, VenueRefusal
from .instruments import Instruments, Opened, open_recorder
from .job import Job
from .job import parse as parse_job
from .lines import Lines
from .page import Page
from .router import Lane, Router
from .rules import ConfigError

_SOURCE: Final = "the job of the engine"


def read_job(data: bytes) -> Job:
    """The job, as it stood in the first line of stdin, with the venue's addresses. Raises ConfigError."""
    job = parse_job(data, _SOURCE)
    venue = job.settings.venue
    if not venue.api_url or not venue.market_hub_url or (venue.account and not venue.user_hub_url):
        raise ConfigError(f"{_SOURCE}: the venue has no address: start it with scripts/launch")
    return job


def boottime_ns() -> int:
    """CLOCK_BOOTTIME, the clock of every stamp in shared memory; it goes on in suspend."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def report(said: Mapping[str, object]) -> None:
    """One line for the supervisor."""
    print(json.dumps(said), flush=True)


def warm() -> None:
    """Load every kernel of the engine, on private memory: the first message must not wait for that."""
    words, recorder = _private_ring(), _private_ring()
    RingWriter(recorder, 1)
    ring = RingWriter(words, 1)
    ring.record(recorder, "NONE", 1)
    lane = Lane(SymbolSettings("NONE"), ring)
    router = Router(projectx.KEY_PLACE, lambda call: None, boottime_ns, lambda now_ns: None)
    (key, *_) = projectx.heads("CON.F.US.NONE.Z26")
    router.add(lane, [key])
    ring.configure(bytes(layout.CONFIG.itemsize))
    router.take(key + b'"]}' + projectx.SEPARATOR)
    ring.push(b"{}")
    ring.clock()
    lane.say(Reason.STARTING)
    RingWriter(words, 1, bell=np.zeros(layout.WORDS_A_LINE, layout.WORDS)).publish()
    account_rows.warm()


def _private_ring() -> layout.Words:
    words = np.zeros(layout.ring_regions(layout.MIN_RING_BYTES)["words"].shape, layout.WORDS)
    words[layout.CAPACITY] = layout.MIN_RING_BYTES
    return words


async def run(job: Job, lines: Lines) -> None:
    """Feed the rings until SIGTERM. Raises ConfigError, LayoutError and VenueRefusal: nothing else ends it."""
    user = credentials(job.settings.venue)
    here = generation_folder(job.folder, job.generation)
    counters = segment.attach(here / "engine", Kind.ENGINE, writable=True, generation=job.generation)
    counters.claim()
    page = Page(counters.array("words"))
    recorder = open_recorder(here, job.generation) if job.settings.journal.record else None
    opened = [Opened(here, job.generation, symbol, recorder) for symbol in job.settings.symbols]
    lanes = [each.lane for each in opened]
    writer = _account_writer(here, job.generation) if job.settings.venue.account else None

    loop = asyncio.get_running_loop()
    clock = Clock([lane.ring for lane in lanes], page, boottime_ns)
    router = Router(projectx.KEY_PLACE, loop.call_soon, boottime_ns, clock.notice)
    async with HttpPool(job.settings.http) as pool:
        gateway = Gateway(pool, job.settings.venue.api_url, user, time.time)
        hub_url = job.settings.venue.market_hub_url

        def let_go(lane: Lane, refusal: VenueRefusal) -> None:
            instruments.let_go(lane)
            report({"event": "let_go", "symbol": lane.settings.symbol, "message": str(refusal)})

        def silent(lane: Lane) -> None:
            instruments.suspect(lane)

        said = _report_streaming, let_go, silent
        feed = Feed(job.settings.feed, hub_url, pool, gateway, router, lanes, page, boottime_ns, *said)
        instruments = Instruments(here, job.generation, gateway, clock, feed, opened, recorder)
        errands = Errands(here, job.generation, instruments, History(gateway))
        feeding = loop.create_task(feed.run())
        tasks = [
            feeding,
            loop.create_task(keep_time(clock, pool, gateway.caches, page)),
            loop.create_task(Control(lines, instruments, report).run()),
            loop.create_task(instruments.follow_fronts(job.settings.feed.roll_check_s)),
            loop.create_task(instruments.follow_suspects()),
            loop.create_task(HoursRelay(here).run(lambda: instruments.rings)),
            loop.create_task(errands.run()),
        ]
        if writer is not None:
            venue = job.settings.venue
            where = venue.user_hub_url, venue.account_name
            view = AccountFeed(job.settings.feed, *where, pool, gateway, writer, boottime_ns, time.time_ns)
            tasks.append(loop.create_task(view.run()))
        loop.add_signal_handler(signal.SIGTERM, feeding.cancel)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


def _account_writer(here: Path, generation: int) -> AccountWriter:
    """The account's segment in the generation's folder, claimed. Raises LayoutError, FileNotFoundError."""
    account = segment.attach(here / "account", Kind.ACCOUNT, writable=True, generation=generation)
    changed = segment.attach(here / "changed", Kind.CHANGED, writable=True, generation=generation)
    account.claim()
    return AccountWriter(account.array, changed.array("words"))


def _report_streaming() -> None:
    report({"event": "streaming"})


async def keep_time(clock: Clock, pool: HttpPool, caches: Caches, page: Page) -> None:
    """Tick each 100 ms, for ever, and put the counts of the HTTP side on the page."""
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while True:
        clock.tick()
        page.set("http_requests", pool.requests)
        page.set("http_errors", pool.errors)
        page.set("http_retries", pool.retries)
        page.set("http_delayed", pool.delayed)
        for name, count in caches.counts().items():
            page.set(name, count)
        due_s = max(due_s + TICK_NS / 1e9, loop.time())  # a tick that was missed is not made up for
        await asyncio.sleep(due_s - loop.time())


def main() -> int:
    """Run the job on stdin; the exit status."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all on the terminal; the supervisor ends us in order
    warm()  # while the supervisor holds the job back: on a first start the fork server compiles at the same time
    try:
        lines = Lines(sys.stdin.fileno())
        job = read_job(lines.wait())
        end_with(job.supervisor_pid, signal.SIGKILL)
        lock = LifeLock.take(job.folder / "engine.lock")
        uvloop.run(run(job, lines))
        lock.release()
    except VenueRefusal as error:
        return _fatal(str(error), final=True)
    except (ConfigError, LayoutError) as error:
        return _fatal(str(error))
    except AlreadyHeld as error:
        return _fatal(f"an engine runs there already: {error}")
    except FileNotFoundError as error:
        return _fatal(f"{error.filename} is not there: start the engine with scripts/launch")
    except ProcessLookupError as error:
        return _fatal(f"{error.strerror}: an engine does not run without its supervisor")
    return 0


def _fatal(message: str, *, final: bool = False) -> int:
    print(f"engine: {message}", file=sys.stderr)
    report({"event": "fatal", "message": message, "final": final})
    return 1


if __name__ == "__main__":
    sys.exit(main())
