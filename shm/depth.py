"""What a book says about size and price: plain functions over one Book, exact until the one division at their end.

They see what the Book holds. `Instrument.book` holds the levels that are published, `Instrument.depth` all of them;
`bids_complete` and `asks_complete` say whether the venue has more behind the last one. The same questions as polars
expressions, for frames: frame.py.
"""

import math
from typing import NamedTuple

import numpy as np

from .layout import BUY, SELL, Rows
from .values import NAN, POWERS, PRICED_LEVEL, Book


class Cumulative(NamedTuple):
    """PRICED_LEVEL rows, best first: `size` is the total from the best level to this one, with it."""

    bids: Rows
    asks: Rows


class Near(NamedTuple):
    """Total size near the best of each side. A side that is not `known` has at least that much."""

    bid_size: float
    ask_size: float
    bids_known: bool  # False: the book ends within the distance, and the venue may have more levels there
    asks_known: bool


class Fill(NamedTuple):
    """What an order that takes liquidity would get from this book, if nobody else moved."""

    average_price: float  # nan if nothing is filled
    worst_price: float  # nan if nothing is filled
    filled_size: float  # less than was asked for: the book has no more


def cumulative_depth(book: Book) -> Cumulative:
    """Total size from the best level down to each level. Exact while a side's total is below 2^53 increments."""
    sides = (book.bids, book.bid_ticks), (book.asks, book.ask_ticks)
    return Cumulative(*(_accumulated(book, priced, exact) for priced, exact in sides))


def imbalance(book: Book, levels: int = 1) -> float:
    """(bid size - ask size) / (bid size + ask size) of the first `levels` of each side: 1 all bids, -1 all asks.

    nan for a book with no levels. Raises ValueError for `levels` below 1.
    """
    if levels < 1:
        raise ValueError(f"levels is {levels}, it must be at least 1")
    bids, asks = (sum(exact["size"][:levels].tolist()) for exact in (book.bid_ticks, book.ask_ticks))
    return (bids - asks) / (bids + asks) if bids + asks else NAN


def microprice(book: Book) -> float:
    """The mid weighted by the size of the *other* side's best: nearer to the side that is about to give way.

    nan when a side is empty.
    """
    if not (len(book.bid_ticks) and len(book.ask_ticks)):
        return NAN
    (bid, bid_size), (ask, ask_size) = book.bid_ticks[0].tolist(), book.ask_ticks[0].tolist()
    weighted = (bid * ask_size + ask * bid_size) * book.scale.price_increment
    return float(weighted / ((bid_size + ask_size) * POWERS[book.scale.price_scale]))


def depth_within(book: Book, ticks: int) -> Near:
    """Total size at most `ticks` from the best of each side; 0 is the best level alone.

    Raises ValueError for negative `ticks`.
    """
    if ticks < 0:
        raise ValueError(f"ticks is {ticks}, it cannot be negative")
    bids, bids_end = _near(book.bid_ticks, ticks)
    asks, asks_end = _near(book.ask_ticks, ticks)
    size = book.scale.size
    return Near(size(bids), size(asks), not bids_end or book.bids_complete, not asks_end or book.asks_complete)


def walk(book: Book, side: int, size: float) -> Fill:
    """Take `size` from the book, best level first: BUY takes asks, SELL takes bids.

    Raises ValueError for another side, and for a size that is not positive or no multiple of the size increment.
    """
    if side not in (BUY, SELL):
        raise ValueError(f"side is {side}, it must be BUY ({BUY}) or SELL ({SELL})")
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"size is {size}, it must be positive")
    if not book.scale.known:
        return Fill(NAN, NAN, 0.0)  # nothing was published yet
    wanted = left = _units(book, size)
    paid = worst = 0
    for price, there in (book.ask_ticks if side == BUY else book.bid_ticks).tolist():
        taken = min(there, left)
        paid += taken * price
        worst = price
        left -= taken
        if left == 0:
            break
    filled = wanted - left
    if filled == 0:
        return Fill(NAN, NAN, 0.0)
    scale = book.scale
    average = paid * scale.price_increment / (filled * POWERS[scale.price_scale])
    return Fill(average, scale.price(worst), scale.size(filled))


def _accumulated(book: Book, priced: Rows, exact: Rows) -> Rows:
    rows = np.empty(len(exact), PRICED_LEVEL)
    rows["price"] = priced["price"]
    rows["size"] = book.scale.sizes(np.cumsum(exact["size"]))
    return rows


def _near(levels: Rows, ticks: int) -> tuple[int, bool]:
    """Units within `ticks` of the first level, and whether the levels end there."""
    total = 0
    rows = levels.tolist()
    for price, size in rows:
        if abs(price - rows[0][0]) > ticks:
            return total, False
        total += size
    return total, True


def _units(book: Book, size: float) -> int:
    """A size in increments; the nearest float of so many increments must be `size` itself."""
    scale = book.scale
    units = round(size * POWERS[scale.size_scale] / scale.size_increment)
    if units == 0 or scale.size(units) != size:
        raise ValueError(f"size is {size}, it must be a multiple of {scale.size(1)}, the size increment")
    return units
