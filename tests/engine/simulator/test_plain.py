"""The plain telling of a flow: the same market for who knows the rules, and the same for who knows few of them."""

import numpy as np
import pytest

from engine.simulator.book import apply, book_after
from engine.simulator.contracts import CONTRACTS
from engine.simulator.flow import Dom, Flow, Kind
from engine.simulator.generated import generate
from engine.simulator.plain import gap_s, plain
from engine.simulator.rules import checkpoints

SETS = {Dom.BID, Dom.BEST_BID, Dom.NEW_BEST_BID}, {Dom.ASK, Dom.BEST_ASK, Dom.NEW_BEST_ASK}


@pytest.fixture(scope="module")
def flow() -> Flow:
    return generate(CONTRACTS["MNQ"], 7, depth_records=600)


def trades_of(flow: Flow) -> list[tuple[int, int, int]]:
    is_trade = np.repeat(flow.records["kind"] == Kind.TRADES, flow.records["entries"])
    return [tuple(entry) for entry in flow.entries[is_trade].tolist()]


def test_trades_come_one_a_record_and_all_in_order(flow: Flow) -> None:
    told = plain(flow)
    assert (flow.records["entries"][flow.records["kind"] == Kind.TRADES] > 1).any()
    assert (told.records["entries"][told.records["kind"] == Kind.TRADES] == 1).all()
    assert trades_of(told) == trades_of(flow)


def test_who_takes_every_entry_for_one_level_has_the_same_books(flow: Flow) -> None:
    told, marks = plain(flow), checkpoints(flow)
    kinds = flow.records["kind"]
    before = np.cumsum(kinds == Kind.DEPTH)
    after_depth = [int(np.searchsorted(before, n)) for n in range(1, int(before[-1]) + 1)]
    bids, asks = dict(flow.opening_bids.tolist()), dict(flow.opening_asks.tolist())
    seen = 0
    for kind, first, count in told.records.tolist():
        if kind != Kind.DEPTH:
            continue
        for dom, price, size in told.entries[first : first + count].tolist():
            for side, sets in zip((bids, asks), SETS, strict=True):
                if dom in sets:
                    side[price] = size
                    if not size:
                        del side[price]
        true = book_after(flow.records, flow.entries, marks, after_depth[seen])
        assert bids == dict(true[0].tolist()), seen
        assert asks == dict(true[1].tolist()), seen
        seen += 1
    assert seen == len(after_depth)


def test_who_knows_all_rules_has_them_too(flow: Flow) -> None:
    """The truth of the plain flow ends where it began, as that of every generated flow does."""
    told = plain(flow)
    bids, asks = dict(told.opening_bids.tolist()), dict(told.opening_asks.tolist())
    for kind, first, count in told.records.tolist():
        if kind == Kind.DEPTH:
            apply(bids, asks, told.entries[first : first + count].tolist())
    assert bids == dict(flow.opening_bids.tolist())
    assert asks == dict(flow.opening_asks.tolist())


def test_the_rate_is_one_of_depth_entries(flow: Flow) -> None:
    told = plain(flow)
    depth = told.records["entries"][told.records["kind"] == Kind.DEPTH]
    assert told.span == depth.sum() > flow.span
    assert (np.diff(told.due) >= 0).all()


def test_the_gap_leaves_half_of_the_time(flow: Flow) -> None:
    told = plain(flow)
    assert gap_s(told, 50.0) * len(told) == pytest.approx(told.span / 50.0 / 2)
