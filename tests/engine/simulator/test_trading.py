"""The account as a client meets it: orders over REST, events over the user hub, and a market that does not notice."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from engine.simulator.account import OrderType, Side
from engine.simulator.messagepack import cut
from tests.engine.simulator.venue import LIMIT_S, Client, Venue, play

MNQ, GC, ES = "CON.F.US.MNQ.Z26", "CON.F.US.GCE.G27", "CON.F.US.EP.Z26"
ACCOUNT = {"accountId": 704}
ALL_TIME = {"startTimestamp": "2020-01-01T00:00:00Z", "endTimestamp": "2099-01-01T00:00:00"}
Ask = Callable[..., Awaitable[dict[str, Any]]]


def asker(venue: Venue, token: str) -> Ask:
    """`ask("Order/place", key=value…)`: the answer, which has to be an envelope."""

    async def ask(path: str, **body: Any) -> dict[str, Any]:
        status, answer = await venue.post(f"/api/{path}", ACCOUNT | body, token)
        assert status == 200
        assert answer["success"] == (answer["errorCode"] == 0)
        return dict(answer)

    return ask


async def listen(client: Client, *topics: str) -> None:
    for topic in topics or ("Accounts", "Orders", "Positions", "Trades"):
        await client.call(f"Subscribe{topic}", *([] if topic == "Accounts" else [704]), invocation_id=topic)
        await client.hear_until(lambda record: record.get("type") == 3)


def events(client: Client) -> list[tuple[str, Any]]:
    return [(record["target"], record["arguments"][0]) for record in client.messages if record.get("type") == 1]


def best(venue: Venue, contract_id: str) -> tuple[float, float]:
    """The true best bid and ask, of a market that is paused."""
    truth = venue.truth[contract_id]
    bids, asks = truth.book_after(truth.last_record)
    return float(bids[0][0]) * truth.tick_e9 / 1e9, float(asks[0][0]) * truth.tick_e9 / 1e9


def test_a_round_turn(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        venue.gateway.sender.pause()
        ask = asker(venue, await venue.login())
        bid, offer = best(venue, MNQ)
        async with venue.connected(hub="user") as client:
            await listen(client)
            placed = await ask("Order/place", contractId=MNQ, type=OrderType.MARKET, side=Side.BUY, size=1)
            assert placed == {"orderId": 1, "success": True, "errorCode": 0, "errorMessage": None}
            await client.hear_until(lambda record: record.get("target") == "GatewayUserAccount")
            targets = ["Order", "Order", "Trade", "Position", "Account"]
            assert [target for target, _ in events(client)] == [f"GatewayUser{target}" for target in targets]
            [position] = (await ask("Position/searchOpen"))["positions"]
            assert (position["type"], position["size"], position["averagePrice"]) == (1, 1, offer)
            assert events(client)[3][1] == {"action": 1, "data": position}
            assert (await ask("Position/closeContract", contractId=MNQ))["success"]
            await client.hear_until(lambda record: record.get("target") == "GatewayUserAccount")
            closing, opening = (await ask("Trade/search", **ALL_TIME))["trades"]
            assert opening["profitAndLoss"] is None
            assert closing["profitAndLoss"] == (bid - offer) / 0.25 * 0.5
            assert events(client)[7][1] == [closing]
            assert events(client)[8][1] == {"action": 2, "data": position | {"type": 0, "size": 0}}
            [account] = (await ask("Account/search", onlyActiveAccounts=True))["accounts"]
            assert events(client)[9][1] == account
            assert account["balance"] == pytest.approx(150_000 - 2 * 0.37 + closing["profitAndLoss"])
            assert (await ask("Position/searchOpen"))["positions"] == []
            orders = (await ask("Order/search", **ALL_TIME))["orders"]
            assert [(order["id"], order["status"], order["filledPrice"]) for order in orders] == [
                (1, 2, offer),
                (2, 2, bid),
            ]
            assert (await ask("Order/searchById", orderId=1))["order"] == orders[0]

    play(tmp_path, story)


def test_orders_rest_change_and_go(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        venue.gateway.sender.pause()
        ask = asker(venue, await venue.login())
        bid, _ = best(venue, GC)
        async with venue.connected(hub="user") as client:
            await listen(client, "Orders")
            limit = {"contractId": GC, "type": OrderType.LIMIT, "side": Side.BUY, "size": 2, "customTag": "s1-1"}
            order_id = (await ask("Order/place", **limit, limitPrice=round(bid - 5, 1)))["orderId"]
            [order] = (await ask("Order/searchOpen"))["orders"]
            assert (order["status"], order["limitPrice"], order["customTag"]) == (1, round(bid - 5, 1), "s1-1")
            assert (await ask("Order/modify", orderId=order_id, size=3, limitPrice=round(bid - 6, 1)))["success"]
            assert (await ask("Order/cancel", orderId=order_id))["success"]
            assert (await ask("Order/searchOpen"))["orders"] == []
            await client.hear_until(lambda record: record["arguments"][0]["data"]["status"] == 3)
            heard = [event["data"] for _, event in events(client)]
            assert [(o["id"], o["status"], o["size"]) for o in heard] == [
                (order_id, 1, 2),
                (order_id, 1, 3),
                (order_id, 3, 3),
            ]
            brackets = {"stopLossBracket": {"ticks": 10, "type": 4}}
            refused = await ask("Order/place", **limit | {"customTag": None}, limitPrice=bid, **brackets)
            assert refused == {
                **{"orderId": 2, "success": False, "errorCode": 2},
                "errorMessage": "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets.",
            }
            rejected = await client.hear_until(lambda record: record.get("target") == "GatewayUserOrder")
            assert rejected["arguments"][0]["data"]["status"] == 5

    play(tmp_path, story)


def test_codes_and_bad_requests(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        ask = asker(venue, token)
        market = {"type": OrderType.MARKET, "side": Side.BUY, "size": 1}
        for path, body, code in (
            ("Order/place", {"accountId": 1, "contractId": MNQ, **market}, 1),
            ("Order/place", {"contractId": "CON.F.US.XYZ.Z26", **market}, 8),
            ("Order/place", {"contractId": ES, **market}, 9),
            ("Order/place", {"contractId": MNQ, **market, "type": 5, "trailPrice": 1.0}, 2),
            ("Order/modify", {"orderId": 99}, 2),
            ("Order/modify", {"accountId": 1, "orderId": 99}, 1),
            ("Order/cancel", {"orderId": 99}, 2),
            ("Order/search", {"accountId": 1, **ALL_TIME}, 1),
            ("Order/searchOpen", {"accountId": 1}, 1),
            ("Order/searchById", {"orderId": 99}, 1),
            ("Position/searchOpen", {"accountId": 1}, 1),
            ("Position/closeContract", {"contractId": MNQ}, 2),
            ("Position/partialCloseContract", {"contractId": "X", "size": 1}, 3),
            ("Trade/search", {"accountId": 1, **ALL_TIME}, 1),
        ):
            assert (await ask(path, **body))["errorCode"] == code, (path, body)
        bad: tuple[tuple[str, Any], ...] = (
            ("Order/place", ACCOUNT | {"contractId": MNQ}),
            ("Order/place", ACCOUNT | {"contractId": MNQ, **market, "side": 2}),
            ("Order/place", ACCOUNT | {"contractId": MNQ, **market, "size": 1 << 31}),
            ("Order/place", ACCOUNT | {"contractId": MNQ, **market, "limitPrice": "1"}),
            ("Order/place", ACCOUNT | {"contractId": MNQ, **market, "limitPrice": 10**400}),
            ("Order/place", ACCOUNT | {"contractId": MNQ, **market, "customTag": 5}),
            ("Order/place", ACCOUNT | {"contractId": MNQ, **market, "customTag": "x" * 129}),
            ("Order/place", ACCOUNT | {"contractId": MNQ, **market, "customTag": "\ud800"}),
            ("Order/cancel", {"accountId": "704", "orderId": 1}),
            ("Trade/search", ACCOUNT | {"startTimestamp": "yesterday"}),
            ("Position/searchOpen", []),
        )
        for path, body in bad:
            assert (await venue.post(f"/api/{path}", body, token))[0] == 400, (path, body)
        assert (await venue.post("/api/Order/place", {}, "a.b.c"))[0] == 401
        assert (await ask("Order/search", **ALL_TIME))["orders"][0]["status"] == 5

    play(tmp_path, story)


def test_the_bare_shapes_by_the_knob(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        venue.gateway.sender.pause()
        ask = asker(venue, await venue.login())
        assert (await venue.post("/simulator/user-events", {"wrapped": 1}))[0] == 400
        assert await venue.post("/simulator/user-events", {"wrapped": False}) == (200, {"wrapped": False})
        async with venue.connected(hub="user") as client:
            await listen(client)
            await ask("Order/place", contractId=MNQ, type=OrderType.MARKET, side=Side.SELL, size=1)
            await client.hear_until(lambda record: record.get("target") == "GatewayUserAccount")
            assert all(isinstance(payload, dict) and "id" in payload for _, payload in events(client))

    play(tmp_path, story)


def test_messagepack_carries_the_same_events(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        venue.gateway.sender.pause()
        ask = asker(venue, await venue.login())
        async with venue.connected(hello=False, hub="user") as client:
            await client.socket.send_str('{"protocol":"messagepack","version":1}\x1e')
            assert (await client.socket.receive(LIMIT_S)).data == b"{}\x1e"
            call = msgpack.packb([1, {}, "1", "SubscribeOrders", [704], []])
            await client.socket.send_bytes(bytes([len(call)]) + call)
            assert (await client.socket.receive(LIMIT_S)).data[1:] == msgpack.packb([3, {}, "1", 2])
            order = {"contractId": MNQ, "type": OrderType.LIMIT, "side": Side.BUY, "size": 1, "limitPrice": 100.25}
            await ask("Order/place", **order, customTag="é")
            [message], rest = cut((await client.socket.receive(LIMIT_S)).data)
            assert not rest
            kind, _, _, target, [payload], *_ = msgpack.unpackb(message)
            assert (kind, target, payload["action"]) == (1, "GatewayUserOrder", 1)
            assert payload["data"] == (await ask("Order/searchById", orderId=1))["order"]

    play(tmp_path, story)


def test_the_flow_fills_a_resting_order_and_the_truth_stays_true(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        ask = asker(venue, await venue.login())
        truth = venue.truth[MNQ]
        before = truth.records.copy(), truth.entries.copy()
        async with venue.connected() as market, venue.connected(hub="user") as user:
            await market.call("SubscribeContractMarketDepth", MNQ)
            await market.hear_until(lambda record: record.get("target") == "GatewayDepth")
            await listen(user, "Trades")
            bid, offer = max(market.books[MNQ][0]), min(market.books[MNQ][1])
            limits = {}
            for side, limit in ((Side.BUY, bid - 0.5), (Side.SELL, offer + 0.5)):
                order = {"contractId": MNQ, "type": OrderType.LIMIT, "side": side, "size": 5, "limitPrice": limit}
                limits[(await ask("Order/place", **order))["orderId"]] = side, limit
            async with asyncio.timeout(LIMIT_S):
                while (await ask("Order/searchOpen"))["orders"]:
                    for _ in range(100):
                        await market.hear()
                    assert venue.agrees(market, MNQ)
            filled = dict.fromkeys(limits, 0)
            while sum(filled.values()) < 10:
                heard = await user.hear_until(lambda record: record.get("target") == "GatewayUserTrade")
                [trade] = heard["arguments"][0]
                side, limit = limits[trade["orderId"]]
                assert trade["price"] <= limit if side is Side.BUY else trade["price"] >= limit
                filled[trade["orderId"]] += trade["size"]
            assert set(filled.values()) == {5}
            assert (await ask("Position/searchOpen"))["positions"] == []
            venue.gateway.sender.pause()
            await market.call("Heartbeat", invocation_id="1")
            await market.hear_until(lambda record: record.get("invocationId") == "1")
            assert venue.agrees(market, MNQ)
        assert (truth.records == before[0]).all()
        assert (truth.entries == before[1]).all()

    play(tmp_path, story, rate_entries_per_s=20_000)
