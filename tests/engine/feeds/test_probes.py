"""engine/feeds/probes.py on a tiny venue: who freezes is found and cured, who is quiet stays live."""

import asyncio
import time
from datetime import UTC, datetime

from engine.config import FeedSettings
from engine.feeds import projectx
from shm.layout import Reason
from tests.engine.feeds.fake_venue import FakeVenue, snapshot, until
from tests.engine.feeds.stage import FOUND, MES, MNQ, Stage, play

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
    assert [lane.settings.symbol for lane in stage.silent] == ["MNQ"] * stage.page.read("probes")
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


def test_a_look_from_before_a_roll_says_nothing_of_the_next_contract() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        for count in range(SPOKEN):
            await tell(venue, count, MNQ, MES)
        while stage.page.read("probes") == 0:
            await tell(venue, None, MES)
        venue.snapshots = False  # a message would end the silence, and with it what was asked about it
        await stage.feed.roll(next(iter(stage.feed.contracts)), FOUND)
        for later in range(60):
            await tell(venue, SPOKEN + later, MES)

    stage = play(scene, settings=WARY, max_venue_lag_ms=50)
    assert stage.mnq.gaps == [Reason.STARTING, Reason.ROLL, Reason.CLOSED]
    assert stage.page.read("freezes") == 0
