"""The account's values as the REST models and the user hub's payloads (fact sheet, sections 3 and 7), which agree.

Decimals become the nearest float64, which is all that the wire's JSON numbers are read as.
"""

from datetime import UTC, datetime
from typing import Any

from .account import Account, Order, Position, Trade
from .contracts import E9, Contract
from .desk import ACCOUNT_ID

ACCOUNT_NAME = "PRAC-V2-1"
_LONG, _SHORT = 1, 2


def account_model(balance_e9: int) -> dict[str, Any]:
    """TradingAccount, GatewayUserAccount."""
    return {
        "id": ACCOUNT_ID,
        "name": ACCOUNT_NAME,
        "balance": balance_e9 / E9,
        "canTrade": True,
        "isVisible": True,
        "simulated": True,
    }


def order_model(order: Order, contract: Contract) -> dict[str, Any]:
    """Order, GatewayUserOrder. filledPrice is the mean of its fills."""
    return {
        "id": order.order_id,
        "accountId": ACCOUNT_ID,
        "contractId": order.contract_id,
        "symbolId": contract.symbol_id,
        "creationTimestamp": stamp_text(order.created_ns),
        "updateTimestamp": stamp_text(order.updated_ns),
        "status": int(order.status),
        "type": int(order.type),
        "side": int(order.side),
        "size": order.size,
        "limitPrice": _price(order.limit_ticks, contract),
        "stopPrice": _price(order.stop_ticks, contract),
        "fillVolume": order.filled,
        "filledPrice": order.filled_ticks * contract.tick_e9 // order.filled / E9 if order.filled else None,
        "customTag": order.tag,
    }


def position_model(position: Position) -> dict[str, Any]:
    """Position, GatewayUserPosition: a closed one has type 0 and size 0, and the average price that it had."""
    return {
        "id": position.position_id,
        "accountId": ACCOUNT_ID,
        "contractId": position.contract_id,
        "creationTimestamp": stamp_text(position.created_ns),
        "type": _LONG if position.size > 0 else _SHORT if position.size < 0 else 0,
        "size": abs(position.size),
        "averagePrice": position.average_e9 / E9,
    }


def trade_model(trade: Trade, contract: Contract) -> dict[str, Any]:
    """HalfTrade, GatewayUserTrade."""
    return {
        "id": trade.trade_id,
        "accountId": ACCOUNT_ID,
        "contractId": trade.contract_id,
        "creationTimestamp": stamp_text(trade.created_ns),
        "price": _price(trade.ticks, contract),
        "profitAndLoss": None if trade.profit_e9 is None else trade.profit_e9 / E9,
        "fees": trade.fee_e9 / E9,
        "side": int(trade.side),
        "size": trade.size,
        "voided": False,
        "orderId": trade.order_id,
    }


def orders_between(account: Account, start_ns: int, end_ns: int | None) -> list[Order]:
    """Orders created from start to end, oldest first."""
    return [order for order in account.orders.values() if _is_between(order.created_ns, start_ns, end_ns)]


def trades_between(account: Account, start_ns: int, end_ns: int | None) -> list[Trade]:
    """Trades from start to end, newest first, as the fact sheet's sample has them."""
    return [trade for trade in reversed(account.trades) if _is_between(trade.created_ns, start_ns, end_ns)]


def stamp_text(ns: int) -> str:
    """ISO 8601 in UTC with microseconds: 2026-11-22T14:33:04.142302+00:00."""
    return datetime.fromtimestamp(ns // E9, UTC).replace(microsecond=ns % E9 // 1000).isoformat(timespec="microseconds")


def ns_of(moment: datetime) -> int:
    """Nanoseconds of the epoch of a time with a zone."""
    since = moment - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * E9 + since.microseconds * 1000


def _is_between(ns: int, start_ns: int, end_ns: int | None) -> bool:
    return start_ns <= ns and (end_ns is None or ns <= end_ns)


def _price(ticks: int | None, contract: Contract) -> float | None:
    return None if ticks is None else ticks * contract.tick_e9 / E9
