"""The MessagePack hub protocol (fact sheet 6.4): what it says in arrays, the JSON protocol says in objects.

A message is any number of `VarInt length, msgpack array`; the length is little-endian base 128 in 1 to 5 bytes. The
hub and the sender know JSON records only: both directions are translated here, at the rim. How the real venue packs
its payloads is not known; here they are maps with the names and numbers of the JSON ones.
"""

from typing import Any

import msgpack
import orjson

MAX_LENGTH_BYTES = 5
_VOID, _ERROR, _VALUE = 2, 1, 3


class Malformed(ValueError):
    """The bytes are no MessagePack hub message; the message says why."""


def length_prefix(length: int) -> bytes:
    """A VarInt."""
    prefix = bytearray()
    while length > 127:
        prefix.append(length & 127 | 128)
        length >>= 7
    return bytes((*prefix, length))


def cut(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole messages of `data`, and what remains of one that is not whole. Raises Malformed for a bad length."""
    messages: list[bytes] = []
    at = 0
    while True:
        length, size = _length(data, at)
        if not size or at + size + length > len(data):
            return messages, data[at:]
        messages.append(data[at + size : at + size + length])
        at += size + length


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A VarInt and how many bytes it has: 0 if it is cut off."""
    length = 0
    for i, byte in enumerate(data[at : at + MAX_LENGTH_BYTES]):
        length |= (byte & 127) << (7 * i)
        if byte < 128:
            return length, i + 1
    if len(data) - at >= MAX_LENGTH_BYTES:
        raise Malformed("A message's length has more than 5 bytes.")
    return 0, 0


def record_of(message: bytes) -> dict[str, Any]:
    """The JSON protocol's record of a client's message. Raises Malformed."""
    try:
        parts = msgpack.unpackb(message)
    except (ValueError, RecursionError):
        raise Malformed("A message is not MessagePack.") from None
    match parts:
        case [int(kind), _, invocation_id, target, arguments, *_] if kind in (1, 4):
            return {"type": kind, "invocationId": invocation_id, "target": target, "arguments": arguments}
        case [int(kind), *_] if kind not in (1, 4):
            return {"type": kind}
    raise Malformed("A message is not an array of the hub protocol.")


def packed(record: dict[str, Any]) -> bytes:
    """A message, with its length, of a server's record of the JSON protocol."""
    parts: list[Any]
    match record["type"]:
        case 1:
            parts = [1, {}, record.get("invocationId"), record["target"], record["arguments"], []]
        case 3 if "error" in record:
            parts = [3, {}, record["invocationId"], _ERROR, record["error"]]
        case 3 if "result" in record:
            parts = [3, {}, record["invocationId"], _VALUE, record["result"]]
        case 3:
            parts = [3, {}, record["invocationId"], _VOID]
        case 7:
            parts = [7, record.get("error"), record.get("allowReconnect", False)]
        case kind:
            parts = [kind]
    message: bytes = msgpack.packb(parts)
    return length_prefix(len(message)) + message


def translated(text: bytes) -> bytes:
    """Records of the JSON protocol, each with its 0x1E, as messages."""
    return b"".join(packed(orjson.loads(record)) for record in text.split(b"\x1e") if record)
