"""Connections as clients of other kinds have them: MessagePack, permessage-deflate, and every way to be ended."""

import asyncio
import functools
import json
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest

from tests.engine.simulator.venue import LIMIT_S, Client, Venue
from tests.engine.simulator.venue import play as play_with

MNQ = "CON.F.US.MNQ.Z26"
play = functools.partial(play_with, symbols=["MNQ"])


class PackedClient(Client):
    """A client that speaks MessagePack, by the fact sheet alone."""

    async def say(self, **record: Any) -> None:
        assert record["type"] == 1
        parts = [1, {}, record.get("invocationId"), record["target"], record["arguments"], []]
        message = msgpack.packb(parts)
        assert len(message) < 128
        await self.socket.send_bytes(bytes([len(message)]) + message)

    async def hear(self) -> list[dict[str, Any]]:
        frame = await self.socket.receive(LIMIT_S)
        assert frame.type is aiohttp.WSMsgType.BINARY, frame
        heard, at = [], 0
        while at < len(frame.data):
            length = shift = 0
            while True:
                byte = frame.data[at]
                length, shift, at = length | (byte & 127) << shift, shift + 7, at + 1
                if byte < 128:
                    break
            heard.append(self._record(msgpack.unpackb(frame.data[at : at + length])))
            at += length
        for record in heard:
            self._take(record)
        return heard

    def _record(self, parts: list[Any]) -> dict[str, Any]:
        if parts[0] == 1:
            return {"type": 1, "target": parts[3], "arguments": parts[4]}
        if parts[0] == 3:
            return {"type": 3, "invocationId": parts[2], "kind": parts[3]}
        return {"type": parts[0], "rest": parts[1:]}


async def follow(venue: Venue, client: Client) -> None:
    """Subscribe, and see books that are the truth and all three kinds of record."""
    for kind in ("MarketDepth", "Trades", "Quotes"):
        await client.call(f"SubscribeContract{kind}", MNQ, invocation_id=kind)
    compared = 0
    while compared < 100 or not client.tape:
        await client.hear()
        if client.messages[-1].get("target") == "GatewayDepth":
            assert venue.agrees(client, MNQ)
            compared += 1
    assert {record.get("target") for record in client.messages} >= {"GatewayDepth", "GatewayTrade", "GatewayQuote"}


@pytest.mark.parametrize("deflate", [False, True])
def test_a_messagepack_client_has_the_same_book(tmp_path: Path, deflate: bool) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected(hello=False, deflate_bits=15 if deflate else 0) as plain:
            await plain.socket.send_str('{"protocol":"messagepack","version":1}\x1e')
            hello = await plain.socket.receive(LIMIT_S)
            assert (hello.type, hello.data) == (aiohttp.WSMsgType.BINARY, b"{}\x1e")
            client = PackedClient(plain.socket)
            await follow(venue, client)
            completions = [record for record in client.messages if record["type"] == 3]
            assert [record["kind"] for record in completions] == [2, 2, 2]
            await client.call("PlaceOrder", MNQ, invocation_id="9")
            assert (await client.hear_until(lambda record: record.get("invocationId") == "9"))["kind"] == 1
            await venue.post("/simulator/end", {"error": "enough", "allow_reconnect": True})
            assert (await client.hear_until(lambda record: record["type"] == 7))["rest"] == ["enough", True]

    play(tmp_path, story, deflate=deflate)


def test_a_deflated_stream_has_the_same_book(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected(deflate_bits=15) as client:
            assert client.socket.compress == 15
            await follow(venue, client)

    play(tmp_path, story, deflate=True)


def test_deflate_is_refused_unless_it_is_in_the_job(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected(deflate_bits=15) as client:
            assert not client.socket.compress
            await follow(venue, client)

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("ending", "record", "code"),
    [
        ({}, {"type": 7}, 1000),
        ({"code": 1001}, {"type": 7}, 1001),
        ({"error": "Connection closed with an error."}, {"type": 7, "error": "Connection closed with an error."}, 1000),
        ({"allow_reconnect": True}, {"type": 7, "allowReconnect": True}, 1000),
        ({"error": "x", "allow_reconnect": False}, {"type": 7, "error": "x", "allowReconnect": False}, 1000),
        ({"record": False}, None, 1000),
        ({"record": False, "code": 1011}, None, 1011),
        ({"code": None}, {"type": 7}, None),
        ({"record": False, "code": None}, None, None),
    ],
)
def test_every_way_to_be_ended(
    tmp_path: Path, ending: dict[str, Any], record: dict[str, Any] | None, code: int | None
) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await client.call("SubscribeContractMarketDepth", MNQ, invocation_id="1")
            await client.hear_until(lambda heard: heard.get("invocationId") == "1")
            assert (await venue.post("/simulator/end", ending))[0] == 200
            last: dict[str, Any] = {}
            while (message := await client.socket.receive(LIMIT_S)).type is aiohttp.WSMsgType.TEXT:
                last = json.loads(message.data.split("\x1e")[-2])
            if record is None:
                assert last.get("type") != 7
            else:
                assert last == record, "nothing comes behind a close record"
            assert (message.type is aiohttp.WSMsgType.CLOSE) == (code is not None)
            assert code is None or message.data == code
        async with asyncio.timeout(LIMIT_S):
            while (await venue.post("/simulator/pause"))[1]["clients"]:
                await asyncio.sleep(0.01)

    play(tmp_path, story)


@pytest.mark.parametrize(
    "body", [{"colour": 1}, {"code": "x"}, {"error": 5}, {"record": None}, {"code": 5}, {"code": 0}, {"code": True}]
)
def test_an_ending_that_cannot_be_is_refused(tmp_path: Path, body: dict[str, Any]) -> None:
    async def story(venue: Venue) -> None:
        assert (await venue.post("/simulator/end", body))[0] == 400

    play(tmp_path, story)


def test_an_expired_token_ends_its_socket_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.simulator.connection._WATCH_S", 0.02)

    async def story(venue: Venue) -> None:
        async with venue.connected() as early:
            assert (await early.hear_until(lambda record: True)) == {"type": 7, "allowReconnect": True}
            message = await early.socket.receive(LIMIT_S)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1000)
            async with venue.connected() as late:
                await late.call("Heartbeat", invocation_id="1")
                await late.hear_until(lambda record: record.get("invocationId") == "1")

    play(tmp_path, story, token_lifetime_s=2)
