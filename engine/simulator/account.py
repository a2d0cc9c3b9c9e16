"""A trading account as a state machine on values: orders, positions, trades and a balance, and nothing around them.

Every call gives the changes that it made, in the order in which a client should hear of them. Prices are integer
ticks and money is integer 10^-9 of the currency, because a cent cannot hold every tick's value; so nothing is rounded
but the cost that a partial close takes out of a position, and what was rounded away stays in the rest of the cost.
Hence, at any moment and exactly: profits and losses = what sales brought - what purchases cost + the open cost.

A position has one average price. A fill that closes more than is open is two half turns: one that closes, with its
profit or loss, and one that opens (fact sheet, section 3, HalfTrade). Ids count up from 1.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from enum import IntEnum
from itertools import count
from typing import NamedTuple

from .contracts import E9, Contract

MAX_KEPT = 10_000  # finished orders, and trades: the oldest are forgotten
OPENING_BALANCE_E9 = 150_000 * E9
_MICRO_FEE_E9, _FEE_E9 = 370_000_000, 1_400_000_000  # a contract and half turn


class Side(IntEnum):
    """Fact sheet, section 5: OrderSide."""

    BUY = 0
    SELL = 1


class OrderType(IntEnum):
    """Fact sheet, section 5. Only refused orders are UNKNOWN."""

    UNKNOWN = 0
    LIMIT = 1
    MARKET = 2
    STOP_LIMIT = 3
    STOP = 4
    TRAILING_STOP = 5
    JOIN_BID = 6
    JOIN_ASK = 7


class Status(IntEnum):
    """Fact sheet, section 5: the OrderStatus values that an order takes here."""

    OPEN = 1
    FILLED = 2
    CANCELLED = 3
    REJECTED = 5


class Order(NamedTuple):
    """filled_ticks: the sum of price times size over its fills. is_triggered: a stop whose price was reached."""

    order_id: int
    contract_id: str
    type: OrderType
    side: Side
    size: int
    limit_ticks: int | None
    stop_ticks: int | None
    tag: str | None
    status: Status
    created_ns: int
    updated_ns: int
    filled: int = 0
    filled_ticks: int = 0
    is_triggered: bool = False


class Position(NamedTuple):
    """size: above 0 long, below 0 short, 0 closed. cost_e9: what it was bought, or sold short, for; never negative
    for positive prices. A closed one keeps the average price that it had, as `average_e9`."""

    position_id: int
    contract_id: str
    size: int
    cost_e9: int
    average_e9: int
    created_ns: int


class Trade(NamedTuple):
    """One half turn. profit_e9: None if it opened."""

    trade_id: int
    contract_id: str
    order_id: int
    side: Side
    size: int
    ticks: int
    profit_e9: int | None
    fee_e9: int
    created_ns: int


class Balance(NamedTuple):
    """What the account is worth with its open positions at cost."""

    balance_e9: int


Change = Order | Position | Trade | Balance


class NotOpen(ValueError):
    """The order is unknown to the account, or filled, cancelled or rejected."""


def fee_e9(contract: Contract) -> int:
    """The fee of a contract and half turn: of the size that exchanges take, less for the micros."""
    return _MICRO_FEE_E9 if contract.description.startswith("Micro") else _FEE_E9


class Account:
    """contracts: those it may trade, by contract id. Positions are by contract id, and only open ones."""

    def __init__(self, contracts: Mapping[str, Contract], balance_e9: int = OPENING_BALANCE_E9) -> None:
        self.orders: dict[int, Order] = {}
        self.positions: dict[str, Position] = {}
        self.trades: deque[Trade] = deque(maxlen=MAX_KEPT)
        self.balance_e9 = balance_e9
        self._contracts = contracts
        self._open: dict[int, None] = {}  # ids in order of arrival: a set that keeps it
        self._finished: deque[int] = deque()
        self._tags: set[str] = set()
        self._order_ids, self._position_ids, self._trade_ids = count(1), count(1), count(1)

    def open_orders(self) -> list[Order]:
        """Oldest first."""
        return [self.orders[order_id] for order_id in self._open]

    def has_tag(self, tag: str) -> bool:
        """Whether an order that is still known bears the tag, which has to be unique."""
        return tag in self._tags

    def add(
        self,
        contract_id: str,
        order_type: OrderType,
        side: Side,
        size: int,
        now_ns: int,
        *,
        limit_ticks: int | None = None,
        stop_ticks: int | None = None,
        tag: str | None = None,
        status: Status = Status.OPEN,
    ) -> Order:
        """A new order, open or REJECTED; of a rejected one all that is kept is what was asked for."""
        order_id = next(self._order_ids)
        order = Order(
            order_id, contract_id, order_type, side, size, limit_ticks, stop_ticks, tag, status, now_ns, now_ns
        )
        if tag is not None and status is Status.OPEN:
            self._tags.add(tag)
        if status is Status.OPEN:
            self._open[order_id] = None
        return self._keep(order)

    def amend(self, order_id: int, now_ns: int, *, size: int, limit_ticks: int | None, stop_ticks: int | None) -> Order:
        """New terms for an open order. Raises NotOpen, and ValueError for a size that is not above what was filled."""
        order = self._open_order(order_id)
        if size <= order.filled:
            raise ValueError(f"{order.filled} of the order are filled: its size cannot be {size}")
        return self._keep(order._replace(size=size, limit_ticks=limit_ticks, stop_ticks=stop_ticks, updated_ns=now_ns))

    def trigger(self, order_id: int, now_ns: int) -> Order:
        """A stop's price was reached: from now on it is a market, or a limit, order. Raises NotOpen."""
        return self._keep(self._open_order(order_id)._replace(is_triggered=True, updated_ns=now_ns))

    def cancel(self, order_id: int, now_ns: int) -> Order:
        """Raises NotOpen."""
        return self._keep(self._open_order(order_id)._replace(status=Status.CANCELLED, updated_ns=now_ns))

    def fill(self, order_id: int, ticks: int, size: int, now_ns: int) -> list[Change]:
        """Fill `size` of an open order at one price. Raises NotOpen, and ValueError for more than is left of it."""
        order = self._open_order(order_id)
        if not 1 <= size <= order.size - order.filled:
            raise ValueError(f"{order.size - order.filled} of the order are left, not {size}")
        filled = order.filled + size
        order = self._keep(
            order._replace(
                filled=filled,
                filled_ticks=order.filled_ticks + ticks * size,
                status=Status.FILLED if filled == order.size else Status.OPEN,
                updated_ns=now_ns,
            )
        )
        changes: list[Change] = [order]
        for half in self._half_turns(order, ticks, size, now_ns):
            changes += half
        return [*changes, Balance(self.balance_e9)]

    def _half_turns(self, order: Order, ticks: int, size: int, now_ns: int) -> Iterator[tuple[Trade, Position]]:
        """What of a fill closes, then what opens."""
        signed = size if order.side is Side.BUY else -size
        held = self.positions.get(order.contract_id)
        if held is not None and held.size * signed < 0:
            closes = min(size, abs(held.size))
            yield self._close(held, order, ticks, closes, now_ns)
            size -= closes
        if size:
            yield self._enlarge(order, ticks, size, now_ns)

    def _close(self, held: Position, order: Order, ticks: int, size: int, now_ns: int) -> tuple[Trade, Position]:
        contract = self._contracts[order.contract_id]
        cost_e9 = held.cost_e9 * size // abs(held.size)  # whole when all is closed
        value_e9 = ticks * contract.tick_value_e9 * size
        profit_e9 = value_e9 - cost_e9 if held.size > 0 else cost_e9 - value_e9
        left = held.size - size if held.size > 0 else held.size + size
        position = held._replace(size=left, cost_e9=held.cost_e9 - cost_e9)
        if left:
            self.positions[order.contract_id] = position
        else:
            del self.positions[order.contract_id]
        self.balance_e9 += profit_e9
        return self._trade(order, ticks, size, profit_e9, now_ns), position

    def _enlarge(self, order: Order, ticks: int, size: int, now_ns: int) -> tuple[Trade, Position]:
        contract = self._contracts[order.contract_id]
        held = self.positions.get(order.contract_id)
        if held is None:
            held = Position(next(self._position_ids), order.contract_id, 0, 0, 0, now_ns)
        cost_e9 = held.cost_e9 + ticks * contract.tick_value_e9 * size
        total = held.size + (size if order.side is Side.BUY else -size)
        average_e9 = cost_e9 * contract.tick_e9 // (contract.tick_value_e9 * abs(total))
        position = held._replace(size=total, cost_e9=cost_e9, average_e9=average_e9)
        self.positions[order.contract_id] = position
        return self._trade(order, ticks, size, None, now_ns), position

    def _trade(self, order: Order, ticks: int, size: int, profit_e9: int | None, now_ns: int) -> Trade:
        fees_e9 = fee_e9(self._contracts[order.contract_id]) * size
        self.balance_e9 -= fees_e9
        trade = Trade(
            next(self._trade_ids),
            order.contract_id,
            order.order_id,
            order.side,
            size,
            ticks,
            profit_e9,
            fees_e9,
            now_ns,
        )
        self.trades.append(trade)
        return trade

    def _open_order(self, order_id: int) -> Order:
        if order_id not in self._open:
            raise NotOpen(f"order {order_id} is not open")
        return self.orders[order_id]

    def _keep(self, order: Order) -> Order:
        """Store an order's newest state; forget the oldest finished one behind MAX_KEPT of them."""
        self.orders[order.order_id] = order
        if order.status is not Status.OPEN:
            self._open.pop(order.order_id, None)
            self._finished.append(order.order_id)
            if len(self._finished) > MAX_KEPT:
                forgotten = self.orders.pop(self._finished.popleft())
                if forgotten.status is not Status.REJECTED and forgotten.tag is not None:
                    self._tags.discard(forgotten.tag)
        return order
