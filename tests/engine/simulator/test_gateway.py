"""The gateway as a client meets it: REST, the hub over a real websocket, and books that add up to the truth."""

import asyncio
import base64
import json
import logging
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from engine.simulator.flow import Dom
from tests.engine.simulator.venue import KEY, LIMIT_S, USER, Venue, play

MNQ, GC = "CON.F.US.MNQ.Z26", "CON.F.US.GCE.G27"


def is_snapshot(record: dict[str, Any], contract_id: str) -> bool:
    if record.get("target") != "GatewayDepth":
        return False
    of, entries = record["arguments"]
    return bool(of == contract_id and entries[0]["type"] == Dom.RESET)


def test_login_and_tokens(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert claims["exp"] > time.time() + 3600
        for name, key in ((USER, "wrong"), ("nobody", KEY)):
            status, answer = await venue.post("/api/Auth/loginKey", {"userName": name, "apiKey": key})
            assert status == 200
            assert answer == {"token": None, "success": False, "errorCode": 3, "errorMessage": None}
        assert (await venue.post("/api/Auth/loginKey", {"userName": USER}))[0] == 400
        status, answer = await venue.post("/api/Auth/validate", token=token)
        assert status == 200
        assert answer["newToken"].count(".") == 2
        assert (await venue.post("/api/Auth/logout", token=token))[1]["success"]
        assert (await venue.post("/api/Auth/validate", token=token))[0] == 401
        assert (await venue.post("/api/Auth/validate", token=answer["newToken"]))[0] == 200
        for bad in ("", "a.b.c", token[:-2] + "AA", "é.b.c"):
            assert (await venue.post("/api/Account/search", {"onlyActiveAccounts": True}, bad))[0] == 401

    play(tmp_path, story)


def test_accounts_and_contracts(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        _, answer = await venue.post("/api/Account/search", {"onlyActiveAccounts": True}, token)
        assert answer["success"]
        assert answer["accounts"][0]["canTrade"] is True
        _, answer = await venue.post("/api/Contract/search", {"searchText": "mnq", "live": False}, token)
        assert answer["contracts"] == [
            {
                **{"id": MNQ, "name": "MNQZ6", "description": "Micro E-mini Nasdaq-100: December 2026"},
                **{"tickSize": 0.25, "tickValue": 0.5, "activeContract": True, "symbolId": "F.US.MNQ"},
            }
        ]
        _, answer = await venue.post("/api/Contract/available", {"live": False}, token)
        assert len(answer["contracts"]) >= 12
        assert sum(contract["activeContract"] for contract in answer["contracts"]) == 2
        _, answer = await venue.post("/api/Contract/searchById", {"contractId": GC}, token)
        assert answer["contract"]["tickSize"] == 0.1
        _, answer = await venue.post("/api/Contract/searchById", {"contractId": "CON.F.US.ENQ.H25"}, token)
        assert (answer["contract"], answer["success"], answer["errorCode"]) == (None, False, 1)
        body: Any
        for body in ([], {"searchText": 5}):
            assert (await venue.post("/api/Contract/search", body, token))[0] == 400
        too_large = {"searchText": "x" * 100_000}
        assert (await venue.post("/api/Contract/search", too_large, token))[0] == 413
        async with venue.session.get(venue.url + "/api/Status/ping") as answer:
            assert await answer.json() == "pong"

    play(tmp_path, story)


@pytest.mark.parametrize("hub", ["market", "user"])
def test_a_bad_token_opens_no_hub(tmp_path: Path, hub: str) -> None:
    async def story(venue: Venue) -> None:
        for query in ("", "?access_token=a.b.c"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await venue.session.ws_connect(f"{venue.url}/hubs/{hub}{query}")
            assert refused.value.status == 401

    play(tmp_path, story)


def test_a_wrong_handshake_is_refused(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected(hello=False) as client:
            await client.say(protocol="xml", version=1)
            [answer] = await client.hear()
            assert "xml" in answer["error"]
            assert (await client.socket.receive(LIMIT_S)).type is aiohttp.WSMsgType.CLOSE

    play(tmp_path, story)


def test_snapshot_and_increments_add_up_to_the_truth(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            for kind in ("MarketDepth", "Trades", "Quotes"):
                await client.call(f"SubscribeContract{kind}", MNQ, invocation_id=kind)
            await client.hear_until(lambda record: record.get("invocationId") == "Quotes")
            snapshot = next(record for record in client.messages if is_snapshot(record, MNQ))
            entries = snapshot["arguments"][1]
            assert [entry["type"] for entry in entries].count(Dom.RESET) == 1
            assert {entry["type"] for entry in entries} == {Dom.RESET, Dom.BID, Dom.ASK}
            assert len(entries) > 100
            targets = {"GatewayDepth", "GatewayTrade", "GatewayQuote"}
            compared = 0
            for _ in range(400):
                await client.hear()
                if client.messages[-1].get("target") == "GatewayDepth":
                    assert venue.agrees(client, MNQ)
                    compared += 1
            assert compared > 100
            assert targets <= {record.get("target") for record in client.messages}
            assert client.books.keys() == {MNQ}
            completions = [record for record in client.messages if record.get("type") == 3]
            assert completions == [{"type": 3, "invocationId": kind} for kind in ("MarketDepth", "Trades", "Quotes")]
            quotes = [record["arguments"][1] for record in client.messages if record.get("target") == "GatewayQuote"]
            assert len(quotes[0]) == 12
            assert min(len(quote) for quote in quotes) < 8

    play(tmp_path, story)


def test_the_tape_is_whole(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await client.call("SubscribeContractTrades", GC, invocation_id="1")
            while len(client.tape) < 300:
                await client.hear()
            venue.gateway.sender.pause()
            await client.call("UnsubscribeContractTrades", GC, invocation_id="2")
            await client.hear_until(lambda record: record.get("invocationId") == "2")
            truth = venue.truth[GC]
            [(begin, end, running)] = truth.trade_intervals()
            assert not running
            sent = truth.trades_sent(begin, end)
            tick = truth.tick_e9 / 1e9
            heard = [(round(price / tick), size, side) for _, price, size, side in client.tape]
            assert heard == list(zip(*(sent[name].tolist() for name in ("price", "size", "side")), strict=True))

    play(tmp_path, story, rate_entries_per_s=20_000)


def test_two_clients_get_what_each_asked_for(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as one, venue.connected() as two:
            await one.call("SubscribeContractMarketDepth", MNQ)
            await two.call("SubscribeContractMarketDepth", GC)
            await two.call("SubscribeContractTrades", MNQ)
            for _ in range(300):
                await asyncio.gather(one.hear(), two.hear())
            for client, contract_id in ((one, MNQ), (two, GC)):
                assert client.books.keys() == {contract_id}
                assert venue.agrees(client, contract_id)
            assert not one.tape
            assert {contract_id for contract_id, *_ in two.tape} == {MNQ}
            await two.call("UnsubscribeContractMarketDepth", GC, invocation_id="1")
            await two.hear_until(lambda record: record.get("invocationId") == "1")
            before = len(two.messages)
            await two.call("SubscribeContractMarketDepth", GC)
            await two.hear_until(lambda record: is_snapshot(record, GC))
            assert not [record for record in two.messages[before:-1] if record.get("arguments", [""])[0] == GC], (
                "depth after the unsubscription was completed"
            )
            assert venue.agrees(two, GC)

    play(tmp_path, story)


def test_an_unknown_method_is_an_error_completion(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await client.call("NoSuchMethod", invocation_id="5")
            [answer] = await client.hear()
            assert answer["invocationId"] == "5"
            assert "NoSuchMethod" in answer["error"]

    play(tmp_path, story)


def test_a_slow_client_is_cut_off_and_the_other_is_served(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        sender = venue.gateway.sender
        async with venue.connected() as slow, venue.connected() as quick:
            for client in (slow, quick):
                await client.call("SubscribeContractMarketDepth", MNQ)
            async with asyncio.timeout(LIMIT_S):
                while not sender.cut_off:  # `slow` is never read
                    await quick.hear()
            assert len(sender.clients) == 1 or sender.cut_off == 1
            venue.gateway.sender.pause()
            await quick.call("Heartbeat", invocation_id="1")
            await quick.hear_until(lambda record: record.get("invocationId") == "1")
            assert venue.agrees(quick, MNQ)

    play(tmp_path, story, rate_entries_per_s=60_000, symbols=["MNQ"])


def test_a_silent_server_pings_and_a_silent_client_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_WATCH_S", 0.02), ("PING_S", 0.1), ("SILENT_S", 1.0)):
        monkeypatch.setattr(f"engine.simulator.connection.{name}", seconds)

    async def story(venue: Venue) -> None:
        async with venue.connected() as silent, venue.connected() as talking:
            assert await silent.hear() == [{"type": 6}]
            while True:
                await talking.say(type=6)
                message = await silent.socket.receive(LIMIT_S)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
            await talking.call("Heartbeat", invocation_id="1")
            await talking.hear_until(lambda record: record.get("invocationId") == "1")

    play(tmp_path, story)


def test_no_handshake_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.simulator.connection.HANDSHAKE_S", 0.05)

    async def story(venue: Venue) -> None:
        async with venue.connected(hello=False) as client:
            assert (await client.socket.receive(LIMIT_S)).type is aiohttp.WSMsgType.CLOSE

    play(tmp_path, story)


def test_pause_stops_everything_and_resume_goes_on(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            await client.call("SubscribeContractMarketDepth", MNQ)
            await client.hear_until(lambda record: is_snapshot(record, MNQ))
            _, paused = await venue.post("/simulator/pause")
            _, again = await venue.post("/simulator/pause")
            assert paused["paused"]
            assert (paused["entries"], paused["contracts"]) == (again["entries"], again["contracts"])
            await client.call("SubscribeContractMarketDepth", MNQ, invocation_id="1")
            await client.hear_until(lambda record: record.get("invocationId") == "1")
            assert venue.agrees(client, MNQ), "a snapshot while paused is the state as last sent"
            assert venue.truth[MNQ].last_record == venue.truth[MNQ].record_of(
                venue.gateway.sender.channels["MNQ"].log.last_ns
            )
            _, resumed = await venue.post("/simulator/resume")
            assert not resumed["paused"]
            for _ in range(20):
                await client.hear()
            assert venue.agrees(client, MNQ)

    play(tmp_path, story)


def test_the_log_shows_no_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens: list[str] = []

    async def story(venue: Venue) -> None:
        async with venue.connected() as client:
            tokens.append(str(client.socket._response.url.query["access_token"]))
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await venue.session.ws_connect(f"{venue.url}/hubs/market?access_token=canary-token")

    play(tmp_path, story)
    assert "/hubs/market" in caplog.text
    for secret in (tokens[0], "canary-token", "access_token", KEY):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("roll", "", "the body must be a JSON object"),
        ("roll", "{}", "symbol must be text"),
        ("end", "", "the body must be a JSON object"),
        ("end", '{"record": 3}', "record"),
        ("end", '{"nonsense": true}', "the keys are record, "),
        ("fault", "garbage", "the body must be a JSON object"),
        ("user-events", "{}", "wrapped must be true or false"),
    ],
)
def test_a_control_that_cannot_be_done_is_answered_with_a_sentence(
    tmp_path: Path, path: str, body: str, said: str
) -> None:
    async def story(venue: Venue) -> None:
        async with aiohttp.ClientSession() as client, client.post(f"{venue.url}/simulator/{path}", data=body) as answer:
            assert answer.status == 400
            assert said in await answer.text()

    play(tmp_path, story)
