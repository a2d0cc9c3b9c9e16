"""The SignalR JSON hub protocol, server side, of one connection: bytes in, actions out. No sockets, no clock.

Handshake first ({"protocol":"json","version":1}), then records that end with 0x1E, several in a message or one over
two messages (fact sheet 6.2, 6.3). An invocation without an invocationId gets no completion, one with it exactly one.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from .flow import Kind

END = "\x1e"
MAX_TAIL_CHARACTERS = 64 << 10
PING = '{"type":6}' + END

METHODS = {
    f"{verb}Contract{what}": (verb == "Subscribe", kind)
    for verb in ("Subscribe", "Unsubscribe")
    for what, kind in (("MarketDepth", Kind.DEPTH), ("Trades", Kind.TRADES), ("Quotes", Kind.QUOTE))
}
SWALLOWED = frozenset({"Heartbeat"})  # what clients call without it being a hub method: no answer


class ProtocolError(Exception):
    """What a client sent is not the protocol; the message goes to it in a close record."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Text to send back; the connection ends after it if `closes`."""

    text: str
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Subscribe to, or unsubscribe from, one kind of record of one contract; then send `completion` if it has text."""

    subscribes: bool
    kind: Kind
    contract_id: str
    completion: str


@dataclass(slots=True)
class Hub:
    """contract_ids: what can be subscribed to."""

    contract_ids: frozenset[str]
    unknown_calls: int = 0
    _tail: str = field(default="", repr=False)
    _shaken: bool = False

    def receive(self, text: str) -> list[Reply | Change]:
        """What to do about a message, in order. After a Reply that closes, there is nothing more."""
        *records, self._tail = (self._tail + text).split(END)
        if len(self._tail) > MAX_TAIL_CHARACTERS:
            return [_closing(f"A record is longer than {MAX_TAIL_CHARACTERS} characters.")]
        actions: list[Reply | Change] = []
        for record in records:
            try:
                action = self._record(_parsed(record)) if self._shaken else self._handshake(_parsed(record))
            except ProtocolError as error:
                return [*actions, _closing(str(error)) if self._shaken else _refusal(str(error))]
            if action:
                actions.append(action)
        return actions

    def _handshake(self, record: dict[str, Any]) -> Reply:
        if record.get("protocol") != "json":
            raise ProtocolError(f"Requested protocol '{str(record.get('protocol'))[:32]}' is not available.")
        if record.get("version") != 1:
            raise ProtocolError("The server does not support this version of the 'json' protocol.")
        self._shaken = True
        return Reply("{}" + END)

    def _record(self, record: dict[str, Any]) -> Reply | Change | None:
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

    def _invocation(self, record: dict[str, Any]) -> Reply | Change | None:
        target, arguments = record.get("target"), record.get("arguments")
        if not isinstance(target, str) or not isinstance(arguments, list):
            raise ProtocolError("An invocation needs a target and arguments.")
        if target in SWALLOWED:
            return _completion(record, None)
        if target not in METHODS:
            self.unknown_calls += 1
            return _completion(record, f"Failed to invoke '{target[:64]}': unknown hub method.")
        if len(arguments) != 1 or not isinstance(arguments[0], str) or arguments[0] not in self.contract_ids:
            self.unknown_calls += 1
            return _completion(record, f"Failed to invoke '{target}': its one argument is the id of a listed contract.")
        subscribes, kind = METHODS[target]
        completion = _completion(record, None)
        return Change(subscribes, kind, arguments[0], completion.text if completion else "")


def _parsed(record: str) -> dict[str, Any]:
    try:
        parsed = json.loads(record)
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


def _closing(error: str) -> Reply:
    return Reply(json.dumps({"type": 7, "error": error}, separators=(",", ":")) + END, closes=True)


def _refusal(error: str) -> Reply:
    return Reply(json.dumps({"error": error}, separators=(",", ":")) + END, closes=True)
