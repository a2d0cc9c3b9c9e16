"""The user hub: who wants to hear what of the account, and the messages that tell it (fact sheet, section 7).

Orders and positions come wrapped as {"action", "data"}, as clients report it, or bare, as the documents have it;
trades come in a list or bare likewise: `is_wrapped` decides for all. The account's own event is always bare. What an
action's number means is not documented: here 2 is a position that was closed, and 1 everything else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from .account import Balance, Change, Order, Position, Trade
from .contracts import Contract
from .desk import ACCOUNT_ID
from .hub import END, HubProtocol, UnknownCall
from .models import account_model, order_model, position_model, trade_model
from .wire import frame

MAX_BEHIND_BYTES = 1 << 20
_HOLDS, _CLOSED = 1, 2  # actions


class Topic(IntEnum):
    """What can be subscribed to."""

    ACCOUNTS = 0
    ORDERS = 1
    POSITIONS = 2
    TRADES = 3


METHODS = {
    f"{verb}{topic.name.capitalize()}": (verb == "Subscribe", topic)
    for verb in ("Subscribe", "Unsubscribe")
    for topic in Topic
}


@dataclass(frozen=True, slots=True)
class Wish:
    """Subscribe to, or unsubscribe from, a topic; then send `completion` if it has text."""

    subscribes: bool
    topic: Topic
    completion: str


class UserHub(HubProtocol[Wish]):
    """One connection's side of it: SubscribeAccounts has no argument, the others the account's id, an integer."""

    def understand(self, target: str, arguments: list[Any], completion: str) -> Wish:
        if target not in METHODS:
            raise UnknownCall("unknown hub method")
        subscribes, topic = METHODS[target]
        if topic is Topic.ACCOUNTS:
            if arguments:
                raise UnknownCall("it takes no argument")
        elif len(arguments) != 1 or type(arguments[0]) is not int or arguments[0] != ACCOUNT_ID:
            raise UnknownCall("its one argument is the id of an account of yours")
        return Wish(subscribes, topic, completion)


class Listener(Protocol):
    """What the hub wants of a connection."""

    def write(self, frames: bytes) -> None: ...

    def behind_bytes(self) -> int: ...

    def cut_off(self, why: str) -> None: ...


class Listeners:
    """All connections of the user hub, and what each is subscribed to."""

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._contracts = contracts
        self.is_wrapped = True
        self._topics: dict[Listener, set[Topic]] = {}

    def subscribe(self, listener: Listener, wish: Wish) -> None:
        """Do what a connection asked for; asking twice changes nothing. What was before is not sent."""
        topics = self._topics.setdefault(listener, set())
        if wish.subscribes:
            topics.add(wish.topic)
        else:
            topics.discard(wish.topic)

    def leave(self, listener: Listener) -> None:
        """A connection has ended."""
        self._topics.pop(listener, None)

    def tell(self, change: Change) -> None:
        """Send a change of the account to all who want to hear of it; cut off who does not read."""
        topic, target, payload = event(change, self._contracts, self.is_wrapped)
        frames = b""
        for listener, topics in list(self._topics.items()):
            if topic not in topics:
                continue
            frames = frames or _frame(target, payload)
            listener.write(frames)
            if listener.behind_bytes() > MAX_BEHIND_BYTES:
                listener.cut_off(f"more than {MAX_BEHIND_BYTES >> 20} MiB behind on the user hub")


def event(change: Change, contracts: Mapping[str, Contract], is_wrapped: bool) -> tuple[Topic, str, Any]:
    """Who hears of a change, in which event, with which argument."""
    match change:
        case Balance():
            return Topic.ACCOUNTS, "GatewayUserAccount", account_model(change.balance_e9)
        case Order():
            data = order_model(change, contracts[change.contract_id])
            return Topic.ORDERS, "GatewayUserOrder", _wrapped(data, _HOLDS, is_wrapped)
        case Position():
            action = _HOLDS if change.size else _CLOSED
            return Topic.POSITIONS, "GatewayUserPosition", _wrapped(position_model(change), action, is_wrapped)
        case Trade():
            trade = trade_model(change, contracts[change.contract_id])
            return Topic.TRADES, "GatewayUserTrade", [trade] if is_wrapped else trade


def _wrapped(data: dict[str, Any], action: int, is_wrapped: bool) -> dict[str, Any]:
    return {"action": action, "data": data} if is_wrapped else data


def _frame(target: str, payload: Any) -> bytes:
    record = {"type": 1, "target": target, "arguments": [payload]}
    return frame((json.dumps(record, separators=(",", ":")) + END).encode())
