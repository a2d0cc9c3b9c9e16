"""Which orders fill, at a best bid and ask: pure, on values of an account and of a book.

The book is prepared and nothing here moves it, so each order finds for itself all that the best level shows: it takes
at most that, at that level's price, and what is left of it waits until the best changes, or the order. An order that
rests is filled when the other side's best reaches its price, never by trades at it: we have no place in the venue's
queue.
"""

from typing import NamedTuple

from .account import Order, OrderType, Side

STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


class Top(NamedTuple):
    """The best level of each side, in ticks; a size of 0 means that the side is empty."""

    bid: int
    bid_size: int
    ask: int
    ask_size: int


class Take(NamedTuple):
    """A fill: at which price, how much."""

    ticks: int
    size: int


def other_side(side: Side, top: Top) -> Take:
    """What an order of that side can take: the ask for who buys, the bid for who sells."""
    return Take(top.ask, top.ask_size) if side is Side.BUY else Take(top.bid, top.bid_size)


def own_side(side: Side, top: Top) -> Take:
    """The best level of those who want the same."""
    return Take(top.bid, top.bid_size) if side is Side.BUY else Take(top.ask, top.ask_size)


def is_reached(side: Side, stop_ticks: int, top: Top) -> bool:
    """Whether a stop's price is reached: what the order would take costs as much, or brings as little."""
    ticks, size = other_side(side, top)
    if not size:
        return False
    return ticks >= stop_ticks if side is Side.BUY else ticks <= stop_ticks


def triggers(order: Order, top: Top) -> bool:
    """Whether an open order is a stop that waits, and this best bid and ask end its waiting."""
    if order.type not in STOPS or order.is_triggered or order.stop_ticks is None:
        return False
    return is_reached(order.side, order.stop_ticks, top)


def take(order: Order, top: Top) -> Take | None:
    """What an open order takes at this best bid and ask: never at a price worse than its limit."""
    ticks, shown = other_side(order.side, top)
    size = min(shown, order.size - order.filled)
    if size <= 0 or (order.type in STOPS and not order.is_triggered):
        return None
    if order.limit_ticks is not None:
        is_worse = ticks > order.limit_ticks if order.side is Side.BUY else ticks < order.limit_ticks
        if is_worse:
            return None
    return Take(ticks, size)
