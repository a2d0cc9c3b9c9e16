"""What a reader gets of the account: NamedTuples, private to the caller; and how rows of layout.py become them.

Prices and money are exact in memory, in 10^-9; here they are floats, the nearest. Beside a price of an order or a
fill stands its exact number of ticks, or None where there is no price, the tick is not known, or it is off the grid.
What the venue does not say is nan, or 0 for a stamp. Stamps of the venue are nanoseconds since 1970 by its clock.
"""

from typing import NamedTuple

import numpy as np

from .layout import ACCOUNT, E9, FILL, NO_VALUE, ORDER, ORDER_STATUS, ORDER_TYPE, POSITION, Rows
from .values import NAN
from .verdict import Verdict


class Order(NamedTuple):
    """A working order. Finished ones (filled, cancelled, expired, rejected) leave the table."""

    order_id: int
    contract: str
    status: str  # open, pending, pending cancellation, suspended; else as layout.ORDER_STATUS
    type: str  # limit, market, stop, stop limit, trailing stop, join bid, join ask
    side: int  # BUY or SELL
    size: int
    filled: int
    limit_price: float
    stop_price: float
    filled_price: float  # the mean of its fills
    limit_ticks: int | None
    stop_ticks: int | None
    tag: str  # customTag, of which 128 bytes are kept
    created_ns: int
    updated_ns: int


class Position(NamedTuple):
    """An open position."""

    position_id: int
    contract: str
    size: int  # above 0 long, below 0 short
    average_price: float
    created_ns: int


class Fill(NamedTuple):
    """One half turn: the venue calls it a trade."""

    fill_id: int
    order_id: int
    contract: str
    side: int  # BUY or SELL
    size: int
    price: float
    price_ticks: int | None
    profit: float  # nan: it opened
    fees: float
    voided: bool
    created_ns: int


class Account(NamedTuple):
    """The account at one publication. `state` and `reason` are words, as a book's; `live` says the first is "live"."""

    account_id: int  # 0: not known yet
    name: str
    balance: float  # nan: not known yet
    balance_e9: int  # the same, exact
    can_trade: bool
    orders: tuple[Order, ...]  # as the next one oldest first
    positions: tuple[Position, ...]
    fill_rows: Rows  # layout.FILL, oldest first: the newest of this session, and of those before that were seen
    state: str
    reason: str
    since_ns: int  # CLOCK_BOOTTIME of the publication that brought the state
    since_wall_ns: int
    synced_ns: int  # CLOCK_BOOTTIME of the venue's last whole answer; 0: there was none
    through_ns: int  # CLOCK_BOOTTIME at which the engine last said that it lives
    age_ns: int  # now less through_ns; 0 if there was none
    unlisted_orders: int  # that are there and for which the table has no room; as the next two
    unlisted_positions: int
    unlisted_fills: int
    connects: int
    syncs: int
    events: int
    refused: int
    ignored: int
    published: int
    generation: int

    @property
    def live(self) -> bool:
        return self.state == "live"

    @property
    def fills(self) -> tuple[Fill, ...]:
        """All that the table holds, oldest first, each once: a fill that the venue takes back says `voided`."""
        return read_fills(self.fill_rows)

    def last_fills(self, count: int) -> tuple[Fill, ...]:
        """The newest `count` of them, oldest first. ValueError for a negative one."""
        if count < 0:
            raise ValueError(f"count is {count}, it must not be negative")
        return read_fills(self.fill_rows[len(self.fill_rows) - min(count, len(self.fill_rows)) :])


def build(
    cell: bytes,
    tables: tuple[bytes, ...],
    verdict: Verdict,
    *,
    through_ns: int,
    age_ns: int,
    published: int,
    generation: int,
) -> Account:
    """An Account out of the bytes of one publication; `tables` are its orders, positions and fills."""
    orders, positions, fills = tables
    said = dict(zip(ACCOUNT.names or (), np.frombuffer(cell, ACCOUNT)[0].item(), strict=True))
    known = said["account_id"] != 0
    return Account(
        account_id=said["account_id"],
        name=_text(said["name"]),
        balance=said["balance_e9"] / E9 if known else NAN,
        balance_e9=said["balance_e9"],
        can_trade=bool(said["can_trade"]),
        orders=tuple(_order(*row) for row in np.frombuffer(orders, ORDER).tolist()),
        positions=tuple(_position(*row) for row in np.frombuffer(positions, POSITION).tolist()),
        fill_rows=np.frombuffer(fills, FILL),
        state=verdict.state,
        reason=verdict.reason,
        since_ns=said["since_ns"],
        since_wall_ns=said["since_wall_ns"],
        synced_ns=said["synced_ns"],
        through_ns=through_ns,
        age_ns=age_ns,
        unlisted_orders=said["unlisted_orders"],
        unlisted_positions=said["unlisted_positions"],
        unlisted_fills=said["unlisted_fills"],
        connects=said["connects"],
        syncs=said["syncs"],
        events=said["events"],
        refused=said["refused"],
        ignored=said["ignored"],
        published=published,
        generation=generation,
    )


def read_fills(rows: Rows) -> tuple[Fill, ...]:
    """FILL rows as values."""
    return tuple(_fill(*row) for row in rows.tolist())


# The arguments below are the fields of a row, in the order of layout.py.


def _order(
    order_id: int,
    created_ns: int,
    updated_ns: int,
    status: int,
    kind: int,
    side: int,
    size: int,
    filled: int,
    limit_e9: int,
    stop_e9: int,
    filled_e9: int,
    tick_e9: int,
    contract: bytes,
    tag: bytes,
) -> Order:
    return Order(
        order_id=order_id,
        contract=_text(contract),
        status=_word(ORDER_STATUS, status),
        type=_word(ORDER_TYPE, kind),
        side=side,
        size=size,
        filled=filled,
        limit_price=_value(limit_e9),
        stop_price=_value(stop_e9),
        filled_price=_value(filled_e9),
        limit_ticks=_ticks(limit_e9, tick_e9),
        stop_ticks=_ticks(stop_e9, tick_e9),
        tag=_text(tag),
        created_ns=created_ns,
        updated_ns=updated_ns,
    )


def _position(position_id: int, created_ns: int, size: int, average_e9: int, contract: bytes) -> Position:
    return Position(position_id, _text(contract), size, _value(average_e9), created_ns)


def _fill(
    fill_id: int,
    order_id: int,
    created_ns: int,
    price_e9: int,
    profit_e9: int,
    fees_e9: int,
    side: int,
    size: int,
    voided: int,
    tick_e9: int,
    contract: bytes,
) -> Fill:
    return Fill(
        fill_id=fill_id,
        order_id=order_id,
        contract=_text(contract),
        side=side,
        size=size,
        price=_value(price_e9),
        price_ticks=_ticks(price_e9, tick_e9),
        profit=_value(profit_e9),
        fees=_value(fees_e9),
        voided=bool(voided),
        created_ns=created_ns,
    )


def _value(value_e9: int) -> float:
    return NAN if value_e9 == NO_VALUE else value_e9 / E9


def _ticks(price_e9: int, tick_e9: int) -> int | None:
    if price_e9 == NO_VALUE or tick_e9 <= 0 or price_e9 % tick_e9:
        return None
    return price_e9 // tick_e9


def _word(words: tuple[str, ...], number: int) -> str:
    return words[number] if 0 <= number < len(words) else f"unknown ({number})"


def _text(text: bytes) -> str:
    return text.decode(errors="replace")
