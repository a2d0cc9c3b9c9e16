"""The slow path alone: which refusal for what, numbers the kernel does not take, and that nothing else comes out."""

import json
import os
import random

import numpy as np
import pytest

from tests.workers.decode.agreement import decode_slowly
from tests.workers.decode.frames import CONTRACT, depth, message
from workers.decode import slow
from workers.decode.rows import CHANGE_SCALE, EVENT_QUOTE, QUOTE_BASE, ROW, Op
from workers.decode.slow import Refusal, Refused

SEED = int(os.environ.get("SHARDBOOK_SEED", "7"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"{", Refusal.NOT_JSON),
        (b"\xff", Refusal.NOT_JSON),
        (b"[]", Refusal.NOT_INVOCATION),
        (b'{"type":6}', Refusal.NOT_INVOCATION),
        (message("GatewayLogout", "{}"), Refusal.UNKNOWN_TARGET),
        (b'{"type":1,"target":["GatewayDepth"],"arguments":[]}', Refusal.UNKNOWN_TARGET),
        (b'{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26"]}', Refusal.BAD_ARGUMENTS),
        (message("GatewayDepth", "[]", contract="CON.F.US.MES.Z26"), Refusal.OTHER_CONTRACT),
        (message("GatewayDepth", "[5]"), Refusal.BAD_PAYLOAD),
        (depth(price=None), Refusal.MISSING_FIELD),
        (depth(price="1"), Refusal.BAD_NUMBER),
        (depth(price=1e10), Refusal.BAD_NUMBER),
        (depth(volume=-1), Refusal.BAD_NUMBER),
        (depth(timestamp="yesterday"), Refusal.BAD_STAMP),
        (depth(timestamp="2026-02-30T00:00:00Z"), Refusal.BAD_STAMP),
        (depth(type=None), Refusal.BAD_TYPE),
        (message("GatewayTrade", '{"type":2,"price":1,"volume":1}'), Refusal.BAD_TYPE),
    ],
)
def test_refusals(text: bytes, code: Refusal) -> None:
    with pytest.raises(Refused) as refused:
        decode_slowly(text)
    assert refused.value.code is code
    assert str(refused.value)


def test_more_rows_than_there_is_room_for() -> None:
    text = message("GatewayDepth", "[" + ",".join(['{"type":6}'] * 5) + "]")
    assert len(decode_slowly(text, capacity=5)[1]) == 5
    with pytest.raises(Refused) as refused:
        decode_slowly(text, capacity=4)
    assert refused.value.code is Refusal.TOO_MANY_ROWS


def test_a_refusal_quotes_nothing_of_the_record() -> None:
    with pytest.raises(Refused) as refused:
        decode_slowly(depth(timestamp="canary-token"))
    assert "canary" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [("0.0000000005", 0), ("0.0000000015", 2), ("-0.0000000025", -2), ("0.00121654501216545", 1_216_545), ("1e-30", 0)],
)
def test_changes_are_rounded_half_to_even(change: str, expected: int) -> None:
    for name, place in (("change", 7), ("changePercent", 8)):
        rows = decode_slowly(message("GatewayQuote", f'{{"{name}":{change}}}'))
        assert rows == (EVENT_QUOTE, [(QUOTE_BASE + place, expected, 0, 0, 0)])
    assert CHANGE_SCALE == 9


def test_quote_values_off_the_grid_are_marked() -> None:
    event, rows = decode_slowly(message("GatewayQuote", '{"bestBid":0.0000000001,"open":5,"volume":1.5}'))
    assert event == EVENT_QUOTE
    assert rows == [(Op.OFF_GRID, 0, 0, 0, 0), (QUOTE_BASE + 3, 5 * 10**9, 0, 0, 0), (Op.OFF_GRID, 0, 0, 0, 0)]


def test_a_negative_size_is_refused_even_off_the_grid() -> None:
    for volume in (-1, -0.5):
        with pytest.raises(Refused):
            decode_slowly(depth(volume=volume, price=0.0000000001))


@pytest.mark.parametrize("scale", range(19))
def test_numbers_at_every_scale(scale: int) -> None:
    rows = np.zeros(4, ROW)
    least = 10**-scale
    text = message("GatewayDepth", json.dumps({"type": 1, "price": least, "volume": 1}))
    assert slow.decode(text, CONTRACT.encode(), scale, 0, rows)[1] == 1
    assert rows[0].tolist() == (Op.ASK, 1, 1, 0, 1)
    edge = message("GatewayDepth", json.dumps({"type": 1, "price": (2**63 - 1) // 10**scale, "volume": 1}))
    assert slow.decode(edge, CONTRACT.encode(), scale, 0, rows)[1] == 1
    above = message("GatewayDepth", json.dumps({"type": 1, "price": 2**63 // 10**scale + 1, "volume": 1}))
    with pytest.raises(Refused):
        slow.decode(above, CONTRACT.encode(), scale, 0, rows)


def test_only_refusals_come_out_of_any_json() -> None:
    """JSON values of every kind in every place: rows or Refused, no other error."""
    print(f"SHARDBOOK_SEED={SEED}")
    rng = random.Random(SEED)
    values: list[object] = [
        None,
        True,
        False,
        0,
        1,
        -1,
        2**63,
        2**64,
        10**30,
        0.5,
        1e308,
        5e-324,
        -0.0,
        "",
        "x",
        "\uff11",
        [],
        {},
        [[]],
    ]
    values += ["2026-11-22T14:33:00Z", {"type": 2, "price": 1, "volume": 1}, [{"type": 2, "price": 1, "volume": 1}]]
    names = ["type", "price", "volume", "timestamp", "lastUpdated", "bestBid", "change", "changePercent", "open"]
    took = 0
    for _ in range(5000):
        item = {name: rng.choice(values) for name in rng.sample(names, rng.randrange(len(names)))}
        payload = rng.choice([item, [item], [item, item], rng.choice(values)])
        top = {
            "type": 1,
            "target": "Gateway" + rng.choice(["Depth", "Trade", "Quote"]),
            "arguments": [CONTRACT, payload],
        }
        if rng.random() < 0.2:
            top[rng.choice(list(top))] = rng.choice(values)
        try:
            decode_slowly(json.dumps(top).encode())
        except Refused:
            continue
        took += 1
    assert took > 100
