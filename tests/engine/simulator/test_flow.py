"""The flow of a contract: what it looks like, and that its truth is what anybody gets who follows the rules."""

import os
import random
from collections import Counter

import numpy as np
import pytest

from engine.simulator.book import CHECKPOINT_RECORDS, book_after
from engine.simulator.contracts import CONTRACTS
from engine.simulator.flow import Field, Flow, Kind
from engine.simulator.generated import generate
from engine.simulator.rules import checkpoints

SEED = int(os.environ.get("SHARDBOOK_SEED", random.randrange(1 << 30)))
SEEDS = [1, 7, pytest.param(SEED, id="random")]


class PlainBook:
    """Bids and asks as dicts, and the table of the fact sheet (8.4) spelled out code by code."""

    def __init__(self, bids: np.ndarray, asks: np.ndarray) -> None:
        self.bids = dict(bids.tolist())
        self.asks = dict(asks.tolist())

    def apply(self, code: int, price: int, size: int) -> None:
        if code == 1:
            self._set(self.asks, price, size)
        elif code == 2:
            self._set(self.bids, price, size)
        elif code == 3:
            self._set(self.asks, price, size)
            self.asks = {p: s for p, s in self.asks.items() if p >= price}
        elif code == 4:
            self._set(self.bids, price, size)
            self.bids = {p: s for p, s in self.bids.items() if p <= price}
        elif code == 6:
            self.bids, self.asks = {}, {}
        elif code == 9:
            self._set(self.bids, price, size)
            self.bids = {p: s for p, s in self.bids.items() if p <= price}
            self.asks = {p: s for p, s in self.asks.items() if p > price}
        elif code == 10:
            self._set(self.asks, price, size)
            self.asks = {p: s for p, s in self.asks.items() if p >= price}
            self.bids = {p: s for p, s in self.bids.items() if p < price}

    @staticmethod
    def _set(side: dict[int, int], price: int, size: int) -> None:
        if size:
            side[price] = size
        else:
            side.pop(price, None)


def depth_of(flow: Flow, record: int) -> list[tuple[int, int, int]]:
    kind, first, count = flow.records[record].tolist()
    return flow.entries[first : first + count].tolist() if kind == Kind.DEPTH else []


@pytest.mark.parametrize("seed", SEEDS)
def test_the_truth_is_what_the_rules_give_and_it_is_always_a_market(seed: int) -> None:
    flow = generate(CONTRACTS["MNQ"], seed, depth_records=1500)
    marks = checkpoints(flow)
    book = PlainBook(flow.opening_bids, flow.opening_asks)
    for record in range(len(flow)):
        for entry in depth_of(flow, record):
            book.apply(*entry)
        assert len(book.bids) >= 50, (seed, record)
        assert len(book.asks) >= 50, (seed, record)
        assert max(book.bids) < min(book.asks), (seed, record)
        if record % 29 == 0 or record % CHECKPOINT_RECORDS in (0, CHECKPOINT_RECORDS - 1):
            bids, asks = book_after(flow.records, flow.entries, marks, record)
            assert bids.tolist() == [list(level) for level in sorted(book.bids.items(), reverse=True)], (seed, record)
            assert asks.tolist() == [list(level) for level in sorted(book.asks.items())], (seed, record)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_returns_to_its_opening_book(seed: int) -> None:
    flow = generate(CONTRACTS["GC"], seed)
    book = PlainBook(flow.opening_bids, flow.opening_asks)
    for record in range(len(flow)):
        for entry in depth_of(flow, record):
            book.apply(*entry)
    assert book.bids == dict(flow.opening_bids.tolist()), seed
    assert book.asks == dict(flow.opening_asks.tolist()), seed
    assert flow.loops


def test_the_same_seed_gives_the_same_flow_and_another_another() -> None:
    one, same = (generate(CONTRACTS["ES"], SEED, depth_records=300) for _ in range(2))
    assert one.records.tobytes() == same.records.tobytes()
    assert one.entries.tobytes() == same.entries.tobytes()
    for other in (
        generate(CONTRACTS["ES"], SEED + 1, depth_records=300),
        generate(CONTRACTS["NQ"], SEED, depth_records=300),
    ):
        assert other.entries["size"].tolist() != one.entries["size"].tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_it_looks_like_a_market(seed: int) -> None:
    flow = generate(CONTRACTS["MES"], seed)
    kinds, counts = flow.records["kind"], flow.records["entries"]
    depth = counts[kinds == Kind.DEPTH]
    assert depth.min() >= 1
    assert depth.max() == 20
    assert abs(depth.mean() - 6) < 0.3, seed
    assert 8_000 <= len(flow) <= 20_000
    in_depth = np.repeat(kinds, counts) == Kind.DEPTH
    codes = Counter(flow.entries["type"][in_depth].tolist())
    assert codes.keys() == {1, 2, 3, 4, 5, 7, 8, 9, 10, 11}, seed
    assert codes[1] + codes[2] > len(depth) * 6 * 0.6
    moving = {entry[1] for record in range(len(flow)) for entry in depth_of(flow, record)}
    assert len(moving) > 150, seed
    assert (np.diff(flow.due) >= 0).all()
    assert flow.span == len(flow.entries[in_depth])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_trade_is_printed_at_a_price_that_was_there_and_eats_the_other_side(seed: int) -> None:
    flow = generate(CONTRACTS["CL"], seed, depth_records=1500)
    book = PlainBook(flow.opening_bids, flow.opening_asks)
    lists = prints = equal = 0
    for record in range(len(flow)):
        kind, first, count = flow.records[record].tolist()
        if kind != Kind.TRADES:
            for entry in depth_of(flow, record):
                book.apply(*entry)
            continue
        trades = flow.entries[first : first + count].tolist()
        lists += count > 1
        prints += count
        equal += count - len(set(trades))
        taken: Counter[int] = Counter()
        for side, price, size in trades:
            assert side == trades[0][0]
            assert size > 0
            taken[price] += size
        other = book.asks if trades[0][0] == 0 else book.bids
        assert all(other[price] >= size for price, size in taken.items()), (seed, record)
        assert (min(other) if trades[0][0] == 0 else max(other)) == trades[0][1], (seed, record)
    assert lists > 50, seed
    assert prints > 300, seed
    assert equal > 10, seed


def test_quotes_are_partial_after_a_whole_one_and_say_the_best_prices() -> None:
    flow = generate(CONTRACTS["ZN"], SEED, depth_records=1500)
    first = flow.entries[: flow.records["entries"][0]]
    assert flow.records["kind"][0] == Kind.QUOTE
    assert first["type"].tolist() == [int(field) for field in Field]
    book = PlainBook(flow.opening_bids, flow.opening_asks)
    partial = 0
    for record in range(1, len(flow)):
        for entry in depth_of(flow, record):
            book.apply(*entry)
        kind, begin, count = flow.records[record].tolist()
        if kind == Kind.QUOTE:
            said = {code: value for code, value, _ in flow.entries[begin : begin + count].tolist()}
            partial += len(said) < len(Field)
            assert said.get(Field.BEST_BID, max(book.bids)) == max(book.bids)
            assert said.get(Field.BEST_ASK, min(book.asks)) == min(book.asks)
    assert partial > 100


def test_contracts_have_the_names_of_the_venue() -> None:
    assert CONTRACTS["MNQ"].contract_id == "CON.F.US.MNQ.Z26"
    assert CONTRACTS["MNQ"].name == "MNQZ6"
    assert CONTRACTS["ES"].symbol_id == "F.US.EP"
    assert len(CONTRACTS) >= 12
    for contract in CONTRACTS.values():
        assert contract.middle_ticks > 1024, "a window of prices below zero"
