"""Book expressions against plain arithmetic on fractions."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shm import BUY, SELL, Book, Instrument
from shm.depth import cumulative_depth, depth_within, imbalance, microprice, walk
from shm.layout import NEAR_TICKS
from shm.values import PRICED_LEVEL, Scale
from tests.shm.made_book import books, make_book
from tests.shm.plain_writer import ASKS, BIDS, PlainWriter


def _price(book: Book, ticks: Fraction | int) -> float:
    return float(Fraction(ticks) * book.scale.price_increment / 10**book.scale.price_scale)


def _size(book: Book, units: int) -> float:
    return float(Fraction(units * book.scale.size_increment, 10**book.scale.size_scale))


@given(books())
def test_cumulative_depth(book: Book) -> None:
    got = cumulative_depth(book)
    for rows, exact in ((got.bids, book.bid_ticks), (got.asks, book.ask_ticks)):
        levels = exact.tolist()
        assert rows.dtype == PRICED_LEVEL
        assert rows["price"].tolist() == [_price(book, price) for price, _ in levels]
        assert rows["size"].tolist() == [
            _size(book, sum(size for _, size in levels[: k + 1])) for k in range(len(levels))
        ]


@given(books(), st.integers(1, 15))
def test_imbalance(book: Book, levels: int) -> None:
    bids, asks = (sum(size for _, size in side.tolist()[:levels]) for side in (book.bid_ticks, book.ask_ticks))
    if bids + asks == 0:
        assert math.isnan(imbalance(book, levels))
    else:
        assert imbalance(book, levels) == float(Fraction(bids - asks, bids + asks))


@given(books())
def test_microprice(book: Book) -> None:
    if not (len(book.bids) and len(book.asks)):
        assert math.isnan(microprice(book))
        return
    (bid, bid_size), (ask, ask_size) = book.bid_ticks[0].tolist(), book.ask_ticks[0].tolist()
    share = Fraction(bid_size, bid_size + ask_size)
    assert microprice(book) == _price(book, bid + share * (ask - bid))
    assert book.best_bid <= microprice(book) <= book.best_ask


@given(books(), st.integers(0, 40))
def test_depth_within(book: Book, ticks: int) -> None:
    near = depth_within(book, ticks)
    for size, known, levels in (
        (near.bid_size, near.bids_known, book.bid_ticks.tolist()),
        (near.ask_size, near.asks_known, book.ask_ticks.tolist()),
    ):
        inside = [units for price, units in levels if abs(price - levels[0][0]) <= ticks]
        assert size == _size(book, sum(inside))
        assert known == (book.bids_complete or len(inside) < len(levels))


@given(books(), st.sampled_from([BUY, SELL]), st.integers(1, 60_000))
def test_walk(book: Book, side: int, units: int) -> None:
    levels = (book.ask_ticks if side == BUY else book.bid_ticks).tolist()
    lots = [price for price, size in levels for _ in range(size)][:units]
    fill = walk(book, side, _size(book, units))
    assert fill.filled_size == _size(book, len(lots))
    if lots:
        assert fill.average_price == _price(book, Fraction(sum(lots), len(lots)))
        assert fill.worst_price == _price(book, lots[-1])
    else:
        assert math.isnan(fill.average_price)
        assert math.isnan(fill.worst_price)


def test_a_walk_by_hand() -> None:
    book = make_book([(400, 2), (399, 5)], [(401, 3), (403, 4)])
    assert walk(book, BUY, 5) == ((3 * 100.25 + 2 * 100.75) / 5, 100.75, 5.0)
    assert walk(book, SELL, 2) == (100.0, 100.0, 2.0)
    assert walk(book, SELL, 100).filled_size == 7.0


def test_what_makes_no_sense_is_refused() -> None:
    book = make_book([(400, 2)], [(401, 3)])
    for size in (0.0, -1.0, math.nan, math.inf, 0.5, 1.25):
        with pytest.raises(ValueError, match="size is"):
            walk(book, BUY, size)
    with pytest.raises(ValueError, match="BUY"):
        walk(book, 2, 1)
    with pytest.raises(ValueError, match="at least 1"):
        imbalance(book, 0)
    with pytest.raises(ValueError, match="negative"):
        depth_within(book, -1)


def test_fractions_of_a_size_are_exact() -> None:
    book = make_book([(400, 2)], [(401, 1), (402, 2)], scale=Scale(2, 1, 1, 1))
    assert walk(book, BUY, 0.3) == ((401 + 2 * 402) / 300, 4.02, 0.3)


def test_a_book_that_was_read(writer: PlainWriter, mnq: Instrument) -> None:
    empty = mnq.book(allow_stale=True)
    assert walk(empty, BUY, 1).filled_size == 0
    assert math.isnan(microprice(empty))
    assert len(cumulative_depth(empty).bids) == 0
    writer.publish(BIDS, ASKS)
    writer.checkpoint(BIDS, ASKS)
    assert cumulative_depth(mnq.book()).bids["size"][1] == BIDS[0][1] + BIDS[1][1]
    assert not depth_within(mnq.book(), 1000).bids_known  # more levels are held than are published
    assert depth_within(mnq.depth(), 1000) == (sum(n for _, n in BIDS), sum(n for _, n in ASKS), True, True)


def test_a_level_at_the_distance_is_within_it() -> None:
    book = make_book([(100, 1), (90, 2), (89, 4)], [(101, 8), (111, 16), (112, 32)])
    assert depth_within(book, NEAR_TICKS) == (3.0, 24.0, True, True)
