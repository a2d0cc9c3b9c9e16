"""The fault knobs as a client of the hub meets them, which follows the fact sheet and nothing else."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.engine.simulator.venue import LIMIT_S, Client, Venue, venue

MNQ, GC = "CON.F.US.MNQ.Z26", "CON.F.US.GCE.G27"


def play(folder: Path, story: Callable[[Venue], Awaitable[None]], **changed: Any) -> None:
    async def run() -> None:
        async with venue(folder, **changed) as running:
            await asyncio.wait_for(story(running), 60)

    asyncio.run(run())


async def fault(venue: Venue, kind: str, **keys: Any) -> dict[str, Any]:
    status, answer = await venue.post("/simulator/fault", {"kind": kind, **keys})
    assert status == 200
    assert answer["faults"][kind] >= 1
    return dict(answer)


async def subscribe(client: Client, *contracts: str) -> None:
    for contract in contracts:
        for kind in ("MarketDepth", "Trades", "Quotes"):
            await client.call(f"SubscribeContract{kind}", contract)
    for contract in contracts:
        await hear_depth(client, contract)


async def hear_depth(client: Client, contract: str, records: int = 20) -> None:
    """Hear so many depth records of a contract."""
    for _ in range(records):
        await client.hear_until(lambda record: is_depth(record, contract))


def is_depth(record: dict[str, Any], contract: str) -> bool:
    return record.get("target") == "GatewayDepth" and record["arguments"][0] == contract


async def drain(client: Client) -> int:
    """How many messages lie in the socket."""
    for count in range(1000):
        try:
            await asyncio.wait_for(client.hear(), 0.2)
        except TimeoutError:
            return count
    raise AssertionError("the stream goes on")


async def until_sent(venue: Venue, symbol: str, records: int) -> None:
    """Wait until so many records of a contract have gone out to whoever gets them."""
    log = venue.gateway.sender.channels[symbol].log
    goal = log.sent_records + records
    async with asyncio.timeout(LIMIT_S):
        while log.sent_records < goal:
            await asyncio.sleep(0.005)


def test_frozen_whole_says_nothing_and_thaws_with_all_of_it(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client, venue.connected() as other:
            await subscribe(client, MNQ)
            await fault(venue, "freeze")
            async with venue.connected() as late:  # it is not frozen
                await subscribe(late, MNQ)
                assert venue.agrees(late, MNQ)
            await drain(client)
            await until_sent(venue, "MNQ", 300)
            assert await drain(client) == 0
            await other.call("Heartbeat", invocation_id="1")
            await fault(venue, "thaw")
            await other.hear_until(lambda record: record.get("invocationId") == "1")
            await hear_depth(client, MNQ)
            assert venue.agrees(client, MNQ)

    play(tmp_path, story, symbols=["MNQ"])


def test_a_frozen_stream_stops_and_its_siblings_go_on(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await subscribe(client, MNQ, GC)
            await fault(venue, "freeze", symbol="MNQ")
            await client.call("Heartbeat", invocation_id="1")
            await client.hear_until(lambda record: record.get("invocationId") == "1")
            client.messages.clear()
            await hear_depth(client, GC, 50)
            assert {record["arguments"][0] for record in client.messages} == {GC}
            await fault(venue, "thaw", symbol="MNQ")
            await hear_depth(client, MNQ)
            assert venue.agrees(client, MNQ)
            assert venue.agrees(client, GC)

    play(tmp_path, story)


def test_who_subscribes_to_a_frozen_stream_has_a_snapshot_when_it_thaws(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await fault(venue, "freeze", symbol="MNQ")
            await until_sent(venue, "MNQ", 200)
            for kind in ("Quotes", "MarketDepth", "Trades"):
                await client.call(f"SubscribeContract{kind}", MNQ, invocation_id=kind)
            await client.hear_until(lambda record: record.get("invocationId") == "Trades")
            sent = venue.gateway.sender.channels["MNQ"].log.sent_trades
            await until_sent(venue, "MNQ", 200)
            assert not client.books
            await fault(venue, "thaw")
            await hear_depth(client, MNQ)
            assert venue.agrees(client, MNQ)
            assert len(client.tape) <= venue.gateway.sender.channels["MNQ"].log.sent_trades - sent

    play(tmp_path, story, symbols=["MNQ"])


def test_what_is_frozen_for_too_long_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.simulator.connection.MAX_WITHHELD", 100)

    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await subscribe(client, MNQ)
            await fault(venue, "freeze", symbol="MNQ")
            await until_sent(venue, "MNQ", 101)
            await fault(venue, "thaw")
            while (message := await client.socket.receive(LIMIT_S)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

    play(tmp_path, story, symbols=["MNQ"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "colour"},
        {"kind": ["freeze"]},
        {"kind": "freeze", "symbol": "ES"},
        {"kind": "freeze", "symbol": None},
        {"kind": "thaw", "colour": 1},
        [],
    ],
    ids=str,
)
def test_a_fault_that_cannot_be_is_refused(tmp_path: Path, body: Any) -> None:
    async def story(venue: Venue) -> None:
        async with venue.session.post(venue.url + "/simulator/fault", data=json.dumps(body)) as answer:
            assert answer.status == 400
            assert await answer.text()
        async with venue.session.get(venue.url + "/simulator/status") as answer:
            assert (await answer.json())["faults"] == {}

    play(tmp_path, story)
