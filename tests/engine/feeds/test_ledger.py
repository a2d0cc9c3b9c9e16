"""The table of an account: which of two says more, what is kept, and that its bounds are counted."""

import numpy as np
import pytest

from engine.feeds import ledger as ledgers
from engine.feeds.ledger import Ledger, Snapshot
from engine.feeds.userhub import FillRow, OrderRow, PositionRow, Standing
from shm import layout

STANDING = Standing(704, b"PRAC-1", 5, True)


def order(order_id: int, updated_ns: int = 1, status: int = 1, size: int = 1) -> OrderRow:
    return OrderRow(order_id, order_id, updated_ns, status, 1, 0, size, 0, 5, 6, 7, 0, b"C", b"tag")


def position(position_id: int, size: int = 1) -> PositionRow:
    return PositionRow(position_id, position_id, size, 5, b"C")


def fill(fill_id: int, voided: int = 0, created_ns: int = 0) -> FillRow:
    return FillRow(fill_id, 1, created_ns or fill_id, 5, 6, 7, 0, 1, voided, 0, b"C")


def snapshot(
    orders: tuple[OrderRow, ...] = (), positions: tuple[PositionRow, ...] = (), fills: tuple[FillRow, ...] = ()
) -> Snapshot:
    return Snapshot(STANDING, orders, positions, fills)


def shown(ledger: Ledger) -> tuple[list[int], list[int], list[int]]:
    found = ledger.holdings({})
    orders, positions, fills = (rows.tolist() for rows in (found.orders, found.positions, found.fills))
    return [row[0] for row in orders], [row[0] for row in positions], [row[0] for row in fills]


def test_a_whole_answer_replaces_all_but_fills() -> None:
    ledger = Ledger()
    ledger.replace(snapshot((order(1),), (position(2),), (fill(3),)))
    assert shown(ledger) == ([1], [2], [3])
    ledger.replace(snapshot((order(4),), (position(5),), (fill(6),)))
    assert shown(ledger) == ([4], [5], [3, 6])


def test_a_fill_is_there_once_and_stays_voided() -> None:
    ledger = Ledger()
    assert ledger.apply(fill(1))
    assert not ledger.apply(fill(1))
    assert ledger.apply(fill(1, voided=1))
    assert not ledger.apply(fill(1, voided=0))
    ledger.replace(snapshot(fills=(fill(1), fill(1))))
    assert shown(ledger)[2] == [1]
    assert ledger.holdings({}).fills["voided"].tolist() == [1]


def test_an_older_state_of_an_order_changes_nothing() -> None:
    ledger = Ledger()
    assert ledger.apply(order(1, updated_ns=5, size=5))
    assert not ledger.apply(order(1, updated_ns=4, size=4))
    assert ledger.orders[1].size == 5
    assert ledger.apply(order(1, updated_ns=5, size=6))  # of the same time: the later one
    assert ledger.apply(order(1, updated_ns=0, size=7))  # that does not say when
    assert ledger.orders[1].size == 7


@pytest.mark.parametrize("status", [2, 3, 4, 5])
def test_an_order_that_is_over_leaves_and_no_event_brings_it_back(status: int) -> None:
    ledger = Ledger()
    ledger.apply(order(1, updated_ns=1))
    assert ledger.apply(order(1, updated_ns=2, status=status))
    assert not ledger.apply(order(1, updated_ns=3))
    assert shown(ledger)[0] == []
    ledger.replace(snapshot((order(1, updated_ns=3),)))  # the venue itself says that it is working
    assert shown(ledger)[0] == [1]


def test_a_closed_position_leaves() -> None:
    ledger = Ledger()
    ledger.apply(position(1, 2))
    ledger.apply(position(1, -1))
    assert ledger.holdings({}).positions["size"].tolist() == [-1]
    ledger.apply(position(1, 0))
    assert ledger.apply(position(9, 0))
    assert shown(ledger)[1] == []


def test_rows_are_in_order_of_time_and_have_their_ticks() -> None:
    ledger = Ledger()
    for number in (3, 1, 2):
        ledger.apply(fill(number))
        ledger.apply(order(number))
    ledger.apply(fill(9, created_ns=1))
    found = ledger.holdings({b"C": 25})
    assert shown(ledger)[0] == [1, 2, 3]
    assert shown(ledger)[2] == [1, 9, 2, 3]
    assert set(found.orders["tick_e9"]) == set(found.fills["tick_e9"]) == {25}


def test_the_newest_are_shown_and_the_others_counted() -> None:
    ledger = Ledger()
    orders = tuple(order(n) for n in range(1, layout.MAX_ORDERS + 4))
    positions = tuple(position(n) for n in range(1, layout.MAX_POSITIONS + 3))
    fills = tuple(fill(n) for n in range(1, layout.MAX_FILLS + 2))
    ledger.replace(snapshot(orders, positions, fills))
    found = ledger.holdings({}).account
    assert [int(found[f"unlisted_{name}"]) for name in ("orders", "positions", "fills")] == [3, 2, 1]
    assert shown(ledger)[2] == list(range(2, layout.MAX_FILLS + 2))
    ledger.apply(order(1, updated_ns=2, status=2))
    assert int(ledger.holdings({}).account["unlisted_orders"]) == 2


def test_what_is_kept_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "MAX_KEPT", 4)
    ledger = Ledger()
    for number in range(1, 8):
        ledger.apply(order(number))
        ledger.apply(position(number))
        ledger.apply(fill(number))
        ledger.apply(order(100 + number, status=2))
    assert shown(ledger) == ([1, 2, 3, 4], [1, 2, 3, 4], [4, 5, 6, 7])
    assert len(ledger._finished) == 4
    found = ledger.holdings({}).account
    assert [int(found[f"unlisted_{name}"]) for name in ("orders", "positions", "fills")] == [3, 3, 3]
    for _ in range(2):
        ledger.replace(snapshot((order(1),), (), tuple(fill(number) for number in range(1, 8))))
        found = ledger.holdings({}).account
        assert [int(found[f"unlisted_{name}"]) for name in ("orders", "positions", "fills")] == [0, 0, 3]


def test_a_successor_begins_with_what_was_published() -> None:
    ledger = Ledger()
    ledger.replace(snapshot((order(1),), (position(2),), tuple(fill(n) for n in range(1, layout.MAX_FILLS + 3))))
    published = ledger.holdings({b"C": 25}, connects=3)
    assert int(published.account["connects"]) == 3
    successor = Ledger.of(published)
    assert successor.standing == STANDING
    again = successor.holdings({})
    for name in ("orders", "positions", "fills"):
        assert np.array_equal(getattr(again, name), getattr(published, name)), name
    assert int(again.account["unlisted_fills"]) == 2
    assert not successor.apply(fill(5))  # it is there
    assert Ledger.of(Ledger().holdings({})).standing is None
