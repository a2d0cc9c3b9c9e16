"""The polars expressions say what the plain functions say."""

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shm import BUY, SELL, Book, depth, frame
from tests.shm.made_book import books, make_book

COLUMNS = {
    "side": pl.String,
    "level": pl.Int64,
    "price": pl.Float64,
    "size": pl.Float64,
    "price_ticks": pl.Int64,
    "size_units": pl.Int64,
}


def _equal(got: float | None, expected: float) -> bool:
    """Null is nan; the price of a frame is a float already when it is weighted, so its last bits may differ."""
    if got is None:
        return math.isnan(expected)
    return math.isclose(got, expected, rel_tol=1e-12, abs_tol=1e-9)


@given(books(), st.integers(1, 15), st.integers(0, 40), st.sampled_from([BUY, SELL]), st.integers(1, 60_000))
@settings(max_examples=60)
def test_a_lazy_frame_says_what_the_book_says(book: Book, levels: int, ticks: int, side: int, units: int) -> None:
    lazy = book.to_polars().lazy()
    row = lazy.select(
        frame.imbalance(levels),
        frame.microprice(),
        frame.depth_within("bid", ticks),
        frame.depth_within("ask", ticks),
        frame.walk(side, units),
    ).collect()
    assert row.height == 1
    got = row.row(0, named=True)
    near = depth.depth_within(book, ticks)
    fill = depth.walk(book, side, book.scale.size(units))
    assert _equal(got["imbalance"], depth.imbalance(book, levels))
    assert _equal(got["microprice"], depth.microprice(book))
    assert book.scale.size(got["bid_near_units"]) == near.bid_size
    assert book.scale.size(got["ask_near_units"]) == near.ask_size
    assert _equal(got["fill"]["average_price"], fill.average_price)
    assert _equal(got["fill"]["worst_price"], fill.worst_price)
    assert book.scale.size(got["fill"]["filled_units"]) == fill.filled_size


@given(books())
@settings(max_examples=60)
def test_cumulative_depth(book: Book) -> None:
    made = book.to_polars().lazy().with_columns(frame.cumulative_depth()).collect()
    for side, expected in zip(("bid", "ask"), depth.cumulative_depth(book), strict=True):
        units = made.filter(pl.col("side") == side)["cumulative_units"].to_list()
        assert [book.scale.size(total) for total in units] == expected["size"].tolist()


def test_many_books_in_one_frame() -> None:
    made = [make_book([(400, 2), (399, 1)], [(401, 3)]), make_book([(90, 4)], [(92, 4)])]
    frames = [book.to_polars().with_columns(symbol=pl.lit(name)) for book, name in zip(made, "AB", strict=True)]
    whole = pl.concat(frames).lazy()
    rows = whole.group_by("symbol", maintain_order=True).agg(frame.microprice(), frame.walk(BUY, 2)).collect()
    assert rows["microprice"].to_list() == [depth.microprice(book) for book in made]
    assert [fill["worst_price"] for fill in rows["fill"]] == [100.25, 23.0]
    totals = whole.with_columns(frame.cumulative_depth("symbol")).collect()["cumulative_units"].to_list()
    assert totals == [2, 3, 3, 4, 4]


@pytest.mark.parametrize("bids", [[], [(400, 2)]])
@pytest.mark.parametrize("asks", [[], [(401, 2)]])
def test_columns_stay_the_same_when_a_side_is_empty(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
    made = make_book(bids, asks).to_polars()
    assert dict(made.schema) == COLUMNS
    assert made["side"].to_list() == ["bid"] * len(bids) + ["ask"] * len(asks)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        frame.imbalance(0)
    with pytest.raises(ValueError, match="buy"):
        frame.depth_within("buy", 1)
    with pytest.raises(ValueError, match="negative"):
        frame.depth_within("bid", -1)
    with pytest.raises(ValueError, match="at least 1"):
        frame.walk(SELL, 0)
    with pytest.raises(ValueError, match="BUY"):
        frame.walk(2, 1)
