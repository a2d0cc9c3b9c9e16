"""engine/feeds/projectx.py: frames to messages, messages to contracts, and what the venue says besides."""

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.feeds import projectx
from engine.feeds.projectx import (
    MAX_CONTRACT_BYTES,
    MAX_RECORD_BYTES,
    Control,
    ControlMessage,
    ProtocolError,
    Splitter,
    contract_of,
    control_of,
    handshake_error,
    heads,
    is_snapshot,
)

CONTRACT = "CON.F.US.MNQ.Z26"
ENTRY = {"timestamp": "2026-11-22T14:33:00.1+00:00", "type": 2, "price": 21000.0, "volume": 12, "currentVolume": 12}


def depth(entries: Any, contract: str = CONTRACT) -> bytes:
    return orjson.dumps({"type": 1, "target": "GatewayDepth", "arguments": [contract, entries]})


def split_all(frames: list[bytes]) -> list[bytes]:
    splitter = Splitter()
    return [bytes(message) for frame in frames for message in splitter.split(frame)]


@given(
    messages=st.lists(st.binary(min_size=1, max_size=40).filter(lambda data: b"\x1e" not in data), max_size=8),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    rest=st.binary(max_size=5).filter(lambda data: b"\x1e" not in data),
)
def test_any_cutting_gives_the_same_messages(messages: list[bytes], cuts: list[int], rest: bytes) -> None:
    stream = b"".join(message + b"\x1e" for message in messages) + rest
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    frames = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert split_all(frames) == messages
    splitter = Splitter()
    for frame in frames:
        splitter.split(frame)
    assert splitter.holds_piece == bool(rest)


def test_empty_records_are_no_messages() -> None:
    assert split_all([b"\x1e", b"\x1e\x1ea\x1e", b"", b"b", b"\x1e\x1e"]) == [b"a", b"b"]


def test_a_record_at_its_limit_and_above_it() -> None:
    half = b"x" * (MAX_RECORD_BYTES // 2)
    assert len(split_all([half, half, b"\x1e"])[0]) == MAX_RECORD_BYTES
    with pytest.raises(ProtocolError, match="above the limit"):
        split_all([half, half, b"x"])
    with pytest.raises(ProtocolError, match="above the limit"):
        split_all([half, half + b"x\x1e"])


def test_a_record_in_too_many_pieces() -> None:
    with pytest.raises(ProtocolError, match="above the limit"):
        split_all([b"x"] * (MAX_RECORD_BYTES // 64 + 2))


def test_usual_messages_begin_with_a_head() -> None:
    for target, head in zip(projectx.TARGETS, heads(CONTRACT), strict=True):
        message = orjson.dumps({"type": 1, "target": target, "arguments": [CONTRACT, ENTRY]})
        assert message.startswith(head)
        assert message.find(b'"', projectx.KEY_PLACE.quote_from, projectx.KEY_PLACE.quote_to) == len(head)


NAMES = st.sampled_from(["type", "target", "arguments", "invocationId", "headers", "x", 'a"b', "target\\"])
PLAIN = st.none() | st.booleans() | st.integers(-10, 10) | st.text(max_size=8) | st.floats(allow_nan=False)
VALUES = st.recursive(
    PLAIN, lambda kids: st.lists(kids, max_size=3) | st.dictionaries(NAMES, kids, max_size=3), max_leaves=8
)
ARGUMENTS = st.lists(st.sampled_from([CONTRACT, "CON.F.US.EP.Z26"]) | VALUES, max_size=3)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "headers": VALUES,
        "type": st.sampled_from([1, 1, 1, 3, "1", 11]) | VALUES,
        "target": st.sampled_from([*projectx.TARGETS, "GatewayLogout", "Gateway"]) | VALUES,
        "arguments": ARGUMENTS | VALUES,
        "x": VALUES,
    },
)


def expected_contract(message: dict[str, Any]) -> bytes | None:
    """What contract_of has to find, from the parsed message."""
    arguments = message.get("arguments")
    kind = message.get("type")
    if type(kind) is not int or kind != 1 or message.get("target") not in projectx.TARGETS:
        return None
    if not isinstance(arguments, list) or not arguments or not isinstance(arguments[0], str):
        return None
    first = arguments[0].encode()
    usual = orjson.dumps(arguments[0]) == b'"' + first + b'"'
    return first if usual and 0 < len(first) <= MAX_CONTRACT_BYTES else None


@given(message=MESSAGES, order=st.randoms(use_true_random=False), spaced=st.booleans())
@settings(max_examples=500)
def test_the_contract_is_the_one_that_a_parser_finds(message: dict[str, Any], order: Any, spaced: bool) -> None:
    keys = list(message)
    order.shuffle(keys)
    message = {key: message[key] for key in keys}
    data = orjson.dumps(message, option=orjson.OPT_INDENT_2 if spaced else 0)
    assert contract_of(data) == expected_contract(message)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ 1target', max_size=80).map(str.encode))
def test_any_bytes_have_a_contract_or_none(data: bytes) -> None:
    assert contract_of(data) is None or b'"arguments"' in data
    control_of(data)
    handshake_error(data)
    is_snapshot(data)


def test_a_long_hostile_message_is_looked_through_once() -> None:
    for hostile in (b'{"a":' + b"[" * 2_000_000, b'{"a":"' + b"\\" * 2_000_001, b'{"arguments":' + b" " * 2_000_000):
        assert contract_of(hostile) is None


def test_a_contract_that_is_too_long_or_escaped_is_none_of_ours() -> None:
    assert contract_of(depth([], "C" * MAX_CONTRACT_BYTES)) == b"C" * MAX_CONTRACT_BYTES
    assert contract_of(depth([], "C" * (MAX_CONTRACT_BYTES + 1))) is None
    assert contract_of(depth([], "C\\u0041")) is None


def test_control_messages() -> None:
    assert control_of(b'{"type":6}') == ControlMessage(Control.PING, "", "")
    assert control_of(b'{"type":3,"invocationId":"7"}') == ControlMessage(Control.COMPLETION, "7", "")
    assert control_of(b'{"type":3,"invocationId":"7","error":"no"}') == ControlMessage(Control.COMPLETION, "7", "no")
    assert control_of(b'{"type":7}').control is Control.CLOSE
    assert control_of(b'{"type":7,"error":{}}').error == "an error without a text"
    for other in (
        depth([]),
        b"[]",
        b"",
        b"{}",
        b'{"type":[6]}',
        b'{"type":99}',
        b'{"type":6,"x":"' + b"x" * 70_000 + b'"}',
    ):
        assert control_of(other).control is Control.OTHER


def test_the_handshake() -> None:
    assert handshake_error(b"{}") == ""
    assert handshake_error(b'{"error":"no json here"}') == "no json here"
    for answer in (b"", b"[]", b'{"type":6}', b"\xff"):
        assert handshake_error(answer) == "the answer is no handshake"


def test_what_a_snapshot_looks_like() -> None:
    ask, bid, reset = ENTRY | {"type": 1}, ENTRY, ENTRY | {"type": 6}
    assert is_snapshot(depth([reset]))
    assert is_snapshot(depth([ask, bid] * 20))
    assert not is_snapshot(depth([ask] * 40))
    assert not is_snapshot(depth([ask, bid] * 10))
    assert not is_snapshot(depth([ask, reset]))
    assert not is_snapshot(depth([ENTRY | {"type": 61}]))
    assert not is_snapshot(depth(reset))
    assert not is_snapshot(orjson.dumps({"type": 1, "target": "GatewayTrade", "arguments": [CONTRACT, [reset]]}))
    spaced = orjson.dumps(orjson.loads(depth([reset, bid])), option=orjson.OPT_INDENT_2)
    assert is_snapshot(spaced)


def test_subscriptions_are_what_the_hub_expects() -> None:
    assert projectx.subscription("Quotes", CONTRACT) == (
        b'{"type":1,"target":"SubscribeContractQuotes","arguments":["CON.F.US.MNQ.Z26"]}\x1e'
    )
    assert projectx.unsubscription("MarketDepth", CONTRACT, invocation_id="9") == (
        b'{"type":1,"target":"UnsubscribeContractMarketDepth","arguments":["CON.F.US.MNQ.Z26"],"invocationId":"9"}\x1e'
    )
