"""The desk: codes and sentences for what it refuses, and what the flow fills, record by record."""

import os
import random
from dataclasses import dataclass
from typing import Any

import pytest

from engine.simulator.account import Account, Balance, Change, Order, OrderType, Position, Side, Status, Trade
from engine.simulator.contracts import CONTRACTS, E9
from engine.simulator.desk import (
    ACCOUNT_ID,
    BRACKETS_REFUSED,
    MAX_OPEN_ORDERS,
    ChangeCode,
    CloseCode,
    Desk,
    Outcome,
    PartialCloseCode,
    PlaceCode,
    Ticket,
)
from engine.simulator.flow import Flow
from engine.simulator.generated import generate
from engine.simulator.matching import Top
from engine.simulator.tops import Tops

MNQ, ES = CONTRACTS["MNQ"], CONTRACTS["ES"]
FLOW = generate(MNQ, 8, depth_records=2_000)
TOPS = Tops(FLOW)
UNKNOWN = "CON.F.US.XYZ.Z26"
NOW_NS = 1_795_357_980_000_000_000


@dataclass
class Channel:
    flow: Flow
    position: int = 0


class Stage:
    """A desk over one contract's flow, of which `channel.position` records were sent. ES is listed, but not active."""

    def __init__(self, balance_e9: int = 150_000 * E9) -> None:
        self.channel = Channel(FLOW)
        self.heard: list[Change] = []
        contracts = {contract.contract_id: contract for contract in (MNQ, ES)}
        self.account = Account(contracts, balance_e9)
        channels = {MNQ.contract_id: self.channel}
        self.desk = Desk(self.account, contracts, channels, lambda: NOW_NS + self.channel.position, self.heard.append)

    @property
    def top(self) -> Top:
        return TOPS.at(self.channel.position)

    def place(self, order_type: OrderType, side: Side, size: int = 1, **more: Any) -> Outcome:
        ticket = Ticket(ACCOUNT_ID, MNQ.contract_id, order_type, side, size)
        return self.desk.place(ticket._replace(**more))

    def placed(self, order_type: OrderType, side: Side, size: int = 1, **more: Any) -> Order:
        """An order that is taken, as it stands after that."""
        outcome = self.place(order_type, side, size, **more)
        assert outcome.code == PlaceCode.DONE, outcome
        assert outcome.order_id is not None
        return self.account.orders[outcome.order_id]

    def advance_until(self, wanted: Any) -> None:
        """Send records until `wanted(top)`, which a loop of the flow has to bring."""
        for _ in range(len(FLOW)):
            if wanted(self.top):
                return
            self.channel.position += 1
        raise AssertionError("the flow does not bring it")


def price(ticks: int) -> float:
    return ticks * 0.25


def test_a_market_order_takes_the_best_and_tells_it_in_order() -> None:
    stage = Stage()
    order = stage.placed(OrderType.MARKET, Side.BUY, tag="first")
    assert (order.status, order.filled_ticks) == (Status.FILLED, stage.top.ask)
    assert [type(change) for change in stage.heard] == [Order, Order, Trade, Position, Balance]
    assert isinstance(stage.heard[0], Order)
    assert stage.heard[0].status is Status.OPEN


def test_what_the_best_does_not_show_is_filled_when_it_changes() -> None:
    stage = Stage()
    first = stage.top
    order = stage.placed(OrderType.MARKET, Side.SELL, first.bid_size + 1)
    assert (order.status, order.filled) == (Status.OPEN, first.bid_size)
    stage.desk.settle()
    assert stage.account.orders[1].filled == first.bid_size
    stage.advance_until(lambda top: top != first)
    stage.desk.settle()
    assert stage.account.orders[1].status is Status.FILLED
    assert stage.account.orders[1].filled_ticks == first.bid_size * first.bid + stage.top.bid


def test_a_limit_order_waits_for_the_other_side() -> None:
    stage = Stage()
    limit = stage.top.bid - 3
    order = stage.placed(OrderType.LIMIT, Side.BUY, limit_price=price(limit))
    assert order.status is Status.OPEN
    stage.advance_until(lambda top: top.ask <= limit)
    stage.channel.position += 40  # looking later than it happened changes nothing
    stage.desk.settle()
    filled = stage.account.orders[order.order_id]
    assert filled.status is Status.FILLED
    assert filled.filled_ticks <= limit


def test_stops_wait_trigger_and_fill() -> None:
    for order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
        stage = Stage()
        stop = stage.top.ask + 3
        order = stage.placed(order_type, Side.BUY, stop_price=price(stop), limit_price=price(stop + 40))
        assert order.status is Status.OPEN
        assert (order.limit_ticks is None) == (order_type is OrderType.STOP)
        stage.advance_until(lambda top: top.ask >= stop)  # noqa: B023
        stage.desk.settle()
        filled = stage.account.orders[order.order_id]
        assert filled.status is Status.FILLED
        assert filled.filled_ticks >= stop


@pytest.mark.parametrize(("order_type", "side"), [(OrderType.JOIN_BID, Side.BUY), (OrderType.JOIN_ASK, Side.SELL)])
def test_who_joins_gets_the_best_of_the_own_side_as_limit(order_type: OrderType, side: Side) -> None:
    stage = Stage()
    order = stage.placed(order_type, side)
    assert order.limit_ticks == (stage.top.bid if side is Side.BUY else stage.top.ask)
    assert stage.place(order_type, Side(1 - side)).code == PlaceCode.ORDER_REJECTED


def test_how_often_the_desk_looks_changes_no_fill() -> None:
    seed = int(os.environ.get("SHARDBOOK_SEED", random.randrange(1 << 32)))
    print(f"SHARDBOOK_SEED={seed}")
    draw = random.Random(seed)
    often, seldom = Stage(), Stage()
    limits: dict[int, tuple[Side, int]] = {}
    for _ in range(60):
        side, size = draw.choice(list(Side)), draw.randint(1, 12)
        distance = draw.randint(-6, 6)
        for stage in (often, seldom):
            limit = stage.top.bid + distance
            order = stage.placed(OrderType.LIMIT, side, size, limit_price=price(limit))
            limits[order.order_id] = side, limit
        for _ in range(draw.randint(0, 90)):
            for stage in (often, seldom):
                stage.channel.position += 1
            often.desk.settle()
    seldom.desk.settle()

    def fills(stage: Stage) -> set[tuple[int, int, int]]:
        """What was filled of each order, in all and for which price: half turns may be cut another way."""
        return {(order.order_id, order.filled, order.filled_ticks) for order in stage.account.orders.values()}

    assert fills(often) == fills(seldom)
    assert sum(order.filled for order in often.account.orders.values()) > 50
    for trade in (*often.account.trades, *seldom.account.trades):
        side, limit = limits[trade.order_id]
        assert trade.ticks <= limit if side is Side.BUY else trade.ticks >= limit
    for stage in (often, seldom):
        bought = sum(t.size if t.side is Side.BUY else -t.size for t in stage.account.trades)
        held = stage.account.positions.get(MNQ.contract_id)
        assert (held.size if held else 0) == bought


@pytest.mark.parametrize(
    ("changed", "code", "says"),
    [
        ({"account_id": 1}, PlaceCode.ACCOUNT_NOT_FOUND, None),
        ({"contract_id": UNKNOWN}, PlaceCode.CONTRACT_NOT_FOUND, None),
        ({"contract_id": ES.contract_id}, PlaceCode.CONTRACT_NOT_ACTIVE, None),
    ],
)
def test_an_order_for_what_is_not_there_has_no_id(changed: dict[str, Any], code: PlaceCode, says: str | None) -> None:
    stage = Stage()
    assert stage.place(OrderType.MARKET, Side.BUY, **changed) == Outcome(code, None, says)
    assert not stage.heard


@pytest.mark.parametrize(
    ("order_type", "changed", "says"),
    [
        (OrderType.LIMIT, {"limit_price": 24000.0, "has_brackets": True}, BRACKETS_REFUSED),
        (OrderType.TRAILING_STOP, {"stop_price": 24000.0}, "Trailing stops are not available."),
        (OrderType.UNKNOWN, {}, "Unknown order type."),
        (OrderType.MARKET, {"size": 0}, "An order's size is 1 to 1000."),
        (OrderType.LIMIT, {}, "A limit order needs a limit price."),
        (OrderType.LIMIT, {"limit_price": 24000.1}, "A limit price is a multiple of 0.25."),
        (OrderType.LIMIT, {"limit_price": float("nan")}, "A limit price is above 0 and at most 10000000."),
        (OrderType.STOP, {}, "A stop order needs a stop price."),
        (OrderType.STOP_LIMIT, {"stop_price": 25000.0}, "A stop limit order needs a limit price."),
        (OrderType.STOP, {"stop_price": 1.0}, "A stop price is above the market for who buys and below it for who"),
    ],
)
def test_an_order_that_cannot_be_worked_is_kept_as_rejected(
    order_type: OrderType, changed: dict[str, Any], says: str
) -> None:
    stage = Stage()
    outcome = stage.place(order_type, Side.BUY, **changed)
    assert (outcome.code, outcome.order_id) == (PlaceCode.ORDER_REJECTED, 1)
    assert outcome.message is not None
    assert outcome.message.startswith(says)
    [order] = stage.heard
    assert isinstance(order, Order)
    assert order.status is Status.REJECTED


def test_no_money_no_order() -> None:
    outcome = Stage(balance_e9=0).place(OrderType.MARKET, Side.BUY)
    assert (outcome.code, outcome.order_id) == (PlaceCode.INSUFFICIENT_FUNDS, 1)


def test_tags_are_unique_and_open_orders_few() -> None:
    stage = Stage()
    stage.placed(OrderType.LIMIT, Side.BUY, limit_price=100.0, tag="a")
    assert stage.place(OrderType.LIMIT, Side.BUY, limit_price=100.0, tag="a").code == PlaceCode.ORDER_REJECTED
    for _ in range(MAX_OPEN_ORDERS - 1):
        stage.placed(OrderType.LIMIT, Side.BUY, limit_price=100.0)
    assert stage.place(OrderType.LIMIT, Side.BUY, limit_price=100.0).code == PlaceCode.ORDER_REJECTED
    assert stage.desk.cancel(ACCOUNT_ID, 1).code == ChangeCode.DONE
    stage.placed(OrderType.LIMIT, Side.BUY, limit_price=100.0)


def test_modify_and_cancel() -> None:
    stage = Stage()
    order_id = stage.placed(OrderType.LIMIT, Side.BUY, 2, limit_price=price(stage.top.bid - 50)).order_id
    modify = stage.desk.modify
    assert modify(1, order_id, 3, None, None).code == ChangeCode.ACCOUNT_NOT_FOUND
    assert modify(ACCOUNT_ID, 99, 3, None, None).code == ChangeCode.ORDER_NOT_FOUND
    for size, limit, stop in ((0, None, None), (None, 100.1, None), (None, None, 100.0)):
        assert modify(ACCOUNT_ID, order_id, size, limit, stop).code == ChangeCode.REJECTED
    assert stage.account.orders[order_id].size == 2
    assert modify(ACCOUNT_ID, order_id, 1, price(stage.top.ask), None).code == ChangeCode.DONE
    assert stage.account.orders[order_id].status is Status.FILLED, "at its new price it fills at once"
    assert modify(ACCOUNT_ID, order_id, 3, None, None).code == ChangeCode.REJECTED
    assert stage.desk.cancel(ACCOUNT_ID, order_id).code == ChangeCode.REJECTED
    assert stage.desk.cancel(ACCOUNT_ID, 99).code == ChangeCode.ORDER_NOT_FOUND
    assert stage.desk.cancel(1, order_id).code == ChangeCode.ACCOUNT_NOT_FOUND


def test_closing_a_position() -> None:
    stage = Stage()
    close, close_part, mnq = stage.desk.close, stage.desk.close_part, MNQ.contract_id
    assert close(1, mnq).code == CloseCode.ACCOUNT_NOT_FOUND
    assert close(ACCOUNT_ID, UNKNOWN).code == CloseCode.CONTRACT_NOT_FOUND
    assert close(ACCOUNT_ID, ES.contract_id).code == CloseCode.CONTRACT_NOT_ACTIVE
    assert close(ACCOUNT_ID, mnq).code == CloseCode.POSITION_NOT_FOUND
    for _ in range(3):
        stage.placed(OrderType.MARKET, Side.SELL)
    for size in (0, 4):
        assert close_part(ACCOUNT_ID, mnq, size).code == PartialCloseCode.INVALID_CLOSE_SIZE
    assert close_part(ACCOUNT_ID, mnq, 1).code == PartialCloseCode.DONE
    assert stage.account.positions[mnq].size == -2
    stage.advance_until(lambda top: top.ask_size >= 2)
    assert close(ACCOUNT_ID, mnq).code == CloseCode.DONE
    assert mnq not in stage.account.positions


def test_while_a_market_order_is_being_filled_closing_is_pending() -> None:
    stage = Stage()
    shown = stage.top.ask_size
    stage.placed(OrderType.MARKET, Side.BUY, shown + 1)
    assert stage.account.positions[MNQ.contract_id].size == shown
    assert stage.desk.close(ACCOUNT_ID, MNQ.contract_id).code == CloseCode.ORDER_PENDING
    assert stage.desk.close_part(ACCOUNT_ID, MNQ.contract_id, 1).code == PartialCloseCode.ORDER_PENDING
