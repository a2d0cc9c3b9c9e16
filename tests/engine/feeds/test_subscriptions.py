"""engine/feeds/subscriptions.py on a tiny venue: gap, subscription, snapshot, and that the others do not notice."""

import asyncio
import logging
from typing import Any

import pytest

from engine.config import FeedSettings, SymbolSettings
from engine.feeds import projectx
from engine.feeds.gateway import Contract
from engine.feeds.roster import config_record
from engine.feeds.session import State
from engine.router import Lane
from shm.layout import Reason
from tests.engine.feeds.fake_venue import FakeVenue, snapshot, until
from tests.engine.feeds.stage import ES, FOUND, MES, MNQ, Stage, play, without_publish
from tests.engine.recording import RecordingRing


def test_each_instrument_is_subscribed_to_quotes_trades_and_depth() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        assert [(message["target"][17:], *message["arguments"]) for message in venue.heard] == [
            (kind, contract) for contract in (MNQ, MES) for kind in ("Quotes", "Trades", "MarketDepth")
        ]

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


def test_the_log_says_who_asked_for_a_snapshot(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        stage.mnq.resync_wanted += 1
        await until(lambda: "is subscribed again" in caplog.text, "a word in the log")

    caplog.set_level(logging.INFO)
    play(scene)
    assert "MNQ is subscribed again: its worker cannot go on with the book it has (its events say why)" in caplog.text


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
    monkeypatch.setattr("engine.feeds.subscriptions.FAREWELL_S", 0.05)

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        lane = next(iter(stage.feed.contracts))
        venue.mute = True
        await stage.feed.remove(lane)
        assert stage.mnq.gaps[-1] is Reason.CLOSED

    play(scene)


def test_a_roll_is_the_next_contract_then_a_gap() -> None:
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
            ("configure", config_record(next_month, 1_000_000_000)),
            ("gap", Reason.ROLL),
            ("push", snapshot(next_month.contract_id)[:-1]),
            ("push", snapshot(next_month.contract_id)[:-1]),
        ]
        await venue.drop()
        await until(lambda: len(stage.mnq.pushed) == 4 and len(stage.mes.pushed) == 3, "both again")

    stage = play(scene)
    assert stage.mes.gaps == [Reason.STARTING, Reason.DISCONNECTED, Reason.RECONNECTED, Reason.CLOSED]
