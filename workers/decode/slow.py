"""The path for what the kernel leaves: the same rows through orjson, or a plain refusal.

It reads all that JSON can say: escapes, exponents, nested unknown members, any order. A number is the decimal that
its double prints as (the venue's numbers are doubles; fact sheet, section 2), so it agrees with the kernel on each
number of up to 15 digits. Messages are bounded before they come here: a record is at most half a ring.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final

import orjson

from shm.layout import ASK, BID, SESSION_FIELDS, Rows

from .rows import CHANGE_SCALE, EVENT_DEPTH, EVENT_QUOTE, EVENT_TRADE, QUOTE_BASE, Op

EVENTS: Final = {"GatewayDepth": EVENT_DEPTH, "GatewayTrade": EVENT_TRADE, "GatewayQuote": EVENT_QUOTE}
QUOTE_NAMES: Final = dict(
    zip(
        ("lastPrice", "bestBid", "bestAsk", "open", "high", "low", "volume", "change", "changePercent", "lastUpdated"),
        SESSION_FIELDS,
        strict=True,
    )
)

# Of a DomType that sets a level: the level's side. The others whose op is told; the rest are UNKNOWN.
_SETS: Final = {
    Op.BID: BID,
    Op.BEST_BID: BID,
    Op.NEW_BEST_BID: BID,
    Op.ASK: ASK,
    Op.BEST_ASK: ASK,
    Op.NEW_BEST_ASK: ASK,
}
_TOLD: Final = frozenset({Op.RESET, Op.LOW, Op.HIGH})

_INVOCATION: Final = 1
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_ROUNDED: Final = frozenset({"change", "change_percent"})  # on no grid: to the nearest, from the middle to the even
_STAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))?"
)
_YEARS: Final = range(1970, 2262)  # what nanoseconds in 63 bits can hold
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Row = tuple[int, int, int, int, int]
_Object = dict[str, Any]


class Refusal(IntEnum):
    """Why a record was refused."""

    NOT_JSON = 1
    NOT_INVOCATION = 2
    UNKNOWN_TARGET = 3
    BAD_ARGUMENTS = 4
    OTHER_CONTRACT = 5
    BAD_PAYLOAD = 6
    MISSING_FIELD = 7
    BAD_NUMBER = 8
    BAD_STAMP = 9
    BAD_TYPE = 10
    TOO_MANY_ROWS = 11


class Refused(Exception):
    """A record that no rows can be made of: a sentence that quotes nothing of it, and the kind of refusal."""

    def __init__(self, sentence: str, code: Refusal) -> None:
        super().__init__(sentence)
        self.code = code


def decode(message: bytes, contract: bytes, price_scale: int, size_scale: int, rows: Rows) -> tuple[int, int]:
    """Decode one hub message into `rows` (dtype ROW): its event and how many rows. Raises Refused, and nothing else.

    Takes all that the kernel takes, with equal rows. Rows behind the returned count are not touched.
    """
    event, payload = _invocation(message, contract)
    objects = payload if isinstance(payload, list) else [payload]
    made: list[_Row] = []
    for item in objects:
        if not isinstance(item, dict):
            raise Refused("the payload is neither an object nor a list of objects", Refusal.BAD_PAYLOAD)
        if event == EVENT_DEPTH:
            made.append(_depth_row(item, price_scale, size_scale))
        elif event == EVENT_TRADE:
            made.append(_trade_row(item, price_scale, size_scale))
        else:
            made.extend(_quote_rows(item, price_scale, size_scale))
        if len(made) > len(rows):
            raise Refused(f"more than {len(rows)} rows", Refusal.TOO_MANY_ROWS)
    rows[: len(made)] = made
    return event, len(made)


def _invocation(message: bytes, contract: bytes) -> tuple[int, Any]:
    """The event and the payload of a hub message for our contract."""
    try:
        top = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise Refused("not JSON", Refusal.NOT_JSON) from None
    if not isinstance(top, dict) or not _is_whole(top.get("type")) or top["type"] != _INVOCATION:
        raise Refused("not a hub invocation", Refusal.NOT_INVOCATION)
    target, arguments = top.get("target"), top.get("arguments")
    event = EVENTS.get(target) if isinstance(target, str) else None
    if event is None:
        raise Refused("an event of no known name", Refusal.UNKNOWN_TARGET)
    if not isinstance(arguments, list) or len(arguments) != 2:
        raise Refused("the arguments are not a contract and a payload", Refusal.BAD_ARGUMENTS)
    if not isinstance(arguments[0], str) or arguments[0].encode() != contract:
        raise Refused("the record is of another contract", Refusal.OTHER_CONTRACT)
    return event, arguments[1]


def _depth_row(entry: _Object, price_scale: int, size_scale: int) -> _Row:
    kind = entry.get("type")
    if not _is_whole(kind):
        raise Refused("a depth entry's type is not a whole number", Refusal.BAD_TYPE)
    venue_ns = _stamp_ns(entry.get("timestamp")) or 0
    if kind not in _SETS:
        return kind if kind in _TOLD else Op.UNKNOWN, 0, 0, venue_ns, 0
    return _priced_row(entry, kind, price_scale, size_scale, venue_ns, _SETS[kind])


def _trade_row(trade: _Object, price_scale: int, size_scale: int) -> _Row:
    side = trade.get("type")
    if not _is_whole(side) or side not in (0, 1):
        raise Refused("a trade's type is neither 0 nor 1", Refusal.BAD_TYPE)
    venue_ns = _stamp_ns(trade.get("timestamp")) or 0
    return _priced_row(trade, Op.TRADE, price_scale, size_scale, venue_ns, side)


def _priced_row(item: _Object, op: int, price_scale: int, size_scale: int, venue_ns: int, side: int) -> _Row:
    price, size = _scaled(item.get("price"), price_scale), _scaled(item.get("volume"), size_scale)
    if size < 0:
        raise Refused("a size is negative", Refusal.BAD_NUMBER)
    if not _on_grid(price) or not _on_grid(size):
        return Op.OFF_GRID, 0, 0, venue_ns, 0
    return op, int(price), int(size), venue_ns, side


def _quote_rows(quote: _Object, price_scale: int, size_scale: int) -> list[_Row]:
    stamp_ns, updated_ns = _stamp_ns(quote.get("timestamp")), _stamp_ns(quote.get("lastUpdated"))
    if updated_ns is None:
        updated_ns = stamp_ns
    made: list[_Row] = []
    for place, (name, field) in enumerate(QUOTE_NAMES.items()):
        value = updated_ns if field == "updated_ns" else quote.get(name)
        if value is None:
            continue
        op = QUOTE_BASE + place
        if field != "updated_ns":
            number = _scaled(value, _scale_of(field, price_scale, size_scale))
            if field == "volume" and number < 0:
                raise Refused("a volume is negative", Refusal.BAD_NUMBER)
            if not _on_grid(number) and field not in _ROUNDED:
                op, number = Op.OFF_GRID, Decimal(0)
            value = round(number)
        made.append((op, value, 0, updated_ns or 0, 0))
    return made


def _is_whole(value: object) -> bool:
    """A plain int: True is none."""
    return type(value) is int and _LEAST <= value <= _MOST


def _decimal(value: object) -> Decimal:
    if type(value) is float:
        return Decimal(repr(value))
    if type(value) is int:
        return Decimal(value)
    if value is None:
        raise Refused("a price or size is missing", Refusal.MISSING_FIELD)
    raise Refused("a price or size is not a number", Refusal.BAD_NUMBER)


def _scaled(value: object, scale: int) -> Decimal:
    """The number in units of 10^-scale; it may have decimals left."""
    scaled = _decimal(value).scaleb(scale)
    if not _LEAST <= scaled <= _MOST:
        raise Refused("a number does not fit in 64 bits", Refusal.BAD_NUMBER)
    return scaled


def _on_grid(scaled: Decimal) -> bool:
    return scaled == int(scaled)


def _scale_of(field: str, price_scale: int, size_scale: int) -> int:
    if field in _ROUNDED:
        return CHANGE_SCALE
    return size_scale if field == "volume" else price_scale


def _stamp_ns(value: object) -> int | None:
    """Nanoseconds since 1970, UTC (a stamp without a zone is taken as UTC); None where there is none."""
    if value is None:
        return None
    match = _STAMP.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Refused("a timestamp is not ISO 8601", Refusal.BAD_STAMP)
    *clock, decimals, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = map(int, clock)
    if year not in _YEARS:
        raise Refused("a timestamp's year is not from 1970 to 2261", Refusal.BAD_STAMP)
    try:
        since = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH
    except ValueError:
        raise Refused("a timestamp names no day or time there is", Refusal.BAD_STAMP) from None
    seconds = since.days * 86_400 + since.seconds
    if sign:
        zone = (int(hours) * 60 + int(minutes)) * 60
        seconds += zone if sign == "-" else -zone
    if seconds < 0:
        raise Refused("a timestamp lies before 1970", Refusal.BAD_STAMP)
    return seconds * 1_000_000_000 + int((decimals or "").ljust(9, "0"))
