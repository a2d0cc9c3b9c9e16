"""engine/feeds/socket.py against a tiny venue in the same loop: what goes into the rings, and in which order."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest

from engine.config import Credentials, FeedSettings, HttpSettings, SymbolSettings
from engine.feeds import projectx
from engine.feeds.gateway import Contract, Gateway
from engine.feeds.session import State
from engine.feeds.socket import Feed, config_record
from engine.http import HttpPool, VenueRefusal
from engine.page import Page
from engine.router import Lane, Router
from shm import layout
from shm.layout import Reason
from tests.engine.feeds.fake_venue import API_KEY, CONTRACTS, FakeVenue, snapshot, token, until
from tests.engine.recording import RecordingRing, page

MNQ, MES = CONTRACTS["MNQ"][0], CONTRACTS["MES"][0]
QUICK = FeedSettings(backoff_first_ms=1, backoff_max_ms=5, resync_timeout_ms=200)


class Stage:
    """A feed of two instruments on a fake venue, running."""

    def __init__(self, venue: FakeVenue, pool: HttpPool, settings: FeedSettings, key: str, **symbol: Any) -> None:
        self.venue = venue
        self.page: Page = page()
        self.rings = {symbol: RecordingRing() for symbol in CONTRACTS}
        self.gateway = Gateway(pool, venue.api_url, Credentials("me", key), time.time)
        self.streams = 0
        lanes = [Lane(SymbolSettings(name, **symbol), ring) for name, ring in self.rings.items()]
        router = Router(projectx.KEY_PLACE, asyncio.get_running_loop().call_soon, time.monotonic_ns, lambda now: None)
        self.feed = Feed(
            settings, venue.hub_url, pool, self.gateway, router, lanes, self.page, time.monotonic_ns, self._streaming
        )
        self.task: asyncio.Task[None] | None = None

    def _streaming(self) -> None:
        self.streams += 1

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


def test_the_order_of_a_whole_life() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        gap_was_first = []

        def on_subscribe(target: str, contract: str) -> None:
            ring = next(ring for name, ring in stage.rings.items() if CONTRACTS[name][0] == contract)
            gap_was_first.append(ring.gaps[-1] in (Reason.STARTING, Reason.RECONNECTED, Reason.RESYNC))

        venue.on_subscribe = on_subscribe
        await stage.until_snapshots()
        await venue.drop()
        await stage.until_snapshots(2)
        assert gap_was_first == [True] * 12

    stage = play(scene)
    config = config_record(Contract(MNQ, "MNQZ6", 250_000_000), 1_000_000_000)
    book = snapshot(MNQ)[:-1]
    assert without_publish(stage.mnq) == [
        ("configure", config),
        ("gap", Reason.STARTING),
        ("push", book),
        ("gap", Reason.DISCONNECTED),
        ("gap", Reason.RECONNECTED),
        ("push", book),
        ("gap", Reason.CLOSED),
    ]
    assert stage.mnq.done[-1] == ("publish",)
    assert stage.streams == 2
    assert stage.feed.state is State.CLOSED
    assert stage.page.read("connects") == 2
    assert stage.page.read("feed_state") == State.CLOSED
    assert stage.page.read("messages") == 4


def test_a_successor_says_first_that_it_is_one() -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        raise_on = stage.mnq
        raise_on.fresh = False
        stage.feed._restarted = {lane: not lane.ring.fresh for lane in stage.feed._lanes}

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()

    stage = play(scene, prepare=prepare)
    assert stage.mnq.done[0] == ("gap", Reason.ENGINE_RESTART)
    assert stage.mnq.gaps == [Reason.ENGINE_RESTART, Reason.RECONNECTED, Reason.CLOSED]
    assert stage.mes.gaps == [Reason.STARTING, Reason.CLOSED]


def test_each_instrument_is_subscribed_to_quotes_trades_and_depth() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        assert [(message["target"][17:], *message["arguments"]) for message in venue.heard] == [
            (kind, contract) for contract in (MNQ, MES) for kind in ("Quotes", "Trades", "MarketDepth")
        ]

    play(scene)


def test_records_are_found_however_frames_are_cut() -> None:
    trade = b'{"type":1,"target":"GatewayTrade","arguments":["%s",[]]}' % MES.encode()
    spaced = orjson.dumps(orjson.loads(trade), option=orjson.OPT_INDENT_2)

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        stream = b"\x1e".join([trade, spaced, b'{"type":6}', trade, b""])
        for frame in (stream, stream[:70], stream[70:75], stream[75:], trade + b"\x1e"):
            await venue.send(frame)
        await until(lambda: len(stage.mes.pushed) == 8, "every trade")

    stage = play(scene)
    assert stage.mes.pushed[1:] == [trade, spaced, trade] * 2 + [trade]
    assert stage.page.read("unrouted") == 0


def test_what_is_not_ours_is_counted() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        for message in (
            snapshot("CON.F.US.EP.Z26"),
            b'{"type":1,"target":"GatewayLogout","arguments":[]}\x1e',
            b"?\x1e",
        ):
            await venue.send(message)
        await until(lambda: stage.page.read("unrouted") == 3, "three counted")

    play(scene)


def test_a_wish_is_answered_on_the_living_socket() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        stage.mnq.resync_wanted += 1
        await until(lambda: len(stage.mnq.pushed) == 2, "a second snapshot")
        again = venue.heard[6:]
        assert [message["target"] for message in again] == [
            "UnsubscribeContractMarketDepth",
            "SubscribeContractMarketDepth",
        ]
        assert "invocationId" in again[1]
        assert venue.connections == 1

    stage = play(scene)
    assert [step[0] for step in without_publish(stage.mnq)][2:] == ["push", "gap", "push", "gap"]
    assert stage.mnq.gaps == [Reason.STARTING, Reason.RESYNC, Reason.CLOSED]
    assert stage.mes.gaps == [Reason.STARTING, Reason.CLOSED]
    assert stage.page.read("resubscribes") == 1


def test_a_wish_without_a_snapshot_ends_the_connection() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        venue.snapshots = False

        def on_subscribe(target: str, contract: str) -> None:
            venue.snapshots = venue.connections == 2

        venue.on_subscribe = on_subscribe
        stage.mnq.resync_wanted += 1
        await stage.until_snapshots(2)

    stage = play(scene)
    assert stage.mnq.gaps[1:4] == [Reason.RESYNC, Reason.DISCONNECTED, Reason.RECONNECTED]
    assert stage.mes.gaps[1:3] == [Reason.DISCONNECTED, Reason.RECONNECTED]


def test_a_refused_subscription_ends_the_connection() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        venue.completion_error = f"no: {venue.token}"
        stage.mnq.resync_wanted += 1
        await until(lambda: venue.connections >= 2, "a new connection")

    play(scene, settings=FeedSettings(backoff_first_ms=1, resync_timeout_ms=60_000))


def test_wishes_of_before_the_connection_are_fulfilled_by_it() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        stage.mes.resync_wanted += 1  # both are looked at in one poll
        await until(lambda: len(stage.mes.pushed) == 2, "a second snapshot of the other")
        assert stage.page.read("resubscribes") == 1

    def prepare(venue: FakeVenue, stage: Stage) -> None:
        stage.mnq.resync_wanted = 7

    play(scene, prepare=prepare)


def test_a_silent_instrument_is_resynced() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        await until(lambda: len(stage.mnq.pushed) == 2, "a second snapshot")
        assert venue.connections == 1

    stage = play(scene, max_silence_ms=200)
    assert stage.mnq.gaps[:3] == [Reason.STARTING, Reason.SILENCE, Reason.RESYNC]


TRADE = b'{"type":1,"target":"GatewayTrade","arguments":["%s",[]]}\x1e'
WARY = FeedSettings(backoff_first_ms=1, backoff_max_ms=5, resync_timeout_ms=5000, probe_after_ms=100)
SPOKEN = 40  # messages, one a poll or fewer: then a rhythm is known


async def tell(venue: FakeVenue, volume: int | None, *speaking: str) -> None:
    """A trade of each of `speaking`. The bars go on as `volume` does, in a second behind all of these messages; with
    None they stay as they are."""
    if volume is not None:
        venue.bars = [{"t": f"{datetime.fromtimestamp(time.time() + 60, UTC):%FT%TZ}", "v": 1 + volume}]
    for contract in speaking:
        await venue.send(TRADE % contract.encode())
    await asyncio.sleep(0.025)


def test_one_that_freezes_among_its_siblings_is_subscribed_again_as_a_whole() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        for count in range(SPOKEN):
            await tell(venue, count, MNQ, MES)
        before = len(venue.heard)
        count = SPOKEN
        while stage.page.read("freezes") == 0 and count < 800:
            count += 1
            await tell(venue, count, MES)
        await until(lambda: len(venue.heard) == before + 6, "three kinds, taken back and asked for again")
        again = venue.heard[before:]
        assert {tuple(message["arguments"]) for message in again} == {(MNQ,)}
        assert [message["target"] for message in again] == [
            f"{verb}Contract{kind}" for kind in projectx.KINDS for verb in ("Unsubscribe", "Subscribe")
        ]
        assert ["invocationId" in message for message in again] == [False] * 5 + [True]
        await until(lambda: stage.mnq.pushed[-1] == snapshot(MNQ)[:-1], "its snapshot")
        assert venue.connections == 1

    stage = play(scene, settings=WARY, max_venue_lag_ms=50)
    assert stage.mnq.gaps == [Reason.STARTING, Reason.SILENCE, Reason.RESYNC, Reason.CLOSED]
    assert stage.mes.gaps == [Reason.STARTING, Reason.CLOSED]
    assert stage.page.read("freezes") == 1
    assert stage.page.read("probes") >= 2


def test_all_that_freeze_are_told_so_and_get_a_new_socket() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        for count in range(SPOKEN):
            await tell(venue, count, MNQ, MES)
        while venue.connections < 2 and count < 800:
            count += 1
            await tell(venue, count)
        await until(lambda: stage.streams == 2, "streaming again")

    stage = play(scene, settings=WARY, max_venue_lag_ms=50)
    for ring in (stage.mnq, stage.mes):
        assert ring.gaps == [Reason.STARTING, Reason.SILENCE, Reason.RECONNECTED, Reason.CLOSED]
    assert stage.page.read("freezes") == 1


def test_one_that_is_quiet_beyond_every_limit_stays_live() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        for count in range(SPOKEN):
            await tell(venue, count, MNQ, MES)
        while stage.page.read("probes") < 5 and count < 1600:
            count += 1
            await tell(venue, None, MES)

    stage = play(scene, settings=WARY, max_venue_lag_ms=50, max_silence_ms=1500)
    assert stage.page.read("probes") >= 5
    assert stage.mnq.gaps == [Reason.STARTING, Reason.CLOSED]


def test_without_an_answer_of_rest_the_plain_limit_stands() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        for count in range(SPOKEN):
            await tell(venue, count, MNQ, MES)
        venue.bars = "none"
        while len(stage.mnq.gaps) < 3 and count < 800:
            count += 1
            await tell(venue, None, MES)
        assert stage.page.read("probes") >= 1

    stage = play(scene, settings=WARY, max_silence_ms=1500)
    assert stage.mnq.gaps[:3] == [Reason.STARTING, Reason.SILENCE, Reason.RESYNC]
    assert stage.page.read("freezes") == 0


def test_a_silent_socket_is_dropped() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        await until(lambda: venue.connections >= 2, "a new connection")

    stage = play(scene, settings=FeedSettings(backoff_first_ms=1, socket_silence_ms=200))
    assert stage.mnq.gaps[:3] == [Reason.STARTING, Reason.DISCONNECTED, Reason.RECONNECTED]


def test_pings_are_sent_and_a_venue_that_pings_is_not_silent() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        while venue.pings < 8:
            pings = venue.pings
            await until(lambda pings=pings: venue.pings > pings, "a ping")  # type: ignore[misc]
            await venue.send(b'{"type":6}\x1e')
        assert venue.connections == 1

    play(scene, settings=FeedSettings(ping_interval_ms=50, socket_silence_ms=300))


def test_a_websocket_ping_is_answered_and_counts_as_a_sign_of_life() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        await until(lambda: stage.page.read("frames") == 2, "both snapshots counted")
        await venue.sockets[0].ping(b"hello")
        await until(lambda: stage.page.read("frames") == 3, "the ping")
        await venue.send(snapshot(MNQ))
        await until(lambda: len(stage.mnq.pushed) == 2, "a message behind it")
        assert venue.connections == 1

    play(scene)


@pytest.mark.parametrize("goodbye", [b'{"type":7}\x1e', b'{"type":7,"error":"x","allowReconnect":false}\x1e'])
def test_a_goodbye_is_followed_by_a_new_connection(goodbye: bytes) -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        await venue.send(goodbye)
        await until(lambda: venue.connections >= 2, "a new connection")

    play(scene)


def test_a_stream_without_an_end_is_refused() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        for _ in range(5):
            await venue.send(b"x" * (1 << 20))
        await until(lambda: venue.connections >= 2, "a new connection")

    assert play(scene).page.read("refused_frames") == 1


@pytest.mark.parametrize("reply", [b'{"error":"no"}\x1e', b'{"type":6}\x1e', b"\xff\x1e"])
def test_a_refused_handshake_is_tried_again_later(reply: bytes) -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.handshake_reply = reply.decode("latin1").encode()

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await until(lambda: venue.connections >= 3, "three connections")
        venue.handshake_reply = b"{}\x1e"
        await stage.until_snapshots()

    stage = play(scene, prepare=prepare)
    assert stage.mnq.gaps == [Reason.STARTING, Reason.CLOSED]


def test_what_comes_behind_the_handshake_in_one_frame_is_not_lost() -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.handshake_reply = b"{}\x1e" + snapshot(MNQ)[:-20]

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        venue.snapshots = False
        await until(lambda: stage.streams, "streaming")
        await venue.send(snapshot(MNQ)[-20:] + snapshot(MES))
        await stage.until_snapshots()

    stage = play(scene, prepare=prepare)
    assert stage.mnq.pushed == [snapshot(MNQ)[:-1]]


def test_a_handshake_that_never_comes() -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.handshake_reply = b""

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await until(lambda: venue.connections >= 2, "a second try")

    play(scene, settings=FeedSettings(backoff_first_ms=1, handshake_timeout_ms=100), prepare=prepare)


def test_a_refused_token_is_followed_by_one_login() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        venue.token = token(5000, "another")
        await venue.drop()
        await stage.until_snapshots(2)
        assert [name for name, _ in venue.requests].count("Auth/loginKey") == 2
        assert venue.connections == 3

    play(scene)


def test_a_token_about_to_end_brings_a_new_connection_with_a_new_one() -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.token = token(2)

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots(2)
        assert [name for name, _ in venue.requests][-1] == "Auth/validate"

    play(scene, prepare=prepare)


def test_the_token_and_the_key_are_in_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    secrets: list[str] = []

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        secrets.extend([venue.token, *venue.token.split("."), API_KEY])
        echo = venue.token
        venue.completion_error = echo
        stage.mnq.resync_wanted += 1
        await until(lambda: venue.connections >= 2, "a refused subscription")
        venue.handshake_reply = orjson.dumps({"error": f"bad {echo}"}) + b"\x1e"
        await venue.drop()
        await until(lambda: venue.connections >= 4, "a refused handshake")
        venue.upgrade_status = 401
        await until(lambda: venue.connections >= 6, "a refused upgrade")
        venue.upgrade_status = 302
        before = venue.connections
        await until(lambda: venue.connections >= before + 30, "redirects to the same place, given up twice")

    with caplog.at_level(logging.DEBUG):
        play(scene)
    said = "\n".join(f"{record.getMessage()} {record.exc_info} {record.args}" for record in caplog.records)
    assert "status 401" in said
    assert "TooManyRedirects" in said
    assert "a text with a secret in it" in said
    for secret in secrets:
        if len(secret) > 4:
            assert secret not in said


def test_a_wrong_key_ends_the_feed_and_says_so() -> None:
    refusal: list[BaseException | None] = []

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        assert stage.task is not None
        await asyncio.wait([stage.task], timeout=10)
        refusal.append(stage.task.exception())
        assert [name for name, _ in venue.requests] == ["Auth/loginKey"]

    stage = play(scene, key="canary-wrong")
    assert isinstance(refusal[0], VenueRefusal)
    assert "canary" not in str(refusal[0])
    assert stage.feed.state is State.CLOSED
    assert stage.mnq.gaps == [Reason.CLOSED]


def test_a_venue_that_is_down_is_tried_again() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await until(lambda: venue.connections >= 3, "three tries")
        venue.upgrade_status = 0
        await stage.until_snapshots()

    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.upgrade_status = 503

    stage = play(scene, prepare=prepare)
    assert stage.mnq.gaps == [Reason.STARTING, Reason.CLOSED]


def test_a_full_ring_gets_its_configuration_later() -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        stage.mnq.full = True

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await until(lambda: stage.streams, "streaming")
        assert not any(step[0] == "configure" for step in stage.mnq.done)
        stage.mnq.full = False
        await until(lambda: any(step[0] == "configure" for step in stage.mnq.done), "the configuration")

    play(scene, prepare=prepare)


def test_the_configuration_record() -> None:
    (row,) = np.frombuffer(config_record(Contract("CON.F.US.CLE.F27", "CLF7", 10_000_000), 5), layout.CONFIG)
    assert row["contract"] == b"CON.F.US.CLE.F27"
    assert [int(row[name]) for name in list(layout.CONFIG.fields or ())[1:]] == [
        9,
        10_000_000,
        0,
        1,
        layout.Source.VENUE,
        5,
    ]


ES = "CON.F.US.EP.Z26"
FOUND = Contract(ES, "ESZ6", 250_000_000)


def heard_since(venue: FakeVenue, count: int) -> list[str]:
    """What was subscribed and unsubscribed: SubscribeContractTrades is "+Trades"."""
    found = []
    for said in venue.heard[count:]:
        sign, _, kind = said["target"].partition("Contract")
        found.append(f"{'-' if sign.startswith('Un') else '+'}{kind} {said['arguments'][0]}")
    return found


def new_lane(**settings: Any) -> tuple[Lane, RecordingRing]:
    ring = RecordingRing()
    return Lane(SymbolSettings("ES", **settings), ring), ring


def three(sign: str, contract: str) -> list[str]:
    return [f"{sign}{kind} {contract}" for kind in projectx.KINDS]


def test_an_instrument_is_added_and_removed_on_the_living_socket() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        others, heard = [list(ring.done) for ring in stage.rings.values()], len(venue.heard)
        lane, ring = new_lane()
        await stage.feed.add(lane, FOUND)
        await until(lambda: ring.pushed, "its snapshot")
        assert heard_since(venue, heard) == three("+", ES)
        assert without_publish(ring) == [
            ("configure", config_record(FOUND, 1_000_000_000)),
            ("gap", Reason.STARTING),
            ("push", snapshot(ES)[:-1]),
        ]
        await stage.feed.remove(lane)
        assert heard_since(venue, heard) == three("+", ES) + three("-", ES)
        assert ring.done[-2:] == [("gap", Reason.CLOSED), ("publish",)]
        assert lane not in stage.feed.contracts
        ended = list(ring.done)
        await venue.send(snapshot(ES) + snapshot(MNQ))
        await stage.until_snapshots(1)
        await until(lambda: len(stage.mnq.pushed) == 2, "what came after")
        assert ring.done == ended
        assert [list(ring.done)[: len(done)] for ring, done in zip(stage.rings.values(), others, strict=True)] == others

    stage = play(scene)
    assert stage.page.read("connects") == 1
    assert all(ring.gaps == [Reason.STARTING, Reason.CLOSED] for ring in stage.rings.values())


def test_what_comes_before_the_venue_has_let_go_is_not_lost() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        lane = next(iter(stage.feed.contracts))

        def last_words(target: str, contract: str) -> None:
            if target.startswith("Un"):
                for socket in venue.sockets:
                    asyncio.get_running_loop().create_task(socket.send_str(snapshot(contract).decode()))

        venue.on_subscribe = last_words
        await stage.feed.remove(lane)
        venue.on_subscribe = lambda target, contract: None
        assert len(stage.mnq.pushed) > 1

    play(scene)


def test_an_instrument_that_comes_while_there_is_no_socket_is_subscribed_with_the_next() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        lane, ring = new_lane()
        venue.upgrade_status = 503
        await venue.drop()
        await until(lambda: stage.feed.state is State.BACKING_OFF, "the connection is lost")
        await stage.feed.add(lane, FOUND)
        assert ring.gaps == []
        venue.upgrade_status = 0
        await until(lambda: ring.pushed, "its snapshot")
        assert ring.gaps == [Reason.RECONNECTED]
        venue.upgrade_status = 503
        await venue.drop()
        await until(lambda: stage.feed.state is State.BACKING_OFF, "the connection is lost")
        await stage.feed.remove(lane)
        assert ring.gaps == [Reason.RECONNECTED, Reason.DISCONNECTED, Reason.CLOSED]

    play(scene)


def test_a_venue_that_does_not_say_that_it_let_go_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.feeds.socket.FAREWELL_S", 0.05)

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        lane = next(iter(stage.feed.contracts))
        venue.mute = True
        await stage.feed.remove(lane)
        assert stage.mnq.gaps[-1] is Reason.CLOSED

    play(scene)


def test_a_roll_is_a_gap_then_the_next_contract() -> None:
    next_month = Contract("CON.F.US.MNQ.H27", "MNQH7", 500_000_000)

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        heard = len(venue.heard)
        lane = next(iter(stage.feed.contracts))
        await stage.feed.roll(lane, next_month)
        await until(lambda: len(stage.mnq.pushed) == 2, "the next contract's snapshot")
        assert heard_since(venue, heard) == three("-", MNQ) + three("+", next_month.contract_id)
        await venue.send(snapshot(MNQ) + snapshot(next_month.contract_id) + snapshot(MES))
        await until(lambda: len(stage.mes.pushed) == 2, "what came after")
        assert without_publish(stage.mnq)[3:] == [
            ("gap", Reason.ROLL),
            ("configure", config_record(next_month, 1_000_000_000)),
            ("push", snapshot(next_month.contract_id)[:-1]),
            ("push", snapshot(next_month.contract_id)[:-1]),
        ]
        await venue.drop()
        await until(lambda: len(stage.mnq.pushed) == 4 and len(stage.mes.pushed) == 3, "both again")

    stage = play(scene)
    assert stage.mes.gaps == [Reason.STARTING, Reason.DISCONNECTED, Reason.RECONNECTED, Reason.CLOSED]


def test_a_full_ring_gets_the_next_contract_later() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        lane = next(iter(stage.feed.contracts))
        stage.mnq.full = True
        await stage.feed.roll(lane, FOUND)
        stage.mnq.full = False
        configured = ("configure", config_record(FOUND, 1_000_000_000))
        await until(lambda: configured in stage.mnq.done, "the next contract")

    play(scene)
