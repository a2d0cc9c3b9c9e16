"""A contract that rolls: the next month's takes its place in every answer, with the same flow and the same truth."""

from pathlib import Path
from typing import Any

import pytest

from engine.simulator.contracts import CONTRACTS, next_contract
from engine.simulator.truth import Truth
from tests.engine.simulator.venue import Venue, play

OLD, NEW, GC = "CON.F.US.MNQ.Z26", "CON.F.US.MNQ.H27", "CON.F.US.GCE.G27"


@pytest.mark.parametrize(
    ("symbol", "months"),
    [
        ("MNQ", ["H27", "M27", "U27", "Z27", "H28"]),
        ("MGC", ["J27", "M27", "Q27", "V27", "Z27", "G28"]),
        ("SI", ["K27", "N27", "U27", "Z27", "H28"]),
        ("CL", ["G27", "H27"]),
    ],
)
def test_months_follow_each_other(symbol: str, months: list[str]) -> None:
    contract = CONTRACTS[symbol]
    for month in months:
        contract = next_contract(contract)
        assert contract == CONTRACTS[symbol]._replace(month=month)
        assert len(contract.contract_id) == len(CONTRACTS[symbol].contract_id)


def test_every_contract_has_a_successor_until_the_century_ends() -> None:
    for contract in CONTRACTS.values():
        assert next_contract(contract).contract_id != contract.contract_id
    with pytest.raises(ValueError, match="no contract after"):
        next_contract(CONTRACTS["ES"]._replace(month="Z99"))


def test_after_a_roll_rest_names_the_new_contract(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        assert (await venue.post("/simulator/roll", {"symbol": "MNQ"}))[1]["contracts"]["MNQ"]["contract_id"] == NEW
        _, found = await venue.post("/api/Contract/search", {"searchText": "MNQ", "live": False}, token)
        (contract,) = found["contracts"]
        assert (contract["id"], contract["name"], contract["activeContract"]) == (NEW, "MNQH7", True)
        assert contract["description"].endswith(": March 2027")
        _, listed = await venue.post("/api/Contract/available", {"live": False}, token)
        ids = {row["id"]: row["activeContract"] for row in listed["contracts"]}
        assert ids[NEW]
        assert OLD not in ids
        for contract_id, active in ((OLD, False), (NEW, True)):
            _, one = await venue.post("/api/Contract/searchById", {"contractId": contract_id}, token)
            assert one["contract"]["activeContract"] == active
        assert Truth.open(tmp_path / "truth").of_symbol("MNQ").contract_id == NEW
        bars = {
            "live": False, "startTime": "2020-01-01T00:00:00Z", "endTime": "2099-01-01T00:00:00Z",
            "unit": 3, "unitNumber": 1, "limit": 5, "includePartialBar": True,
        }  # fmt: skip
        for contract_id, count in ((OLD, 0), (NEW, 5)):
            _, answer = await venue.post("/api/History/retrieveBars", bars | {"contractId": contract_id}, token)
            assert len(answer["bars"]) == count

    play(tmp_path, story)


def test_the_old_id_gets_nothing_more_and_the_new_one_the_same_book(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        async with venue.connected() as client, venue.connected() as stayed:
            for one, contract in ((client, OLD), (client, GC), (stayed, OLD)):
                for kind in ("MarketDepth", "Trades", "Quotes"):
                    await one.call(f"SubscribeContract{kind}", contract)
            await stayed.hear_until(lambda record: record.get("target") == "GatewayTrade")
            await venue.post("/simulator/roll", {"symbol": "MNQ"})
            assert client.books.keys() <= {OLD, GC}
            for kind in ("MarketDepth", "Trades", "Quotes"):
                await client.call(f"UnsubscribeContract{kind}", OLD)
                await client.call(f"SubscribeContract{kind}", OLD)  # taken, and worth nothing
                await client.call(f"SubscribeContract{kind}", NEW)
            await client.call("Heartbeat", invocation_id="1")
            await client.hear_until(lambda record: record.get("invocationId") == "1")
            client.messages.clear()
            truth = Truth.open(tmp_path / "truth")
            venue.truth = truth
            seen = {"GatewayDepth": 0, "GatewayTrade": 0, "GatewayQuote": 0}
            while min(seen.values()) < 20:
                record = await client.hear_until(lambda record: record["arguments"][0] == NEW)
                seen[record["target"]] += 1
                assert client.messages[-1]["arguments"][0] in (NEW, GC)
                if client.messages[-1] is record and record["target"] == "GatewayDepth":
                    assert venue.agrees(client, NEW)
            assert {record["arguments"][0] for record in client.messages} == {NEW, GC}
            await stayed.call("Heartbeat", invocation_id="1")
            await stayed.hear_until(lambda record: record.get("invocationId") == "1")
            assert NEW not in stayed.books
            async with venue.session.get(venue.url + "/simulator/status") as answer:
                subscriptions = (await answer.json())["subscriptions"]
            once = {"depth": 1, "trades": 1, "quote": 1}
            assert sorted(map(str, subscriptions)) == sorted(map(str, [{"GC": once, "MNQ": once}, {}]))

    play(tmp_path, story)


def test_orders_of_a_contract_that_rolls_are_cancelled(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        order = {"accountId": 704, "contractId": OLD, "type": 1, "side": 0, "size": 1, "limitPrice": 20_000.0}
        _, placed = await venue.post("/api/Order/place", order, token)
        await venue.post("/api/Order/place", order | {"type": 2, "limitPrice": None}, token)
        await venue.post("/simulator/roll", {"symbol": "MNQ"})
        _, found = await venue.post("/api/Order/searchById", {"accountId": 704, "orderId": placed["orderId"]}, token)
        assert found["order"]["status"] == 3
        change = {"accountId": 704, "orderId": placed["orderId"], "size": 2}
        assert (await venue.post("/api/Order/modify", change, token))[1]["errorCode"] == 3
        assert (await venue.post("/api/Order/place", order, token))[1]["errorCode"] == 9
        _, held = await venue.post("/api/Position/searchOpen", {"accountId": 704}, token)
        assert [row["contractId"] for row in held["positions"]] == [OLD]
        closing = {"accountId": 704, "contractId": OLD}
        assert (await venue.post("/api/Position/closeContract", closing, token))[1]["errorCode"] == 4
        assert (await venue.post("/api/Order/place", order | {"contractId": NEW}, token))[1]["errorCode"] == 0

    play(tmp_path, story)


def test_a_contract_rolls_many_times(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        for _ in range(100):
            status, answer = await venue.post("/simulator/roll", {"symbol": "MNQ"})
            assert status == 200
        assert answer["contracts"]["MNQ"]["contract_id"] == "CON.F.US.MNQ.Z51"
        async with venue.connected() as client:
            await client.call("SubscribeContractMarketDepth", "CON.F.US.MNQ.Z51")
            await client.hear_until(lambda record: "CON.F.US.MNQ.Z51" in client.books)

    play(tmp_path, story, symbols=["MNQ"])


@pytest.mark.parametrize("body", [{}, {"symbol": "ES"}, {"symbol": 5}], ids=str)
def test_a_roll_that_cannot_be_is_refused(tmp_path: Path, body: Any) -> None:
    async def story(venue: Venue) -> None:
        assert (await venue.post("/simulator/roll", body))[0] == 400

    play(tmp_path, story)
