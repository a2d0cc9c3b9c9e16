"""The account's REST endpoints: orders, positions, trades, the account itself (fact sheet, sections 3 to 5).

Bodies are JSON objects; one without a required field, or with a value of another type, is a bad request. Business
failures are HTTP 200 with the endpoint's own errorCode. The bearer token was checked before a handler is called.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from .account import Order, OrderType, Side
from .desk import ACCOUNT_ID, Desk, Outcome, Ticket
from .envelope import body_of, moment_of, text_of, whole_of
from .models import (
    account_model,
    ns_of,
    order_model,
    orders_between,
    position_model,
    trade_model,
    trades_between,
)

MAX_TAG_CHARACTERS = 128
_ACCOUNT_NOT_FOUND, _ORDER_NOT_FOUND = 1, 1
_INT32, _INT64 = 1 << 31, 1 << 63

Body = dict[str, Any]
Answer = tuple[Body, Outcome]  # the payload's fields, and the code


class RestAccount:
    """The endpoints over one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """All of them, for the application."""
        answers: dict[str, Callable[[Body], Answer]] = {
            "/api/Account/search": self._accounts,
            "/api/Order/place": self._place,
            "/api/Order/modify": self._modify,
            "/api/Order/cancel": self._cancel,
            "/api/Order/search": self._orders,
            "/api/Order/searchOpen": self._open_orders,
            "/api/Order/searchById": self._order,
            "/api/Position/searchOpen": self._positions,
            "/api/Position/closeContract": self._close,
            "/api/Position/partialCloseContract": self._close_part,
            "/api/Trade/search": self._trades,
        }
        return [web.post(path, _handler(answer)) for path, answer in answers.items()]

    def _accounts(self, body: Body) -> Answer:
        self._desk.settle()
        return {"accounts": [account_model(self._desk.account.balance_e9)]}, Outcome(0)

    def _place(self, body: Body) -> Answer:
        known = {int(order_type): order_type for order_type in OrderType}
        side = _int(body, "side", _INT32)
        if side not in (Side.BUY, Side.SELL):
            raise web.HTTPBadRequest
        ticket = Ticket(
            account_id=_int(body, "accountId", _INT32),
            contract_id=text_of(body, "contractId"),
            type=known.get(_int(body, "type", _INT32), OrderType.UNKNOWN),
            side=Side(side),
            size=_int(body, "size", _INT32),
            limit_price=_number(body, "limitPrice"),
            stop_price=_number(body, "stopPrice"),
            tag=_tag(body),
            has_brackets=any(body.get(key) is not None for key in ("stopLossBracket", "takeProfitBracket")),
        )
        outcome = self._desk.place(ticket)
        return {"orderId": outcome.order_id}, outcome

    def _modify(self, body: Body) -> Answer:
        size = None if body.get("size") is None else _int(body, "size", _INT32)
        prices = _number(body, "limitPrice"), _number(body, "stopPrice")
        return {}, self._desk.modify(_int(body, "accountId", _INT32), _int(body, "orderId", _INT64), size, *prices)

    def _cancel(self, body: Body) -> Answer:
        return {}, self._desk.cancel(_int(body, "accountId", _INT32), _int(body, "orderId", _INT64))

    def _orders(self, body: Body) -> Answer:
        bounds = _bounds(body)
        if not self._is_ours(body):
            return {"orders": None}, Outcome(_ACCOUNT_NOT_FOUND)
        return {"orders": self._models(orders_between(self._desk.account, *bounds))}, Outcome(0)

    def _open_orders(self, body: Body) -> Answer:
        if not self._is_ours(body):
            return {"orders": None}, Outcome(_ACCOUNT_NOT_FOUND)
        return {"orders": self._models(self._desk.account.open_orders())}, Outcome(0)

    def _order(self, body: Body) -> Answer:
        order_id = _int(body, "orderId", _INT64)
        order = self._desk.account.orders.get(order_id) if self._is_ours(body) else None
        if order is None:
            return {"order": None}, Outcome(_ORDER_NOT_FOUND)
        return {"order": self._models([order])[0]}, Outcome(0)

    def _positions(self, body: Body) -> Answer:
        if not self._is_ours(body):
            return {"positions": None}, Outcome(_ACCOUNT_NOT_FOUND)
        positions = self._desk.account.positions.values()
        return {"positions": [position_model(position) for position in positions]}, Outcome(0)

    def _close(self, body: Body) -> Answer:
        return {}, self._desk.close(_int(body, "accountId", _INT32), text_of(body, "contractId"))

    def _close_part(self, body: Body) -> Answer:
        account_id, contract_id = _int(body, "accountId", _INT32), text_of(body, "contractId")
        return {}, self._desk.close_part(account_id, contract_id, _int(body, "size", _INT32))

    def _trades(self, body: Body) -> Answer:
        bounds = _bounds(body)
        if not self._is_ours(body):
            return {"trades": None}, Outcome(_ACCOUNT_NOT_FOUND)
        trades = trades_between(self._desk.account, *bounds)
        return {"trades": [trade_model(trade, self._desk.contracts[trade.contract_id]) for trade in trades]}, Outcome(0)

    def _is_ours(self, body: Body) -> bool:
        """Whether a query asks for the account that there is; then the orders are brought up to date first."""
        self._desk.settle()
        return _int(body, "accountId", _INT32) == ACCOUNT_ID

    def _models(self, orders: list[Order]) -> list[Body]:
        return [order_model(order, self._desk.contracts[order.contract_id]) for order in orders]


def _handler(answer: Callable[[Body], Answer]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that reads a body and puts the envelope around the answer."""

    async def handle(request: web.Request) -> web.Response:
        payload, outcome = answer(await body_of(request))
        envelope = {"success": outcome.code == 0, "errorCode": int(outcome.code), "errorMessage": outcome.message}
        return web.json_response(payload | envelope)

    return handle


def _int(body: Body, key: str, limit: int) -> int:
    """A required whole number within ±limit."""
    value = whole_of(body, key)
    if not -limit <= value < limit:
        raise web.HTTPBadRequest
    return value


def _number(body: Body, key: str) -> float | None:
    """An optional number."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise web.HTTPBadRequest
    try:
        return float(value)
    except OverflowError:
        raise web.HTTPBadRequest from None


def _tag(body: Body) -> str | None:
    """The optional tag: short, because it is kept, and printable, because every protocol has to carry it."""
    tag = None if body.get("customTag") is None else text_of(body, "customTag")
    if tag is not None and not (len(tag) <= MAX_TAG_CHARACTERS and tag.isprintable()):
        raise web.HTTPBadRequest
    return tag


def _bounds(body: Body) -> tuple[int, int | None]:
    """The time that a query is about, as nanoseconds; its end may be left out."""
    end_ns = None if body.get("endTimestamp") is None else ns_of(moment_of(body, "endTimestamp"))
    return ns_of(moment_of(body, "startTimestamp")), end_ns
