"""The SignalR hub protocol, server side, of one connection: messages in, actions out. No sockets, no clock.

Handshake first ({"protocol":"json","version":1}, also for MessagePack), then records: in JSON they end with 0x1E, in
MessagePack they begin with their length; several in a message or one over two messages (fact sheet 6.2 to 6.4). An
invocation without an invocationId gets no completion, one with it exactly one. Answers are always JSON text here:
the connection translates.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from . import messagepack
from .flow import Kind

END = "\x1e"
MAX_TAIL_BYTES = 64 << 10
PING = '{"type":6}' + END

METHODS = {
    f"{verb}Contract{what}": (verb == "Subscribe", kind)
    for verb in ("Subscribe", "Unsubscribe")
    for what, kind in (("MarketDepth", Kind.DEPTH), ("Trades", Kind.TRADES), ("Quotes", Kind.QUOTE))
}
SWALLOWED = frozenset({"Heartbeat"})  # what clients call without it being a hub method: no answer


Action = TypeVar("Action")


class UnknownCall(Exception):
    """A hub has no such method, or it does not take such arguments; the message goes to the client."""


class ProtocolError(Exception):
    """What a client sent is not the protocol; the message goes to it in a close record."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Text to send back; the connection ends after it if `closes`. With `turns_binary` this text goes as it stands
    into a binary frame, and all after it is MessagePack."""

    text: str
    closes: bool = False
    turns_binary: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Subscribe to, or unsubscribe from, one kind of record of one contract; then send `completion` if it has text."""

    subscribes: bool
    kind: Kind
    contract_id: str
    completion: str


class HubProtocol(ABC, Generic[Action]):
    """What all hubs share; `understand` is what each has of its own."""

    def __init__(self) -> None:
        self.unknown_calls = 0
        self._tail = b""
        self._shaken = False
        self._is_binary = False

    @abstractmethod
    def understand(self, target: str, arguments: list[Any], completion: str) -> Action:
        """What a call asks for; `completion`, if it has text, is to be sent when that was done. Raises UnknownCall."""

    def receive(self, message: str | bytes) -> list[Reply | Action]:
        """What to do about a message, in order. After a Reply that closes, there is nothing more."""
        self._tail += message.encode() if isinstance(message, str) else message
        actions: list[Reply | Action] = []
        try:
            if not self._shaken:
                hello, end, rest = self._tail.partition(END.encode())
                if end:
                    actions.append(self._handshake(_parsed(hello)))
                    self._tail = rest
            if self._shaken:
                for record in self._cut():
                    action = self._record(record)
                    if action:
                        actions.append(action)
        except (ProtocolError, messagepack.Malformed) as error:
            return [*actions, closing(str(error)) if self._shaken else _refusal(str(error))]
        if len(self._tail) > MAX_TAIL_BYTES:
            return [*actions, closing(f"A record is longer than {MAX_TAIL_BYTES} bytes.")]
        return actions

    def _cut(self) -> Iterator[dict[str, Any]]:
        """The whole records of what has come; the rest stays. Parsed one by one: those before a bad one count."""
        if self._is_binary:
            messages, self._tail = messagepack.cut(self._tail)
            yield from map(messagepack.record_of, messages)
        else:
            *records, self._tail = self._tail.split(END.encode())
            yield from map(_parsed, records)

    def _handshake(self, record: dict[str, Any]) -> Reply:
        protocol = record.get("protocol")
        if protocol not in ("json", "messagepack"):
            raise ProtocolError(f"Requested protocol '{str(protocol)[:32]}' is not available.")
        if record.get("version") != 1:
            raise ProtocolError(f"The server does not support this version of the '{protocol}' protocol.")
        self._shaken = True
        self._is_binary = protocol == "messagepack"
        return Reply("{}" + END, turns_binary=self._is_binary)

    def _record(self, record: dict[str, Any]) -> Reply | Action | None:
        match record.get("type"):
            case 1:
                return self._invocation(record)
            case 4:
                return _completion(record, "Streams are not available.")
            case 7:
                return Reply("", closes=True)
            case 2 | 3 | 5 | 6:
                return None  # pings, and answers to what we never ask
        raise ProtocolError("Unknown record type.")

    def _invocation(self, record: dict[str, Any]) -> Reply | Action | None:
        target, arguments = record.get("target"), record.get("arguments")
        if not isinstance(target, str) or not isinstance(arguments, list):
            raise ProtocolError("An invocation needs a target and arguments.")
        if target in SWALLOWED:
            return _completion(record, None)
        completion = _completion(record, None)
        try:
            return self.understand(target, arguments, completion.text if completion else "")
        except UnknownCall as unknown:
            self.unknown_calls += 1
            return _completion(record, f"Failed to invoke '{target[:64]}': {unknown}.")


class Hub(HubProtocol[Change]):
    """The market hub. contract_ids: what can be subscribed to; it may grow."""

    def __init__(self, contract_ids: Set[str]) -> None:
        super().__init__()
        self._contract_ids = contract_ids

    def understand(self, target: str, arguments: list[Any], completion: str) -> Change:
        if target not in METHODS:
            raise UnknownCall("unknown hub method")
        if len(arguments) != 1 or not isinstance(arguments[0], str) or arguments[0] not in self._contract_ids:
            raise UnknownCall("its one argument is the id of a listed contract")
        subscribes, kind = METHODS[target]
        return Change(subscribes, kind, arguments[0], completion)


def _parsed(record: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(record.decode())
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise ProtocolError("A record is not a JSON object.")
    return parsed


def _completion(record: dict[str, Any], error: str | None) -> Reply | None:
    invocation_id = record.get("invocationId")
    if not isinstance(invocation_id, str):
        return None
    answer = {"type": 3, "invocationId": invocation_id} | ({"error": error} if error else {})
    return Reply(json.dumps(answer, separators=(",", ":")) + END)


def closing(error: str | None = None, allow_reconnect: bool | None = None) -> Reply:
    """A close record with the fields that are given (fact sheet 6.3)."""
    given = {"error": error, "allowReconnect": allow_reconnect}
    record = {"type": 7} | {name: value for name, value in given.items() if value is not None}
    return Reply(json.dumps(record, separators=(",", ":")) + END, closes=True)


def _refusal(error: str) -> Reply:
    return Reply(json.dumps({"error": error}, separators=(",", ":")) + END, closes=True)
