"""The desk between a client's wishes and the account: what is refused and with which code, and what the flow fills.

It holds open orders against the best bid and ask after every single record that was sent, also when it looks only
now and then; the flow, its frames and its truth are only read. Codes are the endpoints' own (fact sheet, section 5).
An order that is asked for in due form but cannot be worked is kept as REJECTED and has an id all the same; one for an
account or a contract that is not there has none.
"""

import math
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple, Protocol

from .account import Account, Change, NotOpen, Order, OrderType, Side, Status
from .contracts import E9, Contract, decimal_text
from .flow import Flow
from .matching import Top, is_reached, other_side, own_side, take, triggers
from .tops import Tops

ACCOUNT_ID = 704
MAX_OPEN_ORDERS = 200
MAX_SIZE = 1_000
MAX_PRICE = 1e7
BRACKETS_REFUSED = "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."


class PlaceCode(IntEnum):
    """Order/place."""

    DONE = 0
    ACCOUNT_NOT_FOUND = 1
    ORDER_REJECTED = 2
    INSUFFICIENT_FUNDS = 3
    CONTRACT_NOT_FOUND = 8
    CONTRACT_NOT_ACTIVE = 9


class ChangeCode(IntEnum):
    """Order/modify and Order/cancel."""

    DONE = 0
    ACCOUNT_NOT_FOUND = 1
    ORDER_NOT_FOUND = 2
    REJECTED = 3


class CloseCode(IntEnum):
    """Position/closeContract."""

    DONE = 0
    ACCOUNT_NOT_FOUND = 1
    POSITION_NOT_FOUND = 2
    CONTRACT_NOT_FOUND = 3
    CONTRACT_NOT_ACTIVE = 4
    ORDER_REJECTED = 5
    ORDER_PENDING = 6


class PartialCloseCode(IntEnum):
    """Position/partialCloseContract."""

    DONE = 0
    ACCOUNT_NOT_FOUND = 1
    POSITION_NOT_FOUND = 2
    CONTRACT_NOT_FOUND = 3
    CONTRACT_NOT_ACTIVE = 4
    INVALID_CLOSE_SIZE = 5
    ORDER_REJECTED = 6
    ORDER_PENDING = 7


class Ticket(NamedTuple):
    """An order as a client asks for it: prices in units, nothing else checked."""

    account_id: int
    contract_id: str
    type: OrderType
    side: Side
    size: int
    limit_price: float | None = None
    stop_price: float | None = None
    tag: str | None = None
    has_brackets: bool = False


class Outcome(NamedTuple):
    """The answer: 0 and, of a placed order, its id; else a code of the endpoint's own and why."""

    code: int
    order_id: int | None = None
    message: str | None = None


class Sent(Protocol):
    """What the desk reads of a channel: its flow, and how many records were sent, over all loops."""

    flow: Flow

    @property
    def position(self) -> int: ...


class Refused(Exception):
    """The order cannot be worked; the message says why, to the client."""


class Desk:
    """contracts: all that are listed, by contract id. channels: those that trade, by contract id. Both may change.

    `tell` hears of every change, in order, before the call that made it returns.
    """

    def __init__(
        self,
        account: Account,
        contracts: Mapping[str, Contract],
        channels: Mapping[str, Sent],
        now_ns: Callable[[], int],
        tell: Callable[[Change], None],
    ) -> None:
        self.account = account
        self.contracts = contracts
        self._channels = channels
        self._now_ns = now_ns
        self._tell = tell
        self._tops: dict[str, Tops] = {}  # made with a contract's first order
        self._seen: dict[str, int] = {}  # records up to which a contract's orders were held against the flow

    def settle(self) -> None:
        """Hold the open orders against all that was sent since the last time."""
        orders: dict[str, list[int]] = {}
        for order in self.account.open_orders():
            orders.setdefault(order.contract_id, []).append(order.order_id)
        for contract_id, order_ids in orders.items():
            seen, position = self._seen[contract_id], self._channels[contract_id].position
            self._seen[contract_id] = position
            for top in self._tops[contract_id].changes(seen, position):
                for order_id in order_ids:
                    self._match(order_id, top)

    def place(self, ticket: Ticket) -> Outcome:
        """Order/place: the code is a PlaceCode."""
        if ticket.account_id != ACCOUNT_ID:
            return Outcome(PlaceCode.ACCOUNT_NOT_FOUND)
        if ticket.contract_id not in self.contracts:
            return Outcome(PlaceCode.CONTRACT_NOT_FOUND)
        if ticket.contract_id not in self._channels:
            return Outcome(PlaceCode.CONTRACT_NOT_ACTIVE)
        self.settle()
        try:
            top = self._top(ticket.contract_id)
            limit_ticks, stop_ticks = self._terms(ticket, top)
        except Refused as refused:
            return self._reject(ticket, PlaceCode.ORDER_REJECTED, str(refused))
        if self.account.balance_e9 <= 0:
            return self._reject(ticket, PlaceCode.INSUFFICIENT_FUNDS, None)
        order = self._add(ticket, limit_ticks, stop_ticks)
        self._match(order.order_id, top)
        return Outcome(PlaceCode.DONE, order.order_id)

    def modify(
        self, account_id: int, order_id: int, size: int | None, limit_price: float | None, stop_price: float | None
    ) -> Outcome:
        """Order/modify: the code is a ChangeCode. What is None stays as it is."""
        if account_id != ACCOUNT_ID:
            return Outcome(ChangeCode.ACCOUNT_NOT_FOUND)
        self.settle()
        order = self.account.orders.get(order_id)
        if order is None:
            return Outcome(ChangeCode.ORDER_NOT_FOUND)
        if order.contract_id not in self._channels:
            return Outcome(ChangeCode.REJECTED, message="The contract has expired.")
        try:
            top = self._top(order.contract_id)
            changed = self._amended(order, top, size, limit_price, stop_price)
        except (Refused, ValueError) as refused:
            return Outcome(ChangeCode.REJECTED, message=str(refused))
        self._tell(changed)
        self._match(order_id, top)
        return Outcome(ChangeCode.DONE)

    def cancel(self, account_id: int, order_id: int) -> Outcome:
        """Order/cancel: the code is a ChangeCode."""
        if account_id != ACCOUNT_ID:
            return Outcome(ChangeCode.ACCOUNT_NOT_FOUND)
        self.settle()
        if order_id not in self.account.orders:
            return Outcome(ChangeCode.ORDER_NOT_FOUND)
        try:
            self._tell(self.account.cancel(order_id, self._now_ns()))
        except NotOpen as refused:
            return Outcome(ChangeCode.REJECTED, message=str(refused))
        return Outcome(ChangeCode.DONE)

    def expire(self, contract_id: str) -> None:
        """Call this right before a contract trades no more: its open orders go, its position stays."""
        self.settle()
        for order in self.account.open_orders():
            if order.contract_id == contract_id:
                self._tell(self.account.cancel(order.order_id, self._now_ns()))

    def close(self, account_id: int, contract_id: str) -> Outcome:
        """Position/closeContract: the code is a CloseCode."""
        return self._close(account_id, contract_id, None, CloseCode)

    def close_part(self, account_id: int, contract_id: str, size: int) -> Outcome:
        """Position/partialCloseContract: the code is a PartialCloseCode."""
        return self._close(account_id, contract_id, size, PartialCloseCode)

    def _close(
        self, account_id: int, contract_id: str, size: int | None, codes: type[CloseCode] | type[PartialCloseCode]
    ) -> Outcome:
        """Close with a market order. While one is still being filled another would close more than is open."""
        if account_id != ACCOUNT_ID:
            return Outcome(codes.ACCOUNT_NOT_FOUND)
        if contract_id not in self.contracts:
            return Outcome(codes.CONTRACT_NOT_FOUND)
        if contract_id not in self._channels:
            return Outcome(codes.CONTRACT_NOT_ACTIVE)
        self.settle()
        held = self.account.positions.get(contract_id)
        if held is None:
            return Outcome(codes.POSITION_NOT_FOUND)
        if size is None:
            size = abs(held.size)
        elif not 1 <= size <= abs(held.size):
            return Outcome(PartialCloseCode.INVALID_CLOSE_SIZE)
        working = self.account.open_orders()
        if any(order.contract_id == contract_id and order.type is OrderType.MARKET for order in working):
            return Outcome(codes.ORDER_PENDING)
        top = self._top(contract_id)
        side = Side.SELL if held.size > 0 else Side.BUY
        if not other_side(side, top).size:
            return Outcome(codes.ORDER_REJECTED, message=_no_price(side))
        order = self.account.add(contract_id, OrderType.MARKET, side, size, self._now_ns())
        self._tell(order)
        self._match(order.order_id, top)
        return Outcome(codes.DONE)

    def _top(self, contract_id: str) -> Top:
        """The best bid and ask as last sent. From here on the contract's orders have seen the flow up to there."""
        channel = self._channels[contract_id]
        if contract_id not in self._tops:
            self._tops[contract_id] = Tops(channel.flow)
        self._seen[contract_id] = channel.position
        return self._tops[contract_id].at(channel.position)

    def _match(self, order_id: int, top: Top) -> None:
        """Let an order take what it can at this best bid and ask."""
        order = self.account.orders[order_id]
        if order.status is not Status.OPEN:
            return
        if triggers(order, top):
            order = self.account.trigger(order_id, self._now_ns())
        found = take(order, top)
        if found is not None:
            for change in self.account.fill(order_id, found.ticks, found.size, self._now_ns()):
                self._tell(change)

    def _reject(self, ticket: Ticket, code: PlaceCode, message: str | None) -> Outcome:
        order = self._add(ticket, None, None, Status.REJECTED)
        return Outcome(code, order.order_id, message)

    def _add(
        self, ticket: Ticket, limit_ticks: int | None, stop_ticks: int | None, status: Status = Status.OPEN
    ) -> Order:
        """A new order of the account, which is told."""
        order = self.account.add(
            ticket.contract_id,
            ticket.type,
            ticket.side,
            ticket.size,
            self._now_ns(),
            limit_ticks=limit_ticks,
            stop_ticks=stop_ticks,
            tag=ticket.tag,
            status=status,
        )
        self._tell(order)
        return order

    def _terms(self, ticket: Ticket, top: Top) -> tuple[int | None, int | None]:
        """The limit and the stop price in ticks. Raises Refused."""
        if ticket.has_brackets:
            raise Refused(BRACKETS_REFUSED)
        if ticket.type == OrderType.TRAILING_STOP:
            raise Refused("Trailing stops are not available.")
        if ticket.type == OrderType.UNKNOWN:
            raise Refused("Unknown order type.")
        if not 1 <= ticket.size <= MAX_SIZE:
            raise Refused(f"An order's size is 1 to {MAX_SIZE}.")
        if len(self.account.open_orders()) >= MAX_OPEN_ORDERS:
            raise Refused(f"An account has at most {MAX_OPEN_ORDERS} open orders.")
        if ticket.tag is not None and self.account.has_tag(ticket.tag):
            raise Refused("The custom tag is in use by another order.")
        contract = self.contracts[ticket.contract_id]
        limit = _ticks(contract, ticket.limit_price, "limit") if ticket.limit_price is not None else None
        stop = _ticks(contract, ticket.stop_price, "stop") if ticket.stop_price is not None else None
        return _prices(ticket.type, ticket.side, limit, stop, top)

    def _amended(
        self, order: Order, top: Top, size: int | None, limit_price: float | None, stop_price: float | None
    ) -> Order:
        """Raises Refused, and what Account.amend does."""
        contract = self.contracts[order.contract_id]
        size = order.size if size is None else size
        if not 1 <= size <= MAX_SIZE:
            raise Refused(f"An order's size is 1 to {MAX_SIZE}.")
        limit_ticks, stop_ticks = order.limit_ticks, order.stop_ticks
        if limit_price is not None:
            if limit_ticks is None:
                raise Refused("The order has no limit price.")
            limit_ticks = _ticks(contract, limit_price, "limit")
        if stop_price is not None:
            if stop_ticks is None or order.is_triggered:
                raise Refused("The order has no stop price, or it was reached.")
            stop_ticks = _ticks(contract, stop_price, "stop")
            _check_stop(order.side, stop_ticks, top)
        return self.account.amend(
            order.order_id, self._now_ns(), size=size, limit_ticks=limit_ticks, stop_ticks=stop_ticks
        )


def _prices(
    order_type: OrderType, side: Side, limit: int | None, stop: int | None, top: Top
) -> tuple[int | None, int | None]:
    """Limit and stop price, in ticks, that an order of a type works with. Raises Refused."""
    match order_type:
        case OrderType.MARKET:
            if not other_side(side, top).size:
                raise Refused(_no_price(side))
            return None, None
        case OrderType.JOIN_BID | OrderType.JOIN_ASK:
            if (order_type is OrderType.JOIN_BID) != (side is Side.BUY):
                raise Refused("Buyers join the bid and sellers the ask.")
            best = own_side(side, top)
            if not best.size:
                raise Refused("There is no price to join.")
            return best.ticks, None
        case OrderType.LIMIT:
            if limit is None:
                raise Refused("A limit order needs a limit price.")
            return limit, None
    if stop is None:
        raise Refused("A stop order needs a stop price.")
    if order_type is OrderType.STOP_LIMIT and limit is None:
        raise Refused("A stop limit order needs a limit price.")
    _check_stop(side, stop, top)
    return (limit if order_type is OrderType.STOP_LIMIT else None), stop


def _check_stop(side: Side, stop_ticks: int, top: Top) -> None:
    if is_reached(side, stop_ticks, top):
        raise Refused("A stop price is above the market for who buys and below it for who sells.")


def _no_price(side: Side) -> str:
    return f"There is nobody to {'buy from' if side is Side.BUY else 'sell to'}."


def _ticks(contract: Contract, price: float, what: str) -> int:
    """A price in ticks. What arithmetic on floats adds to a price, below a hundredth of a tick, does no harm.

    Raises Refused.
    """
    if not (math.isfinite(price) and 0 < price <= MAX_PRICE):
        raise Refused(f"A {what} price is above 0 and at most {MAX_PRICE:.0f}.")
    price_e9 = round(price * E9)
    ticks = round(price_e9 / contract.tick_e9)
    if abs(price_e9 - ticks * contract.tick_e9) * 100 > contract.tick_e9:
        raise Refused(f"A {what} price is a multiple of {decimal_text(contract.tick_e9)}.")
    return ticks
