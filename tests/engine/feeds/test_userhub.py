"""The account's models on the wire: both shapes, every field checked, and nothing else than Unreadable for the rest."""

import copy
import random
import string
from typing import Any

import orjson
import pytest

from engine.feeds import userhub
from engine.feeds.projectx import Control
from engine.feeds.userhub import FillRow, OrderRow, Owned, PositionRow, Standing, Unreadable, read, session_start
from shm.layout import E9, NO_VALUE
from tests.engine.feeds.fake_account import ACCOUNT, MNQ, event, fill, order, position, standing

SECOND_NS = 1_795_357_980_000_000_000  # 2026-11-22T14:33:00Z
MUTATIONS = 5000


def heard(kind: str, payload: Any) -> tuple[Owned, ...]:
    found = read(event(kind, payload)[:-1])
    assert (found.control, found.refused) == (None, 0)
    return found.rows


def test_an_order() -> None:
    [owned] = heard("Order", order(9056, at=4, stopPrice=20_999.75, fillVolume=1, filledPrice=21_000.333333333))
    assert owned == Owned(
        ACCOUNT,
        OrderRow(
            order_id=9056,
            created_ns=SECOND_NS + 268_009_000,
            updated_ns=SECOND_NS + 4_268_009_000,
            status=1,
            type=1,
            side=0,
            size=3,
            filled=1,
            limit_e9=21_000_250_000_000,
            stop_e9=20_999_750_000_000,
            filled_e9=21_000_333_333_333,
            tick_e9=0,
            contract=MNQ.encode(),
            tag=b"tag-9056",
        ),
    )


@pytest.mark.parametrize(("kind", "size", "signed"), [(1, 2, 2), (2, 2, -2), (0, 0, 0), (1, 0, 0), (0, 3, 0)])
def test_a_position_is_signed_and_closed_at_size_or_type_zero(kind: int, size: int, signed: int) -> None:
    [owned] = heard("Position", position(7) | {"type": kind, "size": size})
    assert isinstance(owned.row, PositionRow)
    assert (owned.row.size, owned.row.average_e9) == (signed, 21_000_300_000_000)


def test_a_fill_and_an_account() -> None:
    [opened] = heard("Trade", fill(8603))
    [closed] = heard("Trade", fill(8604, profitAndLoss=-12.5, voided=True))
    assert isinstance(opened.row, FillRow)
    assert isinstance(closed.row, FillRow)
    assert (opened.row.profit_e9, opened.row.fees_e9, opened.row.voided) == (NO_VALUE, 370_000_000, 0)
    assert (closed.row.profit_e9, closed.row.voided) == (-12_500_000_000, 1)
    [owned] = heard("Account", standing(balance=150_000.63))
    assert owned == Owned(ACCOUNT, Standing(ACCOUNT, b"PRAC-canary-1", 150_000_630_000_000, True))


@pytest.mark.parametrize(
    "shape",
    [
        lambda row: row,
        lambda row: {"action": 1, "data": row},
        lambda row: [row],
        lambda row: [{"action": 2, "data": row}],
    ],
    ids=["bare", "wrapped", "list", "list-of-wrapped"],
)
def test_every_shape_that_was_met(shape: Any) -> None:
    for kind, row in (("Order", order(1)), ("Position", position(1)), ("Trade", fill(1)), ("Account", standing())):
        assert heard(kind, shape(row)) == heard(kind, row)


def test_what_may_be_left_out() -> None:
    row = order(1, updateTimestamp=None, limitPrice=None, fillVolume=None, customTag=None, trailDistance=4)
    [owned] = heard("Order", row)
    assert isinstance(owned.row, OrderRow)
    assert (owned.row.updated_ns, owned.row.limit_e9, owned.row.filled, owned.row.tag) == (0, NO_VALUE, 0, b"")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-22T14:33:00Z", SECOND_NS),
        ("2026-11-22T14:33:00", SECOND_NS),
        ("2026-11-22T09:33:00-05:00", SECOND_NS),
        ("2026-11-22T14:33:00.1234567+00:00", SECOND_NS + 123_456_000),
        ("0001-01-01T00:00:00", 0),
        ("0001-01-01T00:00:00+14:00", 0),
    ],
)
def test_stamps(text: str, ns: int) -> None:
    [owned] = heard("Position", position(1, creationTimestamp=text))
    assert isinstance(owned.row, PositionRow)
    assert owned.row.created_ns == ns


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 0},
        {"id": "9"},
        {"id": True},
        {"id": 1 << 63},
        {"accountId": None},
        {"contractId": ""},
        {"contractId": "C" * 65},
        {"contractId": "C\n"},
        {"contractId": "Ä"},
        {"creationTimestamp": None},
        {"creationTimestamp": "yesterday"},
        {"creationTimestamp": "9999-12-31T23:59:59Z"},
        {"creationTimestamp": "2" * 1000},
        {"updateTimestamp": 5},
        {"status": 1001},
        {"status": -1},
        {"side": 2},
        {"side": 0.0},
        {"size": -1},
        {"size": 10**10},
        {"limitPrice": "1"},
        {"limitPrice": 1e12},
        {"limitPrice": True},
        {"customTag": 5},
    ],
    ids=lambda wrong: (
        "-".join(f"{key}-{str(value)[:12]}" for key, value in wrong.items()).encode("ascii", "replace").decode()
    ),
)
def test_a_field_that_is_not_what_it_must_be(wrong: dict[str, Any]) -> None:
    found = read(event("Order", [order(1), order(2) | wrong, order(3)])[:-1])
    assert found.refused == 1
    assert [owned.row[0] for owned in found.rows] == [1, 3]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b'"x"',
        b"\xff",
        b"[" * 100_000,
        b'{"type":1,"target":"GatewayUserOrder"}',
        b'{"type":1,"target":"GatewayUserOrder","arguments":{}}',
        b'{"type":1,"target":"GatewayUserOrder","arguments":[]}',
        b'{"type":1,"target":"GatewayUserOrder","arguments":[1,2]}',
    ],
    ids=["empty", "list", "text", "no-utf8", "deep", "no-arguments", "an-object", "none", "two"],
)
def test_a_message_that_is_none(message: bytes) -> None:
    with pytest.raises(Unreadable):
        read(message)


def test_too_many_rows_are_refused_together() -> None:
    assert len(heard("Order", [order(1)] * userhub.MAX_ROWS)) == userhub.MAX_ROWS
    with pytest.raises(Unreadable, match="more than 1000 rows"):
        read(event("Order", [order(1)] * (userhub.MAX_ROWS + 1))[:-1])


def test_what_is_no_event_of_ours_is_left_to_the_protocol() -> None:
    for message, control in (
        (b'{"type":6}', Control.PING),
        (b'{"type":3,"invocationId":"1"}', Control.COMPLETION),
        (b'{"type":7,"error":"x"}', Control.CLOSE),
        (b'{"type":1,"target":"GatewayLogout","arguments":[]}', Control.OTHER),
        (b'{"type":1,"target":["GatewayUserOrder"],"arguments":[]}', Control.OTHER),
    ):
        found = read(message)
        assert found.control is not None
        assert found.control.control is control


def test_subscriptions_name_the_account_as_a_number() -> None:
    calls = userhub.subscriptions(704)
    sent = [orjson.loads(call[:-1]) for call in calls.values()]
    assert [call["invocationId"] for call in sent] == list(calls)
    assert [(call["target"], call["arguments"]) for call in sent] == [
        ("SubscribeAccounts", []),
        ("SubscribeOrders", [704]),
        ("SubscribePositions", [704]),
        ("SubscribeTrades", [704]),
    ]


@pytest.mark.parametrize(
    ("now", "start"),
    [
        ("2026-11-22T21:59:59Z", "2026-11-21T22:00:00+00:00"),
        ("2026-11-22T22:00:00Z", "2026-11-22T22:00:00+00:00"),
        ("2026-03-01T00:00:00Z", "2026-02-28T22:00:00+00:00"),
    ],
)
def test_the_trading_day_began_at_the_last_22_utc(now: str, start: str) -> None:
    from datetime import datetime

    assert session_start(datetime.fromisoformat(now).timestamp()) == start


def test_money_is_exact_to_the_last_digit() -> None:
    for cents in range(0, 100_000_000, 999_983):
        [owned] = heard("Account", standing(balance=cents / 100))
        assert isinstance(owned.row, Standing)
        assert owned.row.balance_e9 == cents * E9 // 100


def test_mutated_events_are_read_or_refused_and_nothing_else(seed: int) -> None:
    """Bytes changed, and values replaced by any others: rows that come out fit their dtypes."""
    chance = random.Random(seed)
    samples = [("Order", order(1)), ("Position", position(1)), ("Trade", fill(1)), ("Account", standing())]
    values: list[Any] = [None, True, -1, 1 << 62, 1 << 63, 1e300, -1e300, "", "x" * 300, [], {}, "2026", 0.1, "\0", "é"]
    refused = 0
    for _ in range(MUTATIONS):
        kind, row = copy.deepcopy(chance.choice(samples))
        for _ in range(chance.randint(0, 2)):
            row[chance.choice(list(row))] = chance.choice(values)
        shape = chance.choice([row, [row], {"action": 1, "data": row}, [[row]], {"data": [row]}])
        message = bytearray(event(kind, shape)[:-1])
        for _ in range(chance.randint(0, 2)):
            message[chance.randrange(len(message))] = ord(chance.choice(string.printable))
        try:
            found = read(bytes(message))
        except Unreadable:
            refused += 1
            continue
        refused += found.refused
        for owned in found.rows:
            assert all(type(value) in (int, bytes, bool) for value in owned.row), owned
            assert all(-(1 << 63) <= value < 1 << 63 for value in owned.row if isinstance(value, int)), owned
    assert MUTATIONS // 10 < refused < MUTATIONS
