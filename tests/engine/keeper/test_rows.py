"""Bars out of a frame are the integers that went in."""

import numpy as np
import pytest

from engine.keeper.rows import in_units_of, rows_of
from shm.bars_frame import frame
from shm.values import Scale
from tests import made_bars
from tests.made_bars import QUARTERS

TENTHS = Scale(price_scale=1, price_increment=1, size_scale=0, size_increment=1)
COINS = Scale(price_scale=2, price_increment=1, size_scale=8, size_increment=1000)
THIRTY_SECONDS = Scale(price_scale=9, price_increment=7_812_500, size_scale=0, size_increment=1)


@pytest.mark.parametrize("scale", [QUARTERS, TENTHS, COINS, THIRTY_SECONDS])
def test_rows_of_a_frame_are_those_that_it_was_made_of(scale: Scale) -> None:
    rows = made_bars.plain(5000)
    rows["low"][:100] = -rows["high"][:100]
    rows["volume"][5], rows["notional"][5] = 0, 0
    assert rows_of(frame(rows, scale), scale).tobytes() == rows.tobytes()


def test_the_venues_bars_in_our_units() -> None:
    rows = made_bars.plain(10)
    same = in_units_of(rows, QUARTERS, 9, 250_000_000)
    assert same is not None
    assert same.tobytes() == rows.tobytes()
    lots = in_units_of(rows, QUARTERS._replace(size_scale=2, size_increment=50), 9, 250_000_000)
    assert lots is not None
    assert np.array_equal(lots["volume"], rows["volume"] * 2)
    assert in_units_of(rows, QUARTERS, 9, 500_000_000) is None
