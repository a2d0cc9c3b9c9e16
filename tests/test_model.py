"""The model itself, on cases small enough to check by eye: what judges the engine must be right first."""

import json
import os
import random
from decimal import Decimal
from typing import Any

import pytest

from tests import model
from tests.model import Book, Entry, Trade

CONTRACT = "CON.F.US.MNQ.Z26"
BID, ASK, BEST_ASK, BEST_BID, TRADE, RESET, LOW, NEW_BEST_BID, NEW_BEST_ASK, FILL = 2, 1, 3, 4, 5, 6, 7, 9, 10, 11
SEED = int(os.environ.get("SHARDBOOK_SEED", "7"))


def said(target: str, payload: Any, contract: str = CONTRACT) -> str:
    return json.dumps({"type": 1, "target": target, "arguments": [contract, payload]})


def entry(kind: int, price: float | None = None, size: int | None = None, stamp_ns: int = 0) -> Entry:
    return Entry(
        kind, None if price is None else Decimal(str(price)), None if size is None else Decimal(size), stamp_ns
    )


def book(*entries: Entry) -> Book:
    """A live book at ticks of 0.25: bids 99.75, 99.5, 99.25, asks 100, 100.25, 100.5, sizes 1 to 6; then `entries`."""
    made = Book(Decimal("0.25"))
    levels = [entry(BID, 99.75, 1), entry(BID, 99.5, 2), entry(BID, 99.25, 3)]
    levels += [entry(ASK, 100, 4), entry(ASK, 100.25, 5), entry(ASK, 100.5, 6)]
    made.depth([entry(RESET), *levels])
    assert live(made)
    if entries:
        made.depth(entries)
    return made


def live(made: Book) -> bool:
    """A call, because type checkers take a property for unchanged between two asserts."""
    return made.live


def crossed(made: Book) -> bool:
    return made.crossed


def sides(made: Book) -> tuple[list[float], list[float]]:
    return [float(price) for price, _ in made.best_bids()], [float(price) for price, _ in made.best_asks()]


BIDS, ASKS = [99.75, 99.5, 99.25], [100.0, 100.25, 100.5]


@pytest.mark.parametrize(
    ("kind", "price", "bids", "asks"),
    [
        (BID, 99.625 - 0.125, BIDS, ASKS),
        (BID, 99.0, [*BIDS, 99.0], ASKS),
        (ASK, 100.75, BIDS, [*ASKS, 100.75]),
        (BEST_BID, 99.5, [99.5, 99.25], ASKS),
        (BEST_BID, 99.0, [99.0], ASKS),
        (BEST_ASK, 100.25, BIDS, [100.25, 100.5]),
        (NEW_BEST_BID, 99.5, [99.5, 99.25], ASKS),
        (NEW_BEST_BID, 100.25, [100.25, *BIDS], [100.5]),
        (NEW_BEST_ASK, 100.25, BIDS, [100.25, 100.5]),
        (NEW_BEST_ASK, 99.5, [99.25], [99.5, *ASKS]),
    ],
)
def test_types_that_set_a_level(kind: int, price: float, bids: list[float], asks: list[float]) -> None:
    made = book(entry(kind, price, 9))
    assert sides(made) == (bids, asks)
    assert {**made.bids, **made.asks}[Decimal(str(price))] == 9
    assert live(made)


@pytest.mark.parametrize(
    ("kind", "price"),
    [(BID, 99.5), (BEST_BID, 99.5), (NEW_BEST_BID, 99.5), (ASK, 100.25), (BEST_ASK, 100.25), (NEW_BEST_ASK, 100.25)],
)
def test_a_size_of_zero_removes_that_level_alone(kind: int, price: float) -> None:
    bids, asks = sides(book(entry(kind, price, 0)))
    assert bids == [level for level in BIDS if level != price]
    assert asks == [level for level in ASKS if level != price]
    assert sides(book(entry(BID, 90, 0), entry(ASK, 110, 0))) == (BIDS, ASKS)


@pytest.mark.parametrize("kind", [0, TRADE, LOW, 8, FILL, 12, 99, -1])
def test_types_that_move_nothing(kind: int) -> None:
    made = book(entry(kind))
    assert sides(made) == (BIDS, ASKS)
    assert live(made)


def test_reset_clears_both_sides_and_what_follows_it_counts() -> None:
    made = book(entry(RESET))
    assert sides(made) == ([], [])
    assert not live(made)
    made.depth([entry(BID, 99, 1), entry(ASK, 101, 1)])
    assert live(made)
    made.depth([entry(BID, 98, 1), entry(RESET), entry(BID, 97, 1), entry(ASK, 103, 1)])
    assert sides(made) == ([97.0], [103.0])


def test_depth_is_thrown_away_until_a_list_led_by_reset() -> None:
    made = Book(Decimal("0.25"))
    made.depth([entry(BID, 99, 1), entry(ASK, 101, 1)])
    made.depth([entry(BID, 99, 1), entry(RESET), entry(ASK, 101, 1)])
    made.depth([])
    assert (sides(made), made.synced) == (([], []), False)
    made.depth([entry(RESET), entry(BID, 98, 1), entry(ASK, 102, 1)])
    assert sides(made) == ([98.0], [102.0])
    made.lose()
    made.depth([entry(BID, 97, 1)])
    assert not live(made)
    assert sides(made) == ([98.0], [102.0])


def whole(bids: int, asks: int) -> list[Entry]:
    return [entry(BID, 99 - n, 1) for n in range(bids)] + [entry(ASK, 101 + n, 1) for n in range(asks)]


def test_a_list_longer_than_any_increment_is_a_snapshot() -> None:
    made = Book(Decimal("0.25"), floor=4)
    made.depth(whole(2, 2))
    assert not made.synced
    made.depth(whole(5, 0))
    assert not made.synced
    made.depth([entry(BID, 90 - n, 0) for n in range(9)] + [entry(ASK, 101, 1)])
    assert not made.synced
    made.depth(whole(3, 2))
    assert live(made)
    made.depth(whole(6, 0))
    made.lose()
    made.depth(whole(3, 3))
    assert not made.synced
    made.depth(whole(3, 4))
    assert sides(made) == ([99.0, 98.0, 97.0], [101.0, 102.0, 103.0, 104.0])
    assert live(made)


@pytest.mark.parametrize(
    "wrong", [entry(BID, 99.6, 1), entry(ASK, 100.1, 0), Entry(BID, Decimal(99), Decimal("0.5"), 0)]
)
def test_off_the_grid_loses_the_book_and_applies_nothing(wrong: Entry) -> None:
    made = book(entry(BID, 99, 1), wrong)
    assert not made.synced
    assert sides(made) == (BIDS, ASKS)


def test_crossed_and_one_sided_books_are_not_live() -> None:
    made = book(entry(BID, 100, 1))
    assert crossed(made)
    assert not live(made)
    made.depth([entry(BID, 100, 0)])
    assert not live(made)
    made.depth([entry(RESET), *whole(1, 1)])
    assert live(made)
    made.depth([entry(BID, 99, 0)])
    assert not live(made)
    made.depth([entry(BID, 98, 1)])
    assert live(made)


def test_stamp_is_that_of_the_last_entry_applied() -> None:
    made = book(entry(BID, 99, 1, 5), entry(BID, 99, 2, 7))
    assert made.stamp_ns == 7
    made.depth([entry(BID, 99, 2)])
    assert made.stamp_ns == 7
    made.lose()
    made.depth([entry(BID, 99, 1, 9)])
    assert made.stamp_ns == 7


def test_best_levels() -> None:
    made = book()
    assert made.best_bids(2) == [(Decimal("99.75"), Decimal(1)), (Decimal("99.5"), Decimal(2))]
    assert made.best_asks(1) == [(Decimal(100), Decimal(4))]


def test_random_depth_keeps_new_bests_uncrossed() -> None:
    """A new best purges what it would cross: with those alone no book is ever crossed."""
    print(f"SHARDBOOK_SEED={SEED}")
    rng = random.Random(SEED)
    made = book()
    for _ in range(2000):
        made.depth([entry(rng.choice((NEW_BEST_BID, NEW_BEST_ASK)), 100 + rng.randrange(-8, 9) / 4, rng.randrange(3))])
        assert made.synced
        assert not crossed(made)


def test_messages_reach_tape_and_quote() -> None:
    made = Book(Decimal("0.25"))
    first = {"price": 100.25, "volume": 2, "type": 1, "timestamp": "2026-11-22T14:33:04.142+00:00"}
    made.apply(*model.decode(said("GatewayTrade", [first, first]), CONTRACT))
    made.apply(*model.decode(said("GatewayTrade", {**first, "type": 0, "timestamp": None}), CONTRACT))
    stamped = Trade(Decimal("100.25"), Decimal(2), 1, 1_795_357_984_142_000_000)
    assert made.tape == [stamped, stamped, Trade(Decimal("100.25"), Decimal(2), 0, 0)]
    made.apply(*model.decode(said("GatewayQuote", {"bestBid": 99.75, "volume": 7, "symbol": "F.US.MNQ"}), CONTRACT))
    made.apply(*model.decode(said("GatewayQuote", {"bestBid": None, "bestAsk": 100.1, "volume": 8}), CONTRACT))
    assert made.quote == {"bid": Decimal("99.75"), "volume": Decimal(8)}
    made.apply(*model.decode(said("GatewayDepth", [{"type": 6}, {"type": 2, "price": 1, "volume": 1}]), CONTRACT))
    assert sides(made) == ([1.0], [])
    made.apply(*model.decode(said("GatewayTrade", [first, {**first, "price": 100.1}]), CONTRACT))
    assert len(made.tape) == 3
    assert not made.synced


def test_quote_stamps() -> None:
    early, late = "2026-11-22T14:33:04Z", "2026-11-22T14:33:05Z"
    for fields, expected in (
        ({"timestamp": early}, 1_795_357_984 * 10**9),
        ({"timestamp": early, "lastUpdated": late}, 1_795_357_985 * 10**9),
        ({"timestamp": early, "lastUpdated": None}, 1_795_357_984 * 10**9),
    ):
        _, quotes = model.decode(said("GatewayQuote", fields), CONTRACT)
        assert quotes == [model.Quote({"updated_ns": expected}, expected)]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"type":6}',
        said("GatewayLogout", {}),
        said("GatewayDepth", {}, contract="CON.F.US.MES.Z26"),
        said("GatewayDepth", 5),
        said("GatewayDepth", {"type": 2, "price": 1}),
        said("GatewayDepth", {"type": 2, "price": 1, "volume": -1}),
        said("GatewayDepth", {"type": True, "price": 1, "volume": 1}),
        said("GatewayDepth", {"type": 2, "price": float("nan"), "volume": 1}),
        said("GatewayDepth", {"type": 2, "price": 1e300, "volume": 1}),
        said("GatewayDepth", {"type": 6, "timestamp": "2026-02-29T00:00:00Z"}),
        said("GatewayTrade", {"type": 2, "price": 1, "volume": 1}),
        said("GatewayQuote", {"volume": -1}),
    ],
)
def test_refusals(text: str) -> None:
    with pytest.raises(model.Refused):
        model.decode(text, CONTRACT)
