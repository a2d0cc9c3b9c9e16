"""engine/feeds/market.py against a tiny venue in the same loop: a life from login to login, and how it ends."""

import asyncio
import logging

import orjson
import pytest

from engine.config import FeedSettings
from engine.feeds.gateway import Contract
from engine.feeds.roster import config_record
from engine.feeds.session import State
from engine.http import VenueRefusal
from shm.layout import Reason
from tests.engine.feeds.fake_venue import API_KEY, CONTRACTS, FakeVenue, snapshot, token, until
from tests.engine.feeds.stage import MES, MNQ, Stage, play, without_publish


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
        stage.mnq.fresh = False

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()

    stage = play(scene, prepare=prepare)
    assert stage.mnq.done[0] == ("gap", Reason.ENGINE_RESTART)
    assert stage.mnq.gaps == [Reason.ENGINE_RESTART, Reason.RECONNECTED, Reason.CLOSED]
    assert stage.mes.gaps == [Reason.STARTING, Reason.CLOSED]


def test_a_silent_socket_is_dropped() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        await until(lambda: stage.streams >= 2, "a new connection, subscribed")

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


@pytest.mark.parametrize("goodbye", [b'{"type":7}\x1e', b'{"type":7,"error":"x","allowReconnect":false}\x1e'])
def test_a_goodbye_is_followed_by_a_new_connection(goodbye: bytes) -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        await venue.send(goodbye)
        await until(lambda: venue.connections >= 2, "a new connection")

    play(scene)


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


def test_a_token_that_another_request_renewed_brings_a_new_connection_with_it() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        venue.token = token(mark="another")
        await stage.gateway.accounts()  # refused, so it logs in: the socket's token is an old one by now
        assert not stage.gateway.must_renew
        await stage.until_snapshots(2)
        assert venue.connections == 2
        assert [name for name, _ in venue.requests].count("Auth/loginKey") == 2

    stage = play(scene)
    assert stage.mnq.gaps == [Reason.STARTING, Reason.DISCONNECTED, Reason.RECONNECTED, Reason.CLOSED]


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


def _expire(venue: FakeVenue, *names: str) -> None:
    """The venue has no contract of these any more."""
    gone = [CONTRACTS[name][0] for name in names]
    venue.contracts = [row for row in venue.contracts if row["id"] not in gone]


def test_a_successor_lets_go_of_what_is_refused_by_now_and_feeds_the_others() -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        stage.mnq.fresh = stage.mes.fresh = False
        _expire(venue, "MNQ")

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await until(lambda: stage.mes.pushed, "a snapshot of the other")
        ((lane, refusal),) = stage.refused
        assert lane.settings.symbol == "MNQ"
        assert "no active contract of MNQ" in str(refusal)
        assert stage.mnq.gaps == [Reason.ENGINE_RESTART, Reason.CLOSED]
        done = list(stage.mnq.done)
        await venue.drop()
        await until(lambda: len(stage.mes.pushed) == 2, "the other again")
        await venue.send(snapshot(MNQ) + snapshot(MES))
        await until(lambda: len(stage.mes.pushed) == 3, "what came after")
        assert stage.mnq.done == done
        assert {*(message["arguments"][0] for message in venue.heard)} == {MES}

    stage = play(scene, prepare=prepare)
    assert len(stage.refused) == 1
    assert stage.mes.gaps[:2] == [Reason.ENGINE_RESTART, Reason.RECONNECTED]


@pytest.mark.parametrize(("fresh", "expired"), [(True, ["MNQ"]), (False, ["MNQ", "MES"])])
def test_a_first_start_or_one_without_any_other_ends_with_the_refusal(fresh: bool, expired: list[str]) -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        stage.mnq.fresh = stage.mes.fresh = fresh
        _expire(venue, *expired)

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        assert stage.task is not None
        await asyncio.wait([stage.task], timeout=10)
        assert isinstance(stage.task.exception(), VenueRefusal)

    stage = play(scene, prepare=prepare)
    assert stage.feed.state is State.CLOSED
    assert stage.refused == []
    assert stage.mnq.gaps[-1] is stage.mes.gaps[-1] is Reason.CLOSED


def test_a_venue_that_is_down_is_tried_again() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await until(lambda: venue.connections >= 3, "three tries")
        venue.upgrade_status = 0
        await stage.until_snapshots()

    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.upgrade_status = 503

    stage = play(scene, prepare=prepare)
    assert stage.mnq.gaps == [Reason.STARTING, Reason.CLOSED]
