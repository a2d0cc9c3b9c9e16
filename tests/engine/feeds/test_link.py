"""engine/feeds/link.py against a tiny venue: connections one after the other, and each thing that ends one."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from engine.config import Credentials, FeedSettings, HttpSettings
from engine.feeds.gateway import Gateway
from engine.feeds.link import FORGIVEN_AFTER_NS, Hub, Link
from engine.feeds.session import Event
from engine.http import HttpPool, VenueError
from tests.engine.feeds.fake_venue import API_KEY, FakeVenue, token, until

QUICK = FeedSettings(backoff_first_ms=1, backoff_max_ms=4, ping_interval_ms=60)
SILENCE_MS = 200


class Stage:
    """A link to a fake venue. Its clock is the machine's, set forward by `late_ns`."""

    def __init__(self, venue: FakeVenue, pool: HttpPool) -> None:
        self.late_ns = 0
        self.gateway = Gateway(pool, venue.api_url, Credentials("me", API_KEY), time.time)
        hub = Hub("the hub", venue.hub_url, 1 << 16, SILENCE_MS, deflate=False)
        self.link = Link(hub, QUICK, pool, self.gateway, self._now_ns)

    def _now_ns(self) -> int:
        return time.monotonic_ns() + self.late_ns

    async def open(self) -> None:
        assert await self.link.connect() is Event.DONE
        await self.link.socket.shake_hands()


def play(scene: Callable[[FakeVenue, Stage], Awaitable[None]]) -> None:
    async def go() -> None:
        async with FakeVenue() as venue, HttpPool(HttpSettings()) as pool:
            stage = Stage(venue, pool)
            try:
                await asyncio.wait_for(scene(venue, stage), 20)
            finally:
                await stage.link.close()

    asyncio.run(go())


def logins(venue: FakeVenue) -> int:
    return [name for name, _ in venue.requests].count("Auth/loginKey")


async def watch(link: Link, *, heard: bool) -> str:
    """Poll until the connection has to end."""
    while not (why := await link.poll(lambda: heard)):
        pass
    return why


def test_there_is_a_socket_from_connecting_to_closing() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        with pytest.raises(RuntimeError, match="no connection to the hub"):
            _ = stage.link.socket
        await stage.open()
        assert len(venue.sockets) == 1
        await stage.link.close()
        await until(lambda: not venue.sockets, "the venue sees the end")
        with pytest.raises(RuntimeError, match="no connection to the hub"):
            _ = stage.link.socket
        await stage.link.close()  # of none: nothing to do

    play(scene)


@pytest.mark.parametrize(("status", "expected"), [(401, 2), (503, 1)])
def test_only_a_token_that_is_not_taken_is_followed_by_a_login(status: int, expected: int) -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        venue.upgrade_status = status
        assert await stage.link.connect() is Event.LOST
        venue.upgrade_status = 0
        await stage.open()
        assert logins(venue) == expected

    play(scene)


def test_the_first_work_to_end_ends_all() -> None:
    ended: list[str] = []

    async def lasting(name: str) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)
        return "never"

    async def brief() -> str:
        await asyncio.sleep(0)
        return "it was enough"

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        assert await stage.link.hold(lasting("one"), brief(), lasting("other")) == "it was enough"
        assert sorted(ended) == ["one", "other"]

    play(scene)


def test_who_is_cancelled_leaves_no_work_behind() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        work = asyncio.Event()
        holding = asyncio.create_task(stage.link.hold(work.wait()))
        before = len(asyncio.all_tasks())
        await until(lambda: len(asyncio.all_tasks()) > before, "the work begins")
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding
        assert len(asyncio.all_tasks()) < before

    play(scene)


def test_silence_ends_a_connection_and_is_said_of_that_one_only() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.open()
        assert await stage.link.hold(watch(stage.link, heard=False)) == f"no byte came for {SILENCE_MS} ms"
        assert stage.link.is_silent
        await stage.link.back_off()
        await stage.open()
        assert not stage.link.is_silent

    play(scene)


def test_whoever_is_heard_is_pinged_until_the_token_is_an_old_one() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.open()
        holding = asyncio.create_task(stage.link.hold(watch(stage.link, heard=True)))
        await until(lambda: venue.pings >= SILENCE_MS / 60 + 2, "pings, for longer than a silence may last")
        venue.token = token(mark="another")
        stage.gateway.forget_token()
        await stage.gateway.token()
        assert await holding == "its token is an old one"
        assert not stage.link.is_silent

    play(scene)


def test_a_ping_that_nobody_takes_is_an_error() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.open()
        await stage.link.socket.close()
        with pytest.raises(VenueError, match="takes nothing more"):
            await stage.link.hold(watch(stage.link, heard=True))

    play(scene)


def test_pauses_grow_until_a_connection_was_held_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    def pause_ns(attempt: int, *_: float) -> int:
        attempts.append(attempt)
        return 0

    async def nothing() -> str:
        return ""

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        for _ in range(3):
            await stage.link.back_off()
        await stage.link.hold(nothing())
        await stage.link.back_off()  # it was not held for long
        await stage.link.hold(nothing())
        stage.late_ns += FORGIVEN_AFTER_NS
        for _ in range(2):
            await stage.link.back_off()

    monkeypatch.setattr("engine.feeds.link.backoff_ns", pause_ns)
    play(scene)
    assert attempts == [0, 1, 2, 3, 0, 1]


def test_a_pause_is_as_long_as_the_settings_say() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        for failures, longest_s in ((0, 0.001), (1, 0.002), (9, 0.004)):
            assert longest_s / 2 <= stage.link.pause_s(failures) <= longest_s

    play(scene)
