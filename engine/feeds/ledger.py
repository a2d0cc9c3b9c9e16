"""What is known of the account: a table that whole answers replace and events change. No socket, no clock, no bytes.

Which of two says more: an order by the time of its update, and one that is over never comes back by an event; a
position and the balance have no such time, so what came last; a fill by its id, once, however often it is told, and
one that was voided stays so. A whole answer of the venue replaces orders, positions and balance; fills are only ever
added, so those of an earlier session that were seen stay.

Bounded: MAX_KEPT of each. Which of them have no room in shared memory is counted from what is kept here.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from shm import layout
from shm.account_rows import Holdings
from shm.layout import ACCOUNT, FILL, ORDER, POSITION, Rows

from .userhub import FINISHED, FillRow, OrderRow, PositionRow, Row, Standing

MAX_KEPT: Final = 10_000

Kept = TypeVar("Kept", OrderRow, PositionRow, FillRow)
Ticks = Mapping[bytes, int]  # by contract; in 10^-9


class Snapshot(NamedTuple):
    """A whole answer of the venue."""

    standing: Standing
    orders: tuple[OrderRow, ...]
    positions: tuple[PositionRow, ...]
    fills: tuple[FillRow, ...]


class Ledger:
    """One account's table."""

    def __init__(self) -> None:
        self.standing: Standing | None = None
        self.orders: dict[int, OrderRow] = {}
        self.positions: dict[int, PositionRow] = {}
        self.fills: dict[int, FillRow] = {}
        self._finished: dict[int, None] = {}  # ids of orders that are over, in the order in which they were told
        self._forgotten_fills = 0
        self._turned_away = {"orders": 0, "positions": 0}  # since the last whole answer: there is no room here either

    @classmethod
    def of(cls, holdings: Holdings) -> "Ledger":
        """What a predecessor published: the table that a successor begins with."""
        ledger = cls()
        account = holdings.account
        if account["account_id"]:
            ledger.standing = Standing(
                int(account["account_id"]),
                account["name"].item(),
                int(account["balance_e9"]),
                bool(account["can_trade"]),
            )
        ledger.orders = {row.order_id: row for row in map(OrderRow._make, holdings.orders.tolist())}
        ledger.positions = {row.position_id: row for row in map(PositionRow._make, holdings.positions.tolist())}
        ledger.fills = {row.fill_id: row for row in map(FillRow._make, holdings.fills.tolist())}
        ledger._forgotten_fills = int(account["unlisted_fills"])
        return ledger

    def replace(self, snapshot: Snapshot) -> None:
        """Take a whole answer."""
        self.standing = snapshot.standing
        self._turned_away = dict.fromkeys(self._turned_away, 0)
        self.orders = {}
        self.positions = {}
        for order in snapshot.orders:
            self._finished.pop(order.order_id, None)
            self._apply_order(order)
        for position in snapshot.positions:
            self._apply_position(position)
        for fill in snapshot.fills:
            self._keep_fill(fill)
        kept = _newest(self.fills.values(), MAX_KEPT)
        self._forgotten_fills = len(self.fills) - len(kept)
        self.fills = {fill.fill_id: fill for fill in kept}

    def apply(self, row: Row) -> bool:
        """Take an event; False if more than that was known already."""
        match row:
            case Standing():
                self.standing = row
                return True
            case OrderRow():
                return self._apply_order(row)
            case PositionRow():
                return self._apply_position(row)
            case FillRow():
                return self._apply_fill(row)

    def holdings(self, ticks: Ticks, **said: int) -> Holdings:
        """As it is published; `said` are further fields of layout.ACCOUNT."""
        account = np.zeros((), ACCOUNT)
        if self.standing is not None:
            account["account_id"] = self.standing.account_id
            account["name"] = self.standing.name
            account["balance_e9"] = self.standing.balance_e9
            account["can_trade"] = self.standing.can_trade
        orders = _newest(self.orders.values(), layout.MAX_ORDERS)
        positions = _newest(self.positions.values(), layout.MAX_POSITIONS)
        fills = _newest(self.fills.values(), layout.MAX_FILLS)
        account["unlisted_orders"] = len(self.orders) - len(orders) + self._turned_away["orders"]
        account["unlisted_positions"] = len(self.positions) - len(positions) + self._turned_away["positions"]
        account["unlisted_fills"] = len(self.fills) - len(fills) + self._forgotten_fills
        for name, value in said.items():
            account[name] = value
        return Holdings(
            account,
            _rows([order._replace(tick_e9=ticks.get(order.contract, order.tick_e9)) for order in orders], ORDER),
            _rows(positions, POSITION),
            _rows([fill._replace(tick_e9=ticks.get(fill.contract, fill.tick_e9)) for fill in fills], FILL),
        )

    def _apply_order(self, order: OrderRow) -> bool:
        known = self.orders.get(order.order_id)
        if order.order_id in self._finished or (known is not None and 0 < order.updated_ns < known.updated_ns):
            return False
        if order.status in FINISHED:
            self.orders.pop(order.order_id, None)
            self._finished[order.order_id] = None
            if len(self._finished) > MAX_KEPT:
                del self._finished[next(iter(self._finished))]
        elif known is None and len(self.orders) >= MAX_KEPT:
            self._turned_away["orders"] += 1
        else:
            self.orders[order.order_id] = order
        return True

    def _apply_position(self, position: PositionRow) -> bool:
        if position.size == 0:
            self.positions.pop(position.position_id, None)
        elif position.position_id not in self.positions and len(self.positions) >= MAX_KEPT:
            self._turned_away["positions"] += 1
        else:
            self.positions[position.position_id] = position
        return True

    def _apply_fill(self, fill: FillRow) -> bool:
        is_news = self._keep_fill(fill)
        if len(self.fills) > MAX_KEPT:
            del self.fills[next(iter(self.fills))]
            self._forgotten_fills += 1
        return is_news

    def _keep_fill(self, fill: FillRow) -> bool:
        known = self.fills.get(fill.fill_id)
        if known is not None and known.voided:
            fill = fill._replace(voided=1)
        if known is not None and known._replace(tick_e9=0) == fill:
            return False
        self.fills[fill.fill_id] = fill
        return True


def contracts_of(orders: Iterable[OrderRow], fills: Iterable[FillRow]) -> set[bytes]:
    """The contracts whose tick is asked for."""
    return {order.contract for order in orders} | {fill.contract for fill in fills}


def _newest(rows: Iterable[Kept], count: int) -> list[Kept]:
    return sorted(rows, key=_age)[-count:]


def _age(row: Kept) -> tuple[int, int]:
    return row.created_ns, row[0]  # then by id, which is the first field


def _rows(rows: list[Any], dtype: np.dtype[np.void]) -> Rows:
    return np.array([tuple(row) for row in rows], dtype)
