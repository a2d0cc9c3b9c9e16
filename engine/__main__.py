"""`python -m engine`: the I/O process of one engine. The only place that wires its parts together.

The job comes on stdin as one JSON object: {"settings", "generation", "folder", "supervisor_pid"}; user name and key
come in the environment. Logs go to stderr; stdout has one JSON line an event, for the supervisor: "streaming" when
all is subscribed, "fatal" with a message before it ends with status 1. SIGTERM ends it with status 0.

Rings outlive the process: a successor finds them as they are and begins with a gap record in each.
"""

import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import uvloop

from shm import account_rows, layout, segment
from shm.account_rows import AccountWriter
from shm.errors import LayoutError
from shm.layout import Kind, Reason, Words
from shm.life import AlreadyHeld, LifeLock, end_with
from shm.registry import generation_folder
from shm.ring import RingWriter

from .cache import Caches
from .clock import TICK_NS, Clock
from .config import ConfigError, Settings, SymbolSettings, credentials
from .feeds import projectx
from .feeds.account import AccountFeed
from .feeds.gateway import Gateway
from .feeds.socket import Feed
from .http import HttpPool, VenueRefusal
from .page import Page
from .router import Lane, Router

MAX_JOB_BYTES: Final = 1 << 20
_SOURCE: Final = "the job of the engine"


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: `folder` is the engine's, with the generation's segments below it."""

    settings: Settings
    generation: int
    folder: Path
    supervisor_pid: int


def read_job(stream: BinaryIO) -> Job:
    """The job on stdin. Raises ConfigError."""
    data = stream.read(MAX_JOB_BYTES + 1)
    try:
        job = json.loads(data) if len(data) <= MAX_JOB_BYTES else None
    except ValueError:
        job = None
    if not isinstance(job, Mapping) or set(job) != {"settings", "generation", "folder", "supervisor_pid"}:
        raise ConfigError(f"{_SOURCE}: is not the JSON object it must be: start the engine with scripts/launch")
    for key in ("generation", "supervisor_pid"):
        if type(job[key]) is not int or job[key] < 1:
            raise ConfigError(f"{_SOURCE}: {key} must be a whole number above 0: start it with scripts/launch")
    if not isinstance(job["folder"], str):
        raise ConfigError(f"{_SOURCE}: folder must be text: start it with scripts/launch")
    settings = Settings.from_json(job["settings"], _SOURCE)
    if not settings.venue.api_url or not settings.venue.market_hub_url or not settings.venue.user_hub_url:
        raise ConfigError(f"{_SOURCE}: the venue has no address: start it with scripts/launch")
    return Job(settings, job["generation"], Path(job["folder"]), job["supervisor_pid"])


def boottime_ns() -> int:
    """CLOCK_BOOTTIME, the clock of every stamp in shared memory; it goes on in suspend."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def report(event: str, **fields: str) -> None:
    """One line for the supervisor."""
    print(json.dumps({"event": event, **fields}), flush=True)


def warm() -> None:
    """Load every kernel of the engine, on private memory: the first message must not wait for that."""
    words = np.zeros(layout.ring_regions(layout.MIN_RING_BYTES)["words"].shape, layout.WORDS)
    words[layout.CAPACITY] = layout.MIN_RING_BYTES
    ring = RingWriter(words, 1)
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


async def run(job: Job) -> None:
    """Feed the rings until SIGTERM. Raises ConfigError, LayoutError and VenueRefusal: nothing else ends it."""
    user = credentials(job.settings.venue)
    here = generation_folder(job.folder, job.generation)
    segments = [segment.attach(here / "engine", Kind.ENGINE, writable=True, generation=job.generation)]
    page = Page(segments[0].array("words"))
    lanes = []
    bells: dict[str, Words] = {}
    for symbol in job.settings.symbols:
        if symbol.process and symbol.process not in bells:
            path = here / f"{symbol.process}.bell"
            segments.append(segment.attach(path, Kind.BELL, writable=True, generation=job.generation))
            bells[symbol.process] = segments[-1].array("words")
        path = here / f"{symbol.symbol}.ring"
        segments.append(segment.attach(path, Kind.RING, writable=True, generation=job.generation, symbol=symbol.symbol))
        ring = RingWriter(segments[-1].array("words"), job.generation, bell=bells.get(symbol.process))
        lanes.append(Lane(symbol, ring))
    writer = None
    if job.settings.venue.account:
        segments.append(segment.attach(here / "account", Kind.ACCOUNT, writable=True, generation=job.generation))
        changed = segment.attach(here / "changed", Kind.CHANGED, writable=True, generation=job.generation)
        writer = AccountWriter(segments[-1].array, changed.array("words"))
    for attached in segments:
        attached.claim()

    loop = asyncio.get_running_loop()
    clock = Clock([lane.ring for lane in lanes], page, boottime_ns)
    router = Router(projectx.KEY_PLACE, loop.call_soon, boottime_ns, clock.notice)
    async with HttpPool(job.settings.http) as pool:
        gateway = Gateway(pool, job.settings.venue.api_url, user, time.time)
        hub_url = job.settings.venue.market_hub_url
        feed = Feed(job.settings.feed, hub_url, pool, gateway, router, lanes, page, boottime_ns, _report_streaming)
        feeding = loop.create_task(feed.run())
        tasks = [feeding, loop.create_task(keep_time(clock, pool, gateway.caches, page))]
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


def _report_streaming() -> None:
    report("streaming")


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
        job = read_job(sys.stdin.buffer)
        end_with(job.supervisor_pid, signal.SIGKILL)
        lock = LifeLock.take(job.folder / "engine.lock")
        uvloop.run(run(job))
        lock.release()
    except (ConfigError, LayoutError, VenueRefusal) as error:
        return _fatal(str(error))
    except AlreadyHeld as error:
        return _fatal(f"an engine runs there already: {error}")
    except FileNotFoundError as error:
        return _fatal(f"{error.filename} is not there: start the engine with scripts/launch")
    except ProcessLookupError as error:
        return _fatal(f"{error.strerror}: an engine does not run without its supervisor")
    return 0


def _fatal(message: str) -> int:
    print(f"engine: {message}", file=sys.stderr)
    report("fatal", message=message)
    return 1


if __name__ == "__main__":
    sys.exit(main())
