"""The account's own sums: fills are the position, profits are the cash flow, whatever is bought and sold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.simulator import account as account_module
from engine.simulator.account import (
    OPENING_BALANCE_E9,
    Account,
    Balance,
    Change,
    NotOpen,
    Order,
    OrderType,
    Position,
    Side,
    Status,
    Trade,
    fee_e9,
)
from engine.simulator.contracts import CONTRACTS, E9, Contract

LISTED = {contract.contract_id: contract for contract in CONTRACTS.values()}
MNQ, ZN = CONTRACTS["MNQ"], CONTRACTS["ZN"]  # ZN's tick is worth 15.625: no number of cents
NOW_NS = 1_795_357_980_000_000_000
FEE_E9 = fee_e9(MNQ)

deals = some.lists(
    some.tuples(
        some.sampled_from([MNQ, ZN]),
        some.sampled_from(Side),
        some.integers(1, 9),  # size
        some.integers(90_000, 90_040),  # ticks
        some.booleans(),  # in two fills
    ),
    max_size=40,
)


def deal(account: Account, side: Side, size: int, ticks: int, contract: Contract = MNQ) -> list[Change]:
    order = account.add(contract.contract_id, OrderType.MARKET, side, size, NOW_NS)
    return account.fill(order.order_id, ticks, size, NOW_NS)


@settings(deadline=None)
@given(deals)
def test_the_sums_hold_after_every_fill(dealt: list[tuple[Contract, Side, int, int, bool]]) -> None:
    account = Account(LISTED)
    held = {MNQ.contract_id: 0, ZN.contract_id: 0}
    cash_e9 = dict.fromkeys(held, 0)
    fees_e9 = 0
    for contract, side, size, ticks, in_two in dealt:
        contract_id = contract.contract_id
        order = account.add(contract_id, OrderType.MARKET, side, size, NOW_NS)
        for part in (1, size - 1) if in_two and size > 1 else (size,):
            account.fill(order.order_id, ticks, part, NOW_NS)
            sign = 1 if side is Side.BUY else -1
            held[contract_id] += sign * part
            cash_e9[contract_id] -= sign * part * ticks * contract.tick_value_e9
            fees_e9 += part * fee_e9(contract)
            trades = [trade for trade in account.trades if trade.contract_id == contract_id]
            assert held[contract_id] == sum(t.size if t.side is Side.BUY else -t.size for t in trades)
            position = account.positions.get(contract_id)
            assert (position.size if position else 0) == held[contract_id]
            cost_e9 = 0
            if position:
                assert 90_000 * contract.tick_e9 <= position.average_e9 <= 90_040 * contract.tick_e9
                cost_e9 = position.cost_e9 if position.size > 0 else -position.cost_e9
            assert sum(trade.profit_e9 or 0 for trade in trades) == cash_e9[contract_id] + cost_e9
        assert account.orders[order.order_id].status is Status.FILLED
    profits_e9 = sum(trade.profit_e9 or 0 for trade in account.trades)
    assert account.balance_e9 == OPENING_BALANCE_E9 + profits_e9 - fees_e9


def test_a_position_is_averaged_and_its_average_stays_while_it_is_reduced() -> None:
    account = Account(LISTED)
    deal(account, Side.BUY, 1, 100)
    deal(account, Side.BUY, 3, 104)
    assert account.positions[MNQ.contract_id].average_e9 == 103 * MNQ.tick_e9
    _, closing, position, _ = deal(account, Side.SELL, 2, 110)
    assert isinstance(closing, Trade)
    assert closing.profit_e9 == 2 * 7 * MNQ.tick_value_e9
    assert isinstance(position, Position)
    assert (position.size, position.average_e9) == (2, 103 * MNQ.tick_e9)


def test_a_fill_through_zero_is_two_half_turns() -> None:
    account = Account(LISTED)
    deal(account, Side.SELL, 2, 100)
    order, closing, closed, opening, opened, balance = deal(account, Side.BUY, 5, 90)
    assert isinstance(order, Order)
    assert (order.status, order.filled, order.filled_ticks) == (Status.FILLED, 5, 450)
    assert isinstance(closing, Trade)
    assert (closing.size, closing.profit_e9, closing.fee_e9) == (2, 20 * MNQ.tick_value_e9, 2 * FEE_E9)
    assert isinstance(closed, Position)
    assert (closed.position_id, closed.size, closed.average_e9) == (1, 0, 100 * MNQ.tick_e9)
    assert isinstance(opening, Trade)
    assert (opening.size, opening.profit_e9) == (3, None)
    assert isinstance(opened, Position)
    assert (opened.position_id, opened.size, opened.average_e9) == (2, 3, 90 * MNQ.tick_e9)
    assert balance == Balance(OPENING_BALANCE_E9 + 10 * E9 - 7 * FEE_E9)


def test_what_is_not_open_does_not_change() -> None:
    account = Account(LISTED)
    one = account.add(MNQ.contract_id, OrderType.LIMIT, Side.BUY, 3, NOW_NS, limit_ticks=90).order_id
    account.fill(one, 90, 2, NOW_NS)
    for too_much in (0, 2):
        with pytest.raises(ValueError, match="1 of the order are left"):
            account.fill(one, 90, too_much, NOW_NS)
    with pytest.raises(ValueError, match="cannot be 2"):
        account.amend(one, NOW_NS, size=2, limit_ticks=90, stop_ticks=None)
    assert account.cancel(one, NOW_NS + 5)[-3:] == (2, 180, False)
    assert account.orders[one].status is Status.CANCELLED
    rejected = account.add(MNQ.contract_id, OrderType.STOP, Side.BUY, 3, NOW_NS, status=Status.REJECTED).order_id
    assert not account.open_orders()
    for order_id in (one, rejected, 77):
        with pytest.raises(NotOpen):
            account.fill(order_id, 90, 1, NOW_NS)
        with pytest.raises(NotOpen):
            account.cancel(order_id, NOW_NS)


def test_the_past_has_a_limit_and_open_orders_are_not_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_module, "MAX_KEPT", 3)
    account = Account(LISTED)
    first = account.add(MNQ.contract_id, OrderType.LIMIT, Side.BUY, 1, NOW_NS, limit_ticks=9, tag="first").order_id
    done = [
        account.add(MNQ.contract_id, OrderType.LIMIT, Side.BUY, 1, NOW_NS, limit_ticks=9, tag=f"t{i}").order_id
        for i in range(5)
    ]
    for order_id in done:
        account.cancel(order_id, NOW_NS)
    assert list(account.orders) == [first, *done[2:]]
    assert [account.has_tag(tag) for tag in ("first", "t1", "t2")] == [True, False, True]
