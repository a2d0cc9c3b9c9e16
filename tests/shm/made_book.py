"""Books made of lists of levels, and random ones, for the tests of what is computed from a book."""

import numpy as np
from hypothesis import strategies as st

from shm import Book
from shm.layout import LEVEL
from shm.values import PRICED_LEVEL, Scale

QUARTERS = Scale(2, 25, 0, 1)  # ticks of 0.25, sizes of 1

Side = list[tuple[int, int]]  # (price in ticks, size in units), best first

sizes = st.integers(1, 10_000)
gaps = st.lists(st.tuples(st.integers(1, 9), sizes), max_size=12)
scales = st.builds(Scale, st.integers(0, 9), st.integers(1, 250), st.integers(0, 8), st.integers(1, 50))


@st.composite
def books(draw: st.DrawFn) -> Book:
    """A book that is not crossed, of 0 to 12 levels a side, with holes, about some price that may be negative."""
    middle = draw(st.integers(-1000, 1_000_000))
    sides: list[Side] = []
    for direction in (-1, 1):
        price = middle
        side = []
        for gap, size in draw(gaps):
            price += direction * gap
            side.append((price, size))
        sides.append(side)
    return make_book(*sides, scale=draw(scales), complete=draw(st.booleans()))


def make_book(bids: Side, asks: Side, *, scale: Scale = QUARTERS, complete: bool = True) -> Book:
    def priced(side: Side) -> np.ndarray:
        return np.array([(scale.price(price), scale.size(size)) for price, size in side], PRICED_LEVEL)

    ticks = np.array(bids, LEVEL), np.array(asks, LEVEL)
    return Book("MNQ", priced(bids), priced(asks), *ticks, complete, complete, "live", "", 1, 2, 3, 4, scale)
