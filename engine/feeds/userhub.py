"""The account on the wire, as pure functions: what the user hub is told, and what its events and REST answers say.

Both carry the same models (the gateway's documentation and OpenAPI document). An event has one argument: the object,
or {"action", "data"} around it, or a list of either; clients have met all of these. What an action's number means is
not documented, so it is not looked at: a position is closed when its size is 0, an order is over when its status says
so. Values are checked one by one before they are used; unknown fields are nobody's business, and an unknown status or
type is a number like the others. Rows of the tables come out as tuples in the order of their dtypes in layout.py.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import orjson

from shm import layout
from shm.layout import NO_VALUE

from ..http import said
from .projectx import SEPARATOR, ControlMessage, control_of

MAX_ROWS: Final = 1000  # of one event
MAX_VALUE: Final = 9e9  # of a price or a sum of money: times 10^9 it is an int64
MAX_SIZE: Final = 10**9
MAX_ID: Final = 1 << 62
MAX_CODE: Final = 1000  # of a status or a type
MAX_STAMP_CHARACTERS: Final = 48
TAG_BYTES: Final = layout.ORDER["tag"].itemsize
NAME_BYTES: Final = layout.ACCOUNT["name"].itemsize
CONTRACT_BYTES: Final = layout.ORDER["contract"].itemsize

_SCALE: Final = 9
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_LONG, _SHORT = 1, 2

# Statuses of an order that is over: filled, cancelled, expired, rejected.
FINISHED: Final = frozenset({2, 3, 4, 5})


class Unreadable(Exception):
    """A payload that is not what it must be. The message has no value in it: accounts are private."""


class Standing(NamedTuple):
    """The account itself."""

    account_id: int
    name: bytes
    balance_e9: int
    can_trade: bool


class OrderRow(NamedTuple):
    """layout.ORDER. `tick_e9` is not on the wire: 0 here."""

    order_id: int
    created_ns: int
    updated_ns: int
    status: int
    type: int
    side: int
    size: int
    filled: int
    limit_e9: int
    stop_e9: int
    filled_e9: int
    tick_e9: int
    contract: bytes
    tag: bytes


class PositionRow(NamedTuple):
    """layout.POSITION; a closed one has the size 0."""

    position_id: int
    created_ns: int
    size: int
    average_e9: int
    contract: bytes


class FillRow(NamedTuple):
    """layout.FILL. `tick_e9` is not on the wire: 0 here."""

    fill_id: int
    order_id: int
    created_ns: int
    price_e9: int
    profit_e9: int
    fees_e9: int
    side: int
    size: int
    voided: int
    tick_e9: int
    contract: bytes


assert OrderRow._fields == layout.ORDER.names
assert PositionRow._fields == layout.POSITION.names
assert FillRow._fields == layout.FILL.names

Row = Standing | OrderRow | PositionRow | FillRow


class Owned(NamedTuple):
    """A row, and whose it is."""

    account_id: int
    row: Row


class Heard(NamedTuple):
    """What one message of the hub says: rows of an event, or `control` if it is none of ours."""

    control: ControlMessage | None
    rows: tuple[Owned, ...] = ()
    refused: int = 0  # rows that could not be read


def subscriptions(account_id: int) -> dict[str, bytes]:
    """What subscribes to everything of an account, by invocation id: each is answered with one completion."""
    calls: tuple[tuple[str, list[int]], ...] = (
        ("SubscribeAccounts", []),
        ("SubscribeOrders", [account_id]),
        ("SubscribePositions", [account_id]),
        ("SubscribeTrades", [account_id]),
    )
    return {
        str(number): orjson.dumps({"type": 1, "invocationId": str(number), "target": target, "arguments": arguments})
        + SEPARATOR
        for number, (target, arguments) in enumerate(calls, 1)
    }


def read(message: bytes) -> Heard:
    """One hub message. Raises Unreadable for what is no JSON object, and for one of our events without its rows."""
    try:
        fields = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise Unreadable("a message that is not JSON") from None
    if not isinstance(fields, dict):
        raise Unreadable("a message that is no object")
    target = fields.get("target")
    reader = _READERS.get(target) if isinstance(target, str) else None
    if reader is None or fields.get("type") != 1:
        return Heard(control_of(message))
    arguments = fields.get("arguments")
    if not isinstance(arguments, list) or len(arguments) != 1:
        raise Unreadable("an event that has not one argument")
    given = arguments[0] if isinstance(arguments[0], list) else arguments
    if len(given) > MAX_ROWS:
        raise Unreadable(f"an event of more than {MAX_ROWS} rows")
    rows, refused = [], 0
    for value in given:
        try:
            rows.append(owned(_unwrapped(value), reader))
        except Unreadable:
            refused += 1
    return Heard(None, tuple(rows), refused)


def owned(value: object, reader: Callable[[Mapping[str, Any]], Row]) -> Owned:
    """A row of an event or of a REST answer. Raises Unreadable."""
    if not isinstance(value, Mapping):
        raise Unreadable("a row that is no object")
    row = reader(value)
    return Owned(row.account_id if isinstance(row, Standing) else _whole(value, "accountId", 0), row)


def _unwrapped(value: object) -> object:
    if isinstance(value, Mapping) and "data" in value and "id" not in value:
        return value["data"]
    return value


def read_standing(row: Mapping[str, Any]) -> Standing:
    """TradingAccount, GatewayUserAccount. Raises Unreadable."""
    name = row.get("name")
    if not isinstance(name, str):
        raise Unreadable("an account without a name")
    can_trade = row.get("canTrade")
    if not isinstance(can_trade, bool):
        raise Unreadable("an account that does not say whether it can trade")
    return Standing(_whole(row, "id", 1), said(name).encode()[:NAME_BYTES], _e9(row, "balance"), can_trade)


def read_order(row: Mapping[str, Any]) -> OrderRow:
    """Order, GatewayUserOrder. Raises Unreadable."""
    tag = row.get("customTag")
    if not isinstance(tag, str | None):
        raise Unreadable("an order whose tag is no text")
    return OrderRow(
        order_id=_whole(row, "id", 1),
        created_ns=_stamp_ns(row.get("creationTimestamp")),
        updated_ns=0 if row.get("updateTimestamp") is None else _stamp_ns(row["updateTimestamp"]),
        status=_whole(row, "status", 0, MAX_CODE),
        type=_whole(row, "type", 0, MAX_CODE),
        side=_whole(row, "side", layout.BUY, layout.SELL),
        size=_whole(row, "size", 0, MAX_SIZE),
        filled=0 if row.get("fillVolume") is None else _whole(row, "fillVolume", 0, MAX_SIZE),
        limit_e9=_e9_or_none(row, "limitPrice"),
        stop_e9=_e9_or_none(row, "stopPrice"),
        filled_e9=_e9_or_none(row, "filledPrice"),
        tick_e9=0,
        contract=_contract(row),
        tag=said(tag).encode()[:TAG_BYTES],
    )


def read_position(row: Mapping[str, Any]) -> PositionRow:
    """Position, GatewayUserPosition. Raises Unreadable."""
    kind = _whole(row, "type", 0, _SHORT)
    size = _whole(row, "size", 0, MAX_SIZE)
    return PositionRow(
        position_id=_whole(row, "id", 1),
        created_ns=_stamp_ns(row.get("creationTimestamp")),
        size={_LONG: size, _SHORT: -size}.get(kind, 0),
        average_e9=_e9(row, "averagePrice"),
        contract=_contract(row),
    )


def read_fill(row: Mapping[str, Any]) -> FillRow:
    """HalfTrade, GatewayUserTrade. Raises Unreadable."""
    voided = row.get("voided", False)
    if not isinstance(voided, bool):
        raise Unreadable("a fill that does not say whether it is voided")
    return FillRow(
        fill_id=_whole(row, "id", 1),
        order_id=_whole(row, "orderId", 0),
        created_ns=_stamp_ns(row.get("creationTimestamp")),
        price_e9=_e9(row, "price"),
        profit_e9=_e9_or_none(row, "profitAndLoss"),
        fees_e9=0 if row.get("fees") is None else _e9(row, "fees"),
        side=_whole(row, "side", layout.BUY, layout.SELL),
        size=_whole(row, "size", 0, MAX_SIZE),
        voided=int(voided),
        tick_e9=0,
        contract=_contract(row),
    )


_READERS: Final[dict[str, Callable[[Mapping[str, Any]], Row]]] = {
    "GatewayUserAccount": read_standing,
    "GatewayUserOrder": read_order,
    "GatewayUserPosition": read_position,
    "GatewayUserTrade": read_fill,
}


def session_start(wall_s: float) -> str:
    """When the trading day began in which `wall_s` lies, as the wire writes times: the last 22:00 UTC.

    CME's day begins at 17:00 in Chicago, after an hour of rest: 22:00 UTC is the end of that hour in summer and its
    beginning in winter. So nothing was traded between it and the true beginning, and no time zone has to be known.
    """
    now = datetime.fromtimestamp(wall_s, UTC)
    start = now.replace(hour=22, minute=0, second=0, microsecond=0)
    if start > now:
        start -= timedelta(days=1)
    return start.isoformat()


def _whole(row: Mapping[str, Any], key: str, low: int, high: int = MAX_ID) -> int:
    value = row.get(key)
    if type(value) is not int or not low <= value <= high:
        raise Unreadable(f"{key} is no whole number from {low} to {high}")
    return value


def _e9(row: Mapping[str, Any], key: str) -> int:
    """A number as a whole one of 10^-9, the nearest: the shortest text of the wire's float is what was meant."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MAX_VALUE <= value <= MAX_VALUE:
        raise Unreadable(f"{key} is no number within {MAX_VALUE:g}")
    try:
        return int(Decimal(repr(value)).scaleb(_SCALE).to_integral_value(ROUND_HALF_EVEN))
    except InvalidOperation:
        raise Unreadable(f"{key} is no number") from None


def _e9_or_none(row: Mapping[str, Any], key: str) -> int:
    return NO_VALUE if row.get(key) is None else _e9(row, key)


def _stamp_ns(value: object) -> int:
    """ISO 8601, without a zone in UTC; nanoseconds since 1970, and 0 for what was before (a year 1 is no stamp)."""
    if not isinstance(value, str) or len(value) > MAX_STAMP_CHARACTERS:
        raise Unreadable("a stamp that is no text of a time")
    try:
        moment = datetime.fromisoformat(value)
        since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        raise Unreadable("a stamp that is no time") from None
    ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    if ns > MAX_ID:
        raise Unreadable("a stamp of the far future")
    return max(ns, 0)


def _contract(row: Mapping[str, Any]) -> bytes:
    value = row.get("contractId")
    if not isinstance(value, str) or not 0 < len(value) <= CONTRACT_BYTES:
        raise Unreadable("a contract that is none")
    if not value.isascii() or not value.isprintable():
        raise Unreadable("a contract with letters that none has")
    return value.encode()
