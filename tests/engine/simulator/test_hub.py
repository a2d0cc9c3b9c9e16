"""The hub protocol without a socket: handshake, cutting of records, completions, bad input."""

import json
from typing import Any

import pytest

from engine.simulator.flow import Kind
from engine.simulator.hub import MAX_TAIL_BYTES, Change, Hub, Reply

CONTRACT = "CON.F.US.MNQ.Z26"
HELLO = '{"protocol":"json","version":1}\x1e'


def record(**fields: Any) -> str:
    return json.dumps(fields) + "\x1e"


@pytest.fixture
def hub() -> Hub:
    hub = Hub(frozenset({CONTRACT}))
    assert hub.receive(HELLO) == [Reply("{}\x1e")]
    return hub


def error_of(reply: Reply | Change) -> str:
    assert isinstance(reply, Reply)
    found: str = json.loads(reply.text[:-1])["error"]
    return found


@pytest.mark.parametrize(
    "hello",
    [
        '{"protocol":"xml","version":1}',
        '{"protocol":"messagepack","version":2}',
        '{"protocol":"json","version":0}',
        "[]",
        "x",
    ],
)
def test_a_wrong_handshake_is_answered_and_closed(hello: str) -> None:
    [reply] = Hub(frozenset()).receive(hello + "\x1e")
    assert isinstance(reply, Reply)
    assert reply.closes
    assert error_of(reply)


def test_records_may_share_a_message_or_span_two() -> None:
    hub = Hub(frozenset({CONTRACT}))
    call = record(type=1, target="SubscribeContractQuotes", arguments=[CONTRACT])
    assert hub.receive(HELLO + call[:20]) == [Reply("{}\x1e")]
    actions = hub.receive(call[20:] + call)
    assert actions == [Change(True, Kind.QUOTE, CONTRACT, "")] * 2


@pytest.mark.parametrize(
    ("method", "subscribes", "kind"),
    [
        ("SubscribeContractMarketDepth", True, Kind.DEPTH),
        ("UnsubscribeContractMarketDepth", False, Kind.DEPTH),
        ("SubscribeContractTrades", True, Kind.TRADES),
        ("UnsubscribeContractQuotes", False, Kind.QUOTE),
    ],
)
def test_only_a_call_with_an_id_is_completed(hub: Hub, method: str, subscribes: bool, kind: Kind) -> None:
    plain = hub.receive(record(type=1, target=method, arguments=[CONTRACT], headers={}))
    assert plain == [Change(subscribes, kind, CONTRACT, "")]
    [called] = hub.receive(record(type=1, target=method, arguments=[CONTRACT], invocationId="7"))
    assert isinstance(called, Change)
    assert json.loads(called.completion[:-1]) == {"type": 3, "invocationId": "7"}


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("PlaceOrder", [CONTRACT]),
        ("SubscribeContractTrades", ["CON.F.US.ENQ.Z26"]),
        ("SubscribeContractTrades", []),
        ("SubscribeContractTrades", [[CONTRACT]]),
        ("SubscribeContractTrades", [CONTRACT, CONTRACT]),
    ],
)
def test_a_call_that_cannot_be_done_is_an_error_and_the_connection_lives(
    hub: Hub, target: str, arguments: list[Any]
) -> None:
    [reply] = hub.receive(record(type=1, target=target, arguments=arguments, invocationId="9"))
    assert target in error_of(reply)
    assert hub.receive(record(type=1, target=target, arguments=arguments)) == []
    assert hub.unknown_calls == 2
    assert hub.receive(record(type=6)) == []


def test_a_heartbeat_is_swallowed(hub: Hub) -> None:
    assert hub.receive(record(type=1, target="Heartbeat", arguments=[{"timestamp": 1.5}])) == []
    assert hub.unknown_calls == 0


@pytest.mark.parametrize(
    "bad", ["{", "[]", '{"type":99}', '{"type":1,"target":4,"arguments":[]}', "[" * 5000, '{"type":1,"target":"x"}']
)
def test_what_is_no_record_closes_the_connection(hub: Hub, bad: str) -> None:
    [reply] = hub.receive(bad + "\x1e" + record(type=6))
    assert isinstance(reply, Reply)
    assert reply.closes
    assert json.loads(reply.text[:-1])["type"] == 7


@pytest.mark.parametrize(("length", "closes"), [(MAX_TAIL_BYTES, False), (MAX_TAIL_BYTES + 1, True)])
def test_a_record_without_end_has_a_limit(hub: Hub, length: int, closes: bool) -> None:
    actions = hub.receive("x" * length)
    assert bool(actions) == closes


def test_the_client_says_goodbye(hub: Hub) -> None:
    assert hub.receive(record(type=7)) == [Reply("", closes=True)]
