"""The user hub without a socket: calls, who hears what, and the two shapes of its events."""

import json
from typing import Any

import pytest

from engine.simulator.account import Account, Balance, OrderType, Side
from engine.simulator.contracts import CONTRACTS
from engine.simulator.desk import ACCOUNT_ID
from engine.simulator.hub import Reply
from engine.simulator.userhub import MAX_BEHIND_BYTES, Listeners, Topic, UserHub, Wish, event
from engine.simulator.wire import payloads

MNQ = CONTRACTS["MNQ"]
LISTED = {MNQ.contract_id: MNQ}
NOW_NS = 1_795_357_984_142_302_000


class Ear:
    """A connection that keeps what it is told."""

    def __init__(self) -> None:
        self.behind = 0
        self.heard: list[dict[str, Any]] = []
        self.ended = ""

    def write(self, frames: bytes) -> None:
        self.heard += [json.loads(payload.rstrip(b"\x1e")) for payload in payloads(frames)]

    def behind_bytes(self) -> int:
        return self.behind

    def cut_off(self, why: str) -> None:
        self.ended = why


@pytest.fixture
def hub() -> UserHub:
    hub = UserHub()
    assert hub.receive('{"protocol":"json","version":1}\x1e') == [Reply("{}\x1e")]
    return hub


def call(hub: UserHub, target: str, *arguments: Any, **more: Any) -> list[Reply | Wish]:
    return hub.receive(json.dumps({"type": 1, "target": target, "arguments": arguments} | more) + "\x1e")


@pytest.mark.parametrize("topic", [Topic.ORDERS, Topic.POSITIONS, Topic.TRADES])
@pytest.mark.parametrize("verb", ["Subscribe", "Unsubscribe"])
def test_calls(hub: UserHub, verb: str, topic: Topic) -> None:
    method = f"{verb}{topic.name.capitalize()}"
    assert call(hub, method, ACCOUNT_ID) == [Wish(verb == "Subscribe", topic, "")]
    [wish] = call(hub, method, ACCOUNT_ID, invocationId="3")
    assert isinstance(wish, Wish)
    assert json.loads(wish.completion[:-1]) == {"type": 3, "invocationId": "3"}
    for arguments in ([], [705], [str(ACCOUNT_ID)], [float(ACCOUNT_ID)], [True], [ACCOUNT_ID, ACCOUNT_ID]):
        [reply] = call(hub, method, *arguments, invocationId="4")
        assert isinstance(reply, Reply)
        assert method in json.loads(reply.text[:-1])["error"]
    assert hub.unknown_calls == 6


def test_accounts_take_no_argument(hub: UserHub) -> None:
    assert call(hub, "SubscribeAccounts") == [Wish(True, Topic.ACCOUNTS, "")]
    assert call(hub, "UnsubscribeAccounts") == [Wish(False, Topic.ACCOUNTS, "")]
    assert call(hub, "SubscribeAccounts", ACCOUNT_ID) == []
    assert call(hub, "SubscribeContractQuotes", MNQ.contract_id) == []
    assert hub.unknown_calls == 2


def test_each_hears_what_it_asked_for_once() -> None:
    listeners = Listeners(LISTED)
    one, two = Ear(), Ear()
    for wish in (Wish(True, Topic.ACCOUNTS, ""), Wish(True, Topic.TRADES, ""), Wish(True, Topic.TRADES, "")):
        listeners.subscribe(one, wish)
    listeners.subscribe(two, Wish(True, Topic.TRADES, ""))
    listeners.subscribe(two, Wish(False, Topic.TRADES, ""))
    account = Account(LISTED)
    order = account.add(MNQ.contract_id, OrderType.MARKET, Side.BUY, 1, NOW_NS)
    for change in (order, *account.fill(order.order_id, 84_000, 1, NOW_NS)):
        listeners.tell(change)
    assert [record["target"] for record in one.heard] == ["GatewayUserTrade", "GatewayUserAccount"]
    assert not two.heard
    listeners.leave(one)
    listeners.tell(Balance(0))
    assert len(one.heard) == 2


@pytest.mark.parametrize(("behind", "is_cut"), [(MAX_BEHIND_BYTES, False), (MAX_BEHIND_BYTES + 1, True)])
def test_who_does_not_read_is_cut_off(behind: int, is_cut: bool) -> None:
    listeners, ear = Listeners(LISTED), Ear()
    ear.behind = behind
    listeners.subscribe(ear, Wish(True, Topic.ACCOUNTS, ""))
    listeners.tell(Balance(0))
    assert bool(ear.ended) == is_cut


@pytest.mark.parametrize("is_wrapped", [True, False])
def test_the_shapes_of_the_fact_sheet(is_wrapped: bool) -> None:
    account = Account(LISTED)
    bought = account.add(MNQ.contract_id, OrderType.LIMIT, Side.BUY, 1, NOW_NS, limit_ticks=83_960, tag="s1-1")
    changes = account.fill(bought.order_id, 83_960, 1, NOW_NS)
    sold = account.add(MNQ.contract_id, OrderType.MARKET, Side.SELL, 1, NOW_NS)
    changes += account.fill(sold.order_id, 83_962, 1, NOW_NS)
    events = [event(change, LISTED, is_wrapped) for change in changes]
    stamp = "2026-11-22T14:33:04.142302+00:00"
    at = {"id": 1, "accountId": 704, "contractId": "CON.F.US.MNQ.Z26", "creationTimestamp": stamp}

    def wrapped(action: int, data: dict[str, Any]) -> dict[str, Any]:
        return {"action": action, "data": data} if is_wrapped else data

    def listed(data: dict[str, Any]) -> Any:
        return [data] if is_wrapped else data

    order = at | {
        **{"symbolId": "F.US.MNQ", "updateTimestamp": stamp, "status": 2, "type": 1, "side": 0, "size": 1},
        **{"limitPrice": 20990.0, "stopPrice": None, "fillVolume": 1, "filledPrice": 20990.0, "customTag": "s1-1"},
    }
    trade = at | {
        **{"price": 20990.0, "profitAndLoss": None, "fees": 0.37, "side": 0, "size": 1, "voided": False, "orderId": 1}
    }
    balance = {"id": 704, "name": "PRAC-V2-1", "canTrade": True, "isVisible": True, "simulated": True}
    closing = trade | {"id": 2, "price": 20990.5, "profitAndLoss": 1.0, "side": 1, "orderId": 2}
    held, closed = {"type": 1, "size": 1, "averagePrice": 20990.0}, {"type": 0, "size": 0, "averagePrice": 20990.0}
    assert [*events[:4], *events[5:]] == [
        (Topic.ORDERS, "GatewayUserOrder", wrapped(1, order)),
        (Topic.TRADES, "GatewayUserTrade", listed(trade)),
        (Topic.POSITIONS, "GatewayUserPosition", wrapped(1, at | held)),
        (Topic.ACCOUNTS, "GatewayUserAccount", balance | {"balance": 149999.63}),
        (Topic.TRADES, "GatewayUserTrade", listed(closing)),
        (Topic.POSITIONS, "GatewayUserPosition", wrapped(2, at | closed)),
        (Topic.ACCOUNTS, "GatewayUserAccount", balance | {"balance": 150000.26}),
    ]
