"""What an order takes at a best bid and ask: what is shown, at its price, and never beyond the limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.simulator.account import Order, OrderType, Side, Status
from engine.simulator.matching import Take, Top, take, triggers

TOP = Top(bid=100, bid_size=5, ask=103, ask_size=2)


def order(order_type: OrderType, side: Side, size: int = 4, limit: int | None = None, stop: int | None = None) -> Order:
    return Order(1, "C", order_type, side, size, limit, stop, None, Status.OPEN, 0, 0)


@pytest.mark.parametrize(
    ("given_order", "taken"),
    [
        (order(OrderType.MARKET, Side.BUY), Take(103, 2)),
        (order(OrderType.MARKET, Side.SELL), Take(100, 4)),
        (order(OrderType.LIMIT, Side.BUY, limit=102), None),
        (order(OrderType.LIMIT, Side.BUY, limit=103), Take(103, 2)),
        (order(OrderType.LIMIT, Side.BUY, limit=110), Take(103, 2)),
        (order(OrderType.LIMIT, Side.SELL, limit=101), None),
        (order(OrderType.LIMIT, Side.SELL, limit=100), Take(100, 4)),
        (order(OrderType.JOIN_BID, Side.BUY, limit=100), None),
        (order(OrderType.STOP, Side.BUY, stop=103), None),
        (order(OrderType.STOP, Side.BUY, stop=103)._replace(is_triggered=True), Take(103, 2)),
        (order(OrderType.LIMIT, Side.BUY, limit=110)._replace(filled=3), Take(103, 1)),
    ],
)
def test_take(given_order: Order, taken: Take | None) -> None:
    assert take(given_order, TOP) == taken


@pytest.mark.parametrize(
    ("side", "stop", "is_triggered"),
    [(Side.BUY, 103, True), (Side.BUY, 104, False), (Side.SELL, 100, True), (Side.SELL, 99, False)],
)
def test_a_stop_waits_for_its_price(side: Side, stop: int, is_triggered: bool) -> None:
    for order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
        waiting = order(order_type, side, limit=100, stop=stop)
        assert triggers(waiting, TOP) == is_triggered
        assert not triggers(waiting._replace(is_triggered=True), TOP)
    assert not triggers(order(OrderType.LIMIT, side, limit=stop), TOP)


def test_an_empty_side_fills_and_triggers_nothing() -> None:
    empty = Top(-1, 0, 500, 0)
    for side in Side:
        assert take(order(OrderType.MARKET, side), empty) is None
        assert not triggers(order(OrderType.STOP, side, stop=300), empty)


@given(
    some.sampled_from(Side),
    some.integers(1, 20),
    some.integers(1, 50),
    some.builds(Top, some.integers(1, 50), some.integers(0, 20), some.integers(1, 50), some.integers(0, 20)),
)
def test_never_worse_than_the_limit_nor_more_than_there_is(side: Side, size: int, limit: int, top: Top) -> None:
    taken = take(order(OrderType.LIMIT, side, size, limit), top)
    if taken is None:
        return
    assert 1 <= taken.size <= size
    if side is Side.BUY:
        assert taken.ticks == top.ask <= limit
        assert taken.size <= top.ask_size
    else:
        assert taken.ticks == top.bid >= limit
        assert taken.size <= top.bid_size
