"""Rows of the account as values: exact ticks where there are any, and a word for every number."""

import math

import numpy as np
import pytest

from shm import BUY, SELL, layout
from shm.account_values import Account, build, read_fills
from shm.layout import E9, NO_VALUE
from shm.verdict import Verdict
from tests.shm.made_account import account, fill, holdings, order, position


def built(*tables: list[tuple[object, ...]], **said: int | bytes) -> Account:
    made = holdings(account(**said), *tables)
    rows = tuple(table.tobytes() for table in (made.orders, made.positions, made.fills))
    verdict = Verdict("live", "")
    return build(made.account.tobytes(), rows, verdict, through_ns=5, age_ns=6, published=7, generation=8)


def test_an_account_in_full() -> None:
    found = built([order(1)], [position(2)], [fill(3), fill(4, profit_e9=-12_500_000_000, voided=1)])
    assert (found.account_id, found.name, found.balance, found.balance_e9) == (
        704,
        "PRAC-1",
        150_000.25,
        150_000_250_000_000,
    )
    assert (found.can_trade, found.live, found.published, found.generation) == (True, True, 7, 8)
    [working] = found.orders
    assert (working.order_id, working.contract, working.status, working.type) == (
        1,
        "CON.F.US.MNQ.Z26",
        "open",
        "limit",
    )
    assert (working.side, working.size, working.filled, working.tag) == (BUY, 3, 1, "tag-1")
    assert (working.limit_price, working.limit_ticks, working.stop_ticks) == (21_000.0, 84_000, None)
    assert math.isnan(working.stop_price)
    [held] = found.positions
    assert (held.size, held.average_price) == (-2, 20_990.125)
    opened, closed = found.fills
    assert math.isnan(opened.profit)
    assert (closed.profit, closed.fees, closed.side, closed.voided, closed.price_ticks) == (
        -12.5,
        0.74,
        SELL,
        True,
        84_000,
    )


def test_an_account_that_is_not_known_yet_has_no_balance() -> None:
    found = built(account_id=0, balance_e9=0)
    assert math.isnan(found.balance)
    assert (found.orders, found.positions, found.fills) == ((), (), ())


@pytest.mark.parametrize(
    ("limit_e9", "tick_e9", "ticks"),
    [
        (25 * E9 // 100, 25 * E9 // 100, 1),
        (50_000, 50_000, 1),  # 6E
        (-E9, E9 // 4, -4),  # crude oil was there
        (E9, 0, None),
        (E9 + 1, E9 // 4, None),
        (NO_VALUE, E9, None),
    ],
)
def test_ticks_are_exact_or_not_said(limit_e9: int, tick_e9: int, ticks: int | None) -> None:
    [working] = built([order(1, limit_e9=limit_e9, tick_e9=tick_e9)]).orders
    assert working.limit_ticks == ticks


def test_numbers_that_nobody_knows_are_shown_as_they_are() -> None:
    row = list(order(1))
    row[3], row[4] = 77, -1
    [working] = built([tuple(row)]).orders
    assert (working.status, working.type) == ("unknown (77)", "unknown (-1)")


def test_the_last_fills() -> None:
    found = built([], [], [fill(number) for number in range(5)])
    assert [one.fill_id for one in found.last_fills(2)] == [3, 4]
    assert [one.fill_id for one in found.last_fills(9)] == [0, 1, 2, 3, 4]
    assert found.last_fills(0) == ()
    assert read_fills(np.zeros(0, layout.FILL)) == ()
    with pytest.raises(ValueError, match="must not be negative"):
        found.last_fills(-1)
