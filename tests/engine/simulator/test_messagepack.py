"""MessagePack framing and translation, with the bytes of the fact sheet (6.4) and with hostile ones."""

import random
from typing import Any

import msgpack
import pytest

from engine.simulator.flow import Kind
from engine.simulator.hub import Change, Hub, Reply
from engine.simulator.messagepack import Malformed, cut, length_prefix, packed, record_of, translated

MNQ = "CON.F.US.MNQ.Z26"


@pytest.mark.parametrize(
    ("length", "prefix"), [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001")]
)
def test_lengths(length: int, prefix: str) -> None:
    assert length_prefix(length).hex() == prefix


def test_messages_share_a_frame_or_span_two(seed: int) -> None:
    draw = random.Random(seed)
    messages = [draw.randbytes(draw.choice((0, 1, 127, 128, 300, 20_000))) for _ in range(60)]
    stream = b"".join(length_prefix(len(message)) + message for message in messages)
    found, rest, at = [], b"", 0
    while at < len(stream):
        step = draw.choice((1, 2, 1_000, 30_000))
        new, rest = cut(rest + stream[at : at + step])
        found += new
        at += step
    assert found == messages
    assert rest == b""


def test_a_length_has_at_most_5_bytes() -> None:
    assert cut(b"\xff" * 4) == ([], b"\xff" * 4)
    with pytest.raises(Malformed, match="5 bytes"):
        cut(b"\xff" * 5)


def test_what_the_server_says() -> None:
    assert translated(b'{"type":6}\x1e') == bytes.fromhex("029106")
    cases: list[tuple[dict[str, Any], list[Any]]] = [
        ({"type": 1, "target": "T", "arguments": [1]}, [1, {}, None, "T", [1], []]),
        ({"type": 3, "invocationId": "4"}, [3, {}, "4", 2]),
        ({"type": 3, "invocationId": "4", "error": "no"}, [3, {}, "4", 1, "no"]),
        ({"type": 3, "invocationId": "4", "result": 5}, [3, {}, "4", 3, 5]),
        ({"type": 7}, [7, None, False]),
        ({"type": 7, "error": "no", "allowReconnect": True}, [7, "no", True]),
    ]
    for record, parts in cases:
        message = packed(record)
        assert message[0] == len(message) - 1
        assert msgpack.unpackb(message[1:]) == parts


def test_a_client_subscribes_in_messagepack() -> None:
    hub = Hub(frozenset({MNQ}))
    assert hub.receive('{"protocol":"messagepack","version":1}\x1e') == [Reply("{}\x1e", turns_binary=True)]
    call = bytes([0x96, 1, 0x80, 0xC0]) + msgpack.packb("SubscribeContractQuotes") + msgpack.packb([MNQ]) + b"\x90"
    assert call.startswith(bytes.fromhex("960180c0b753"))
    framed = bytes([len(call)]) + call
    assert hub.receive(framed[:9]) == []
    assert hub.receive(framed[9:] + bytes.fromhex("029106") + framed) == [Change(True, Kind.QUOTE, MNQ, "")] * 2


@pytest.mark.parametrize(
    "bad",
    [
        *(b"\xc1", b"", b"\x91", b"\x01", b"\x90", b"\x91\xa1x", b"\x92\x01\x80", b"\x91\x06\x06", b"\x91" * 9_000),
        *(msgpack.packb({"type": 6}), msgpack.packb([99]), msgpack.packb([1, {}, None, 4, []]), b"\x91\xa1\xff"),
    ],
)
def test_what_is_no_message_closes_the_connection(bad: bytes) -> None:
    hub = Hub(frozenset({MNQ}))
    hub.receive('{"protocol":"messagepack","version":1}\x1e')
    [reply] = hub.receive(length_prefix(len(bad)) + bad)
    assert isinstance(reply, Reply)
    assert reply.closes


def test_random_bytes_are_refused_and_nothing_else(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(3_000):
        message = bytearray(msgpack.packb([1, {}, "1", "T", [MNQ], []]))
        for _ in range(draw.randrange(1, 4)):
            message[draw.randrange(len(message))] = draw.randrange(256)
        try:
            assert record_of(bytes(message))["type"] is not None
        except Malformed:
            continue
