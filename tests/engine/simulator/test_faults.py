"""The fault knobs as a client of the hub meets them, which follows the fact sheet and nothing else."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.engine.simulator.venue import LIMIT_S, Client, Venue, play, stamp_ns

MNQ, GC = "CON.F.US.MNQ.Z26", "CON.F.US.GCE.G27"


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


def is_quote(record: dict[str, Any]) -> bool:
    return record.get("target") == "GatewayQuote"


def quote_of(record: dict[str, Any]) -> dict[str, Any]:
    return dict(record["arguments"][1]) if is_quote(record) else {}


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


def test_dropped_mid_batch_ends_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        host, _, port = venue.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"GET /hubs/market?access_token={token} HTTP/1.1\r\nHost: x\r\n".encode()
            + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        for text in (
            '{"protocol":"json","version":1}',
            f'{{"type":1,"target":"SubscribeContractMarketDepth","arguments":["{MNQ}"]}}',
        ):
            payload = text.encode() + b"\x1e"
            writer.write(bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
        await reader.readuntil(b'"GatewayDepth"')
        await fault(venue, "drop_mid_batch")
        rest = await reader.read()
        assert not rest.endswith(b"}\x1e"), "whole frames end so"
        writer.close()

    play(tmp_path, story, symbols=["MNQ"])


def test_a_slow_reader_is_late_and_then_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.simulator.sender.MAX_BEHIND_BYTES", 100_000)

    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await subscribe(client, MNQ)
            await fault(venue, "slow_reader", bytes_per_s=20_000)
            log = venue.gateway.sender.channels["MNQ"].log
            while stamp_ns(client.stamps[MNQ]) > log.last_ns - 100_000_000:
                await client.hear()
                assert venue.agrees(client, MNQ)
            while (message := await client.socket.receive(LIMIT_S)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert venue.gateway.sender.cut_off == 1

    play(tmp_path, story, symbols=["MNQ"])


def test_duplicate_after_reconnect_repeats_the_last_trades_to_the_byte(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await client.call("SubscribeContractTrades", MNQ)
            await client.hear_until(lambda record: client.tape)
            await fault(venue, "duplicate_after_reconnect")
            await client.hear_until(lambda record: record == {"type": 7, "allowReconnect": True})
            last = client.messages[-2]
        async with venue.connected() as client:
            await client.call("SubscribeContractTrades", MNQ)
            await client.hear()
            assert client.messages[-1] == last
            await client.hear_until(lambda record: record.get("target") == "GatewayTrade")
            assert client.messages[-1] != last
        truth = venue.truth[MNQ]
        ((row, first_row),) = truth.repeats(0)
        again, once = truth.trades_sent(row, row + 1), truth.trades_sent(first_row, first_row + 1)
        assert (
            again[["venue_ns", "price", "size", "side"]].tolist()
            == once[["venue_ns", "price", "size", "side"]].tolist()
        )
        assert stamp_ns(last["arguments"][1][0]["timestamp"]) == int(once["venue_ns"][0])

    play(tmp_path, story, symbols=["MNQ"])


def test_a_reused_id_is_answered_404(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        await fault(venue, "reused_id_404", times=2)
        token = await venue.login()
        _, offer = await venue.post(f"/hubs/market/negotiate?access_token={token}")
        for query in ("", f"&id={offer['connectionId']}"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await venue.session.ws_connect(f"{venue.url}/hubs/market?access_token={token}{query}")
            assert refused.value.status == 404
        async with venue.connected():
            pass
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:  # that id has had its life
            await venue.session.ws_connect(f"{venue.url}/hubs/market?access_token={token}&id={offer['connectionId']}")
        assert refused.value.status == 404

    play(tmp_path, story, symbols=["MNQ"])


@pytest.mark.parametrize("revoke", [False, True])
def test_a_logout_is_said_on_both_hubs_and_ends_them(tmp_path: Path, revoke: bool) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        async with venue.connected() as market, venue.connected(hub="user") as user:
            await fault(venue, "logout", revoke=revoke)
            for client in (market, user):
                await client.hear_until(lambda record: record.get("target") == "GatewayLogout")
                await client.hear_until(lambda record: record["type"] == 7)
                assert (await client.socket.receive(LIMIT_S)).type is aiohttp.WSMsgType.CLOSE
        assert (await venue.post("/api/Auth/validate", None, token))[0] == (401 if revoke else 200)

    play(tmp_path, story, symbols=["MNQ"])


def test_stale_stamps_jump_back_and_change_nothing(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await subscribe(client, MNQ)
            await fault(venue, "stale_stamps", symbol="MNQ", records=50, age_ms=300)
            newest, back = 0, 0
            while back < 49:  # the first of them may be no older than what came before it here
                await client.hear_until(lambda record: is_depth(record, MNQ))
                stamp = stamp_ns(client.stamps[MNQ])
                back += stamp < newest
                newest = max(newest, stamp)
                assert newest - stamp <= 10_000_000_000
            await hear_depth(client, MNQ)
            assert venue.agrees(client, MNQ)

    play(tmp_path, story, symbols=["MNQ"])


def test_crossed_says_a_bid_at_the_best_ask_and_a_snapshot_mends_it(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await subscribe(client, MNQ, GC)
            await fault(venue, "crossed", symbol="MNQ")
            bids, asks = client.books[MNQ]
            await client.hear_until(lambda record: max(bids) >= min(asks))
            await client.call("UnsubscribeContractMarketDepth", MNQ)
            await client.call("SubscribeContractMarketDepth", MNQ)
            await client.hear_until(lambda record: is_depth(record, MNQ) and record["arguments"][1][0]["type"] == 6)
            await hear_depth(client, MNQ)
            assert venue.agrees(client, MNQ)
            await hear_depth(client, GC)
            assert venue.agrees(client, GC)

    play(tmp_path, story)


@pytest.mark.parametrize("size", [64 << 10, 700_000])
def test_a_huge_frame_is_huge_and_says_what_is_true(tmp_path: Path, size: int) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await subscribe(client, MNQ)
            await fault(venue, "huge_frame", symbol="MNQ", bytes=size)
            huge = await client.hear_until(lambda record: len(json.dumps(record, separators=(",", ":"))) > size)
            assert len(json.dumps(huge)) < 2 * size
            await hear_depth(client, MNQ)
            assert venue.agrees(client, MNQ)

    play(tmp_path, story, symbols=["MNQ"])


def test_partial_and_empty_quotes(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await subscribe(client, MNQ)
            client.messages.clear()
            await fault(venue, "partial_quote", symbol="MNQ")
            await fault(venue, "empty_quote", symbol="MNQ")
            await client.hear_until(
                lambda record: "timestamp" in quote_of(record) and quote_of(record)["timestamp"] is None
            )
            quotes = [quote for record in client.messages if (quote := quote_of(record)) or is_quote(record)]
            alone = {name for quote in quotes if len(quote) == 2 for name in quote}
            assert alone >= {"lastPrice", "bestBid", "volume", "change", "timestamp", "lastUpdated"}
            assert {"symbol": "F.US.MNQ"} in quotes
            assert {} in quotes

    play(tmp_path, story, symbols=["MNQ"])


def test_unknown_targets_and_dom_types(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client, venue.connected(hub="user") as user:
            await subscribe(client, MNQ)
            await fault(venue, "unknown_target")
            await client.hear_until(lambda record: record.get("target") == "GatewayHalt")
            for one in (client, user):
                await one.hear_until(lambda record: record.get("target") == "GatewayNews")
            await fault(venue, "unknown_dom_type", symbol="MNQ")
            types = [12, 13, 99, -1]
            await client.hear_until(
                lambda record: is_depth(record, MNQ) and [row["type"] for row in record["arguments"][1]] == types
            )
            assert venue.agrees(client, MNQ)

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
        {"kind": "crossed"},
        {"kind": "huge_frame", "symbol": "MNQ", "bytes": 1 << 30},
        {"kind": "huge_frame", "symbol": "MNQ", "bytes": "1"},
        {"kind": "stale_stamps", "symbol": "MNQ", "records": 0},
        {"kind": "stale_stamps", "symbol": "MNQ", "age_ms": 1.5},
        {"kind": "slow_reader", "bytes_per_s": True},
        {"kind": "reused_id_404", "times": 101},
        {"kind": "logout", "revoke": 1},
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
