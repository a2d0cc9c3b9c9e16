"""The venue's bars in our units are integers for integers."""

import numpy as np

from engine.keeper.rows import in_units_of
from tests import made_bars
from tests.made_bars import QUARTERS


def test_the_venues_bars_in_our_units() -> None:
    rows = made_bars.plain(10)
    same = in_units_of(rows, QUARTERS, 9, 250_000_000)
    assert same is not None
    assert same.tobytes() == rows.tobytes()
    lots = in_units_of(rows, QUARTERS._replace(size_scale=2, size_increment=50), 9, 250_000_000)
    assert lots is not None
    assert np.array_equal(lots["volume"], rows["volume"] * 2)
    assert in_units_of(rows, QUARTERS, 9, 500_000_000) is None
