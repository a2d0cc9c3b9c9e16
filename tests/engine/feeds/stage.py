"""A market feed of two instruments on a tiny venue in the same loop, for the tests of each of its parts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from engine.config import Credentials, FeedSettings, HttpSettings, SymbolSettings
from engine.feeds import projectx
from engine.feeds.gateway import Contract, Gateway
from engine.feeds.market import Feed
from engine.http import HttpPool, VenueRefusal
from engine.page import Page
from engine.router import Lane, Router
from tests.engine.feeds.fake_venue import API_KEY, CONTRACTS, FakeVenue, until
from tests.engine.recording import RecordingRing, page

MNQ, MES = CONTRACTS["MNQ"][0], CONTRACTS["MES"][0]
ES = "CON.F.US.EP.Z26"
FOUND = Contract(ES, "ESZ6", 250_000_000)  # one that may be added
QUICK = FeedSettings(backoff_first_ms=1, backoff_max_ms=5, resync_timeout_ms=200)


class Stage:
    """A feed of two instruments on a fake venue, running."""

    def __init__(self, venue: FakeVenue, pool: HttpPool, settings: FeedSettings, key: str, **symbol: Any) -> None:
        self.venue = venue
        self.page: Page = page()
        self.rings = {symbol: RecordingRing() for symbol in CONTRACTS}
        self.gateway = Gateway(pool, venue.api_url, Credentials("me", key), time.time)
        self.streams = 0
        self.refused: list[tuple[Lane, VenueRefusal]] = []
        self.silent: list[Lane] = []  # at each look
        lanes = [Lane(SymbolSettings(name, **symbol), ring) for name, ring in self.rings.items()]
        router = Router(projectx.KEY_PLACE, asyncio.get_running_loop().call_soon, time.monotonic_ns, lambda now: None)
        self.feed = Feed(
            settings,
            venue.hub_url,
            pool,
            self.gateway,
            router,
            lanes,
            self.page,
            time.monotonic_ns,
            self._streaming,
            self._refused,
            self.silent.append,
        )
        self.task: asyncio.Task[None] | None = None

    def _streaming(self) -> None:
        self.streams += 1

    def _refused(self, lane: Lane, refusal: VenueRefusal) -> None:
        self.refused.append((lane, refusal))

    @property
    def mnq(self) -> RecordingRing:
        return self.rings["MNQ"]

    @property
    def mes(self) -> RecordingRing:
        return self.rings["MES"]

    async def until_snapshots(self, count: int = 1) -> None:
        await until(lambda: all(len(ring.pushed) >= count for ring in self.rings.values()), f"{count} snapshots")

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])


Play = Callable[[FakeVenue, Stage], Awaitable[None]]


def play(
    scene: Play,
    settings: FeedSettings = QUICK,
    key: str = API_KEY,
    prepare: Callable[[FakeVenue, Stage], None] = lambda venue, stage: None,
    **symbol: Any,
) -> Stage:
    """Start venue and feed, run the scene, stop both."""

    async def go() -> Stage:
        async with FakeVenue() as venue, HttpPool(HttpSettings()) as pool:
            stage = Stage(venue, pool, settings, key, **symbol)
            prepare(venue, stage)
            stage.task = asyncio.create_task(stage.feed.run())
            try:
                await scene(venue, stage)
            finally:
                await stage.stop()
            return stage

    return asyncio.run(go())


def without_publish(ring: RecordingRing) -> list[tuple[object, ...]]:
    return [step for step in ring.done if step != ("publish",)]
