"""ProjectX on the wire: the SignalR JSON hub protocol, as pure functions on bytes. No sockets, no clock, no JSON parse.

Records end with 0x1E; a websocket frame may hold several, and a record may be cut over two frames. Of a market
message only the contract is found here, to choose its ring; its meaning is read by that instrument's worker.
Wire facts are those of the hub protocol's specification and of the gateway's documentation.
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

import orjson

from ..router import KeyPlace

SEPARATOR: Final = b"\x1e"
HANDSHAKE: Final = b'{"protocol":"json","version":1}\x1e'
PING: Final = b'{"type":6}\x1e'
MAX_RECORD_BYTES: Final = 4 << 20
MAX_RECORDS: Final = 1 << 16  # of one frame: each costs microseconds, and the loop has no turn in between
MAX_CONTRACT_BYTES: Final = 63  # what a ring's configuration has room for
MAX_CONTROL_BYTES: Final = 64 << 10  # of a message that is not market data; a longer one is not looked into

TARGETS: Final = ("GatewayQuote", "GatewayTrade", "GatewayDepth")
KINDS: Final = ("Quotes", "Trades", "MarketDepth")

# As the venue's own server library writes it. The targets are equally long, so the contract begins at one place.
_HEAD: Final = '{"type":1,"target":"%s","arguments":["'
_CONTRACT_AT: Final = len(_HEAD % TARGETS[0])
assert all(len(_HEAD % target) == _CONTRACT_AT for target in TARGETS)
KEY_PLACE: Final = KeyPlace(SEPARATOR, _CONTRACT_AT, _CONTRACT_AT + MAX_CONTRACT_BYTES + 1)


class ProtocolError(Exception):
    """Bytes that cannot be a hub stream; the connection they came over is of no more use."""


class Splitter:
    """Cuts websocket frames into hub messages, and keeps the rest of a cut one for the next frame."""

    __slots__ = ("_tail", "_tail_bytes")

    def __init__(self) -> None:
        self._tail: list[bytes] = []
        self._tail_bytes = 0

    @property
    def holds_piece(self) -> bool:
        """Whether the next frame begins in the middle of a record."""
        return bool(self._tail)

    def split(self, frame: bytes) -> Sequence[bytes]:
        """The messages that `frame` completes, without separators. Raises ProtocolError above MAX_RECORD_BYTES, or
        above MAX_RECORDS.

        Pieces of a cut record are kept apart until the last one, so a record that comes in a million pieces is
        copied once.
        """
        end = frame.find(SEPARATOR)
        if self._tail:
            if end < 0:
                return self._keep(frame)
            first = b"".join((*self._tail, frame[:end]))
            self._tail.clear()
            self._tail_bytes = 0
            if len(first) > MAX_RECORD_BYTES:
                raise ProtocolError(f"a record of {len(first)} bytes is above the limit of {MAX_RECORD_BYTES}")
            return [first, *self.split(frame[end + 1 :])]
        if end == len(frame) - 1 and end > 0:
            return (frame[:-1],)
        if (count := frame.count(SEPARATOR)) > MAX_RECORDS:
            raise ProtocolError(f"a frame of {count} records is above the limit of {MAX_RECORDS}")
        *whole, rest = frame.split(SEPARATOR)
        if rest:
            self._keep(rest)
        return [message for message in whole if message]

    def _keep(self, piece: bytes) -> Sequence[bytes]:
        self._tail_bytes += len(piece)
        if self._tail_bytes > MAX_RECORD_BYTES or len(self._tail) > MAX_RECORD_BYTES // 64:
            raise ProtocolError(f"a record without an end is above the limit of {MAX_RECORD_BYTES} bytes")
        if piece:
            self._tail.append(piece)
        return ()


def heads(contract: str) -> list[bytes]:
    """How usual messages of a contract begin, up to its last letter: the router's keys."""
    return [(_HEAD % target + contract).encode() for target in TARGETS]


MIN_SNAPSHOT_ENTRIES: Final = 40  # of one that Reset does not lead; twice the longest increment we plan for
_DEPTH_ENTRIES: Final = re.compile(rb'"arguments"\s*:\s*\[\s*"[^"\\]*"\s*,\s*(?=\[)')
_LEADING_RESET: Final = re.compile(rb'\[\s*\{[^{}]*"type"\s*:\s*6\b')
_ASK: Final = re.compile(rb'"type"\s*:\s*1\b')
_BID: Final = re.compile(rb'"type"\s*:\s*2\b')


def is_snapshot(message: bytes) -> bool:
    """Whether a depth message looks like a whole book: led by Reset, or long and with both sides.

    A guess without a parse, asked only while an instrument waits for one. The worker decides by itself; a wrong No
    costs a reconnection, a wrong Yes the wish that the worker then makes again.
    """
    entries = _DEPTH_ENTRIES.search(message) if b'"GatewayDepth"' in message else None
    if entries is None:
        return False
    at = entries.end()
    if _LEADING_RESET.match(message, at):
        return True
    both = _ASK.search(message, at) and _BID.search(message, at)
    return both is not None and message.count(b'"price"', at) >= MIN_SNAPSHOT_ENTRIES


_STRING: Final = rb'"((?:[^"\\]|\\.)*+)"'
_NEXT_KEY: Final = re.compile(rb"\s*" + _STRING + rb"\s*:\s*")
_FIRST_ARGUMENT: Final = re.compile(rb"\[\s*" + _STRING)
_SCALAR: Final = re.compile(_STRING + rb"|[-+.\w]++")
_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]')


def contract_of(message: bytes) -> bytes | None:
    """The first argument of a quote, trade or depth invocation; None for any other message.

    The slow way, for a venue that sets spaces or orders its keys differently: it walks the top-level keys and skips
    their values, until type, target and arguments are known. Of keys that are there twice the first counts. A
    contract with escapes is none of ours.
    """
    kind = target = contract = None
    at = _after_space(message, 0)
    if message[at : at + 1] != b"{":
        return None
    at += 1
    while kind is None or target is None or contract is None:
        key = _NEXT_KEY.match(message, at)
        if key is None:
            return None
        name, at = key[1], key.end()
        end = _end_of_value(message, at)
        if end < 0:
            return None
        if name == b"type" and kind is None:
            kind = message[at:end]
        elif name == b"target" and target is None:
            target = message[at + 1 : end - 1]
        elif name == b"arguments" and contract is None:
            first = _FIRST_ARGUMENT.match(message, at)
            if first is None or b"\\" in first[1] or not 0 < len(first[1]) <= MAX_CONTRACT_BYTES:
                return None
            contract = first[1]
        at = _after_space(message, end)
        if message[at : at + 1] != b",":
            break
        at += 1
    if kind != b"1" or contract is None or target not in _TARGET_BYTES:
        return None
    return contract


_TARGET_BYTES: Final = frozenset(target.encode() for target in TARGETS)
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")


def _after_space(message: bytes, at: int) -> int:
    found = _SPACE.match(message, at)
    assert found is not None  # it also matches nothing
    return found.end()


def _end_of_value(message: bytes, at: int) -> int:
    """The place behind the JSON value that begins at `at`; -1 if none does or it has no end."""
    if message[at : at + 1] not in (b"[", b"{"):
        scalar = _SCALAR.match(message, at)
        return scalar.end() if scalar else -1
    depth = 0
    for bracket in _BRACKET.finditer(message, at):
        if bracket[0] in (b"[", b"{"):
            depth += 1
        elif bracket[0] in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                return bracket.end()
    return -1


def subscription(kind: str, contract: str, *, invocation_id: str = "") -> bytes:
    """Subscribe to one of KINDS. With an id the venue answers with one completion; without, with none."""
    return _invocation(f"SubscribeContract{kind}", contract, invocation_id)


def unsubscription(kind: str, contract: str, *, invocation_id: str = "") -> bytes:
    """Take a subscription back."""
    return _invocation(f"UnsubscribeContract{kind}", contract, invocation_id)


def _invocation(target: str, contract: str, invocation_id: str) -> bytes:
    message: dict[str, object] = {"type": 1, "target": target, "arguments": [contract]}
    if invocation_id:
        message["invocationId"] = invocation_id
    return orjson.dumps(message) + SEPARATOR


class Control(Enum):
    """What a message is that no ring wants."""

    PING = "ping"
    COMPLETION = "completion"
    CLOSE = "close"
    OTHER = "other"  # an event we have not subscribed to, a contract that is not ours, or no hub message at all


class ControlMessage(NamedTuple):
    """`error` is the venue's own text, not to be shown as it is; empty when all is well."""

    control: Control
    invocation_id: str
    error: str


_CONTROL_OF_TYPE: Final = {3: Control.COMPLETION, 6: Control.PING, 7: Control.CLOSE}
_OTHER: Final = ControlMessage(Control.OTHER, "", "")


def control_of(message: bytes) -> ControlMessage:
    """Read a message that went to no ring. These are few and short, so they may be parsed; long ones are OTHER."""
    fields = _object(message)
    control = _CONTROL_OF_TYPE.get(kind) if isinstance(kind := fields.get("type"), int) else None
    if control is None:
        return _OTHER
    invocation_id = fields.get("invocationId")
    return ControlMessage(
        control, invocation_id if isinstance(invocation_id, str) else "", _error_text(fields.get("error"))
    )


def handshake_error(message: bytes) -> str:
    """What is wrong with the venue's answer to HANDSHAKE; empty when it accepts (`{}`)."""
    if _object(message) or message.strip() != b"{}":
        return _error_text(_object(message).get("error")) or "the answer is no handshake"
    return ""


def _object(message: bytes) -> dict[str, object]:
    if len(message) > MAX_CONTROL_BYTES:
        return {}
    try:
        fields = orjson.loads(message)
    except orjson.JSONDecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _error_text(error: object) -> str:
    """The venue's own text, as long as it came: who shows it cuts it, after looking for secrets in it."""
    if error is None:
        return ""
    return error if isinstance(error, str) and error else "an error without a text"
