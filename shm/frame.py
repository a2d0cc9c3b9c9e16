"""The questions of depth.py as polars expressions over the frame of a book, `Book.to_polars()`, lazy or not.

    book.to_polars().lazy().select(frame.microprice(), frame.imbalance(5))

They need the frame's own columns and its order, best level first on each side. All but `cumulative_depth` give one
value, so many books in one frame, told apart by a column, are one `group_by(column, maintain_order=True).agg(…)`.
What is null here is nan in depth.py. Nothing else in `shm` imports this file, and polars is imported with it.
"""

import polars as pl

from .layout import BUY, SELL

_SIDES = ("bid", "ask")


def cumulative_depth(*by: str) -> pl.Expr:
    """For each row the total `size_units` from the best level of its side to it, with it: `cumulative_units`.

    `by`: the columns that tell books apart, if the frame holds several.
    """
    return pl.col("size_units").cum_sum().over("side", *by).alias("cumulative_units")


def imbalance(levels: int = 1) -> pl.Expr:
    """(bid size - ask size) / (bid size + ask size) of the first `levels`: `imbalance`. ValueError below 1."""
    if levels < 1:
        raise ValueError(f"levels is {levels}, it must be at least 1")
    bids, asks = (_of(side, "size_units").head(levels).sum() for side in _SIDES)
    both = bids + asks
    return pl.when(both > 0).then((bids - asks) / both).alias("imbalance")


def microprice() -> pl.Expr:
    """The mid weighted by the size of the other side's best: `microprice`; null when a side is empty."""
    bid, ask = (_of(side, "price").first() for side in _SIDES)
    bid_size, ask_size = (_of(side, "size_units").first() for side in _SIDES)
    return ((bid * ask_size + ask * bid_size) / (bid_size + ask_size)).alias("microprice")


def depth_within(side: str, ticks: int) -> pl.Expr:
    """Total `size_units` at most `ticks` from the best of `side` ("bid" or "ask"): `bid_near_units`, `ask_near_units`.

    Raises ValueError for another side and for negative `ticks`.
    """
    if side not in _SIDES:
        raise ValueError(f"side is {side!r}, it must be one of {', '.join(_SIDES)}")
    if ticks < 0:
        raise ValueError(f"ticks is {ticks}, it cannot be negative")
    price = _of(side, "price_ticks")
    near = (price - price.first()).abs() <= ticks
    return _of(side, "size_units").filter(near).sum().alias(f"{side}_near_units")


def walk(side: int, size_units: int) -> pl.Expr:
    """Take `size_units` from the book, BUY from the asks and SELL from the bids: a struct named `fill`.

    Its fields: average_price and worst_price (null if nothing is filled), filled_units. Raises ValueError for
    another side and for a size below 1.
    """
    if side not in (BUY, SELL):
        raise ValueError(f"side is {side}, it must be BUY ({BUY}) or SELL ({SELL})")
    if size_units < 1:
        raise ValueError(f"size_units is {size_units}, it must be at least 1")
    other = "ask" if side == BUY else "bid"
    there = _of(other, "size_units")
    before = there.cum_sum() - there
    taken = pl.min_horizontal(there, (size_units - before).clip(0))
    price = _of(other, "price")
    filled = taken.sum()
    return pl.struct(
        pl.when(filled > 0).then((taken * price).sum() / filled).alias("average_price"),
        price.filter(taken > 0).last().alias("worst_price"),
        filled.alias("filled_units"),
    ).alias("fill")


def _of(side: str, column: str) -> pl.Expr:
    return pl.col(column).filter(pl.col("side") == side)
