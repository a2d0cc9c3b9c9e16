"""When a ring is full enough to be sealed, and how much of it goes. The rest of the shelf is in test_keeper."""

import numpy as np
import pytest

from engine.keeper.shelf import due, runs
from tests import made_bars


@pytest.mark.parametrize(
    ("sealed", "end", "to"),
    [
        (0, 0, 0),
        (0, 204, 0),
        (0, 205, 128),  # four fifths of 256 are 204.8
        (0, 256, 128),
        (1000, 1204, 1000),
        (1000, 1205, 1128),
        (1000, 900, 1000),  # a file that was begun anew behind what is sealed
    ],
)
def test_the_oldest_half_goes_at_four_fifths(sealed: int, end: int, to: int) -> None:
    assert due(sealed, end, 256) == to


@pytest.mark.parametrize(
    ("numbers", "stretches"),
    [([], []), ([5], [1]), ([5, 6, 7], [3]), ([5, 7, 8, 11], [1, 2, 1])],
)
def test_rows_are_cut_where_one_is_missing(numbers: list[int], stretches: list[int]) -> None:
    rows = made_bars.plain(len(numbers))
    rows["number"] = numbers
    found = list(runs(rows))
    assert [len(each) for each in found] == stretches
    assert [int(number) for each in found for number in each["number"]] == numbers
    assert all((np.diff(each["number"]) == 1).all() for each in found)
