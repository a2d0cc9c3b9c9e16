"""One side of a book against a plain dict of prices, on both sides, empty, filling up and full."""

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from shm import layout
from shm.layout import NO_BOUND
from shm.sides import drop_better, find, put_level, remove_level

SEED = int(os.environ.get("SHARDBOOK_SEED", "20261122"))
CAPACITY = 12

SIGNS = pytest.mark.parametrize("sign", [1, -1], ids=["bids", "asks"])

prices = st.integers(-20, 20)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), prices, st.integers(1, 1 << 40)),
        st.tuples(st.just("remove"), prices, st.just(0)),
        st.tuples(st.just("drop"), prices, st.integers(0, 1)),
    ),
    max_size=80,
)


class Side:
    """The array under test."""

    def __init__(self, sign: int, capacity: int = CAPACITY) -> None:
        self.sign = sign
        self.levels: Any = np.zeros(capacity, layout.LEVEL)
        self.n = 0

    def put(self, price: int, size: int) -> int:
        self.n, lost = put_level(self.levels, self.n, self.sign, price, size)
        return int(lost)

    def remove(self, price: int) -> None:
        self.n = remove_level(self.levels, self.n, self.sign, price)

    def drop(self, price: int, at_too: bool) -> None:
        self.n = drop_better(self.levels, self.n, self.sign, price, at_too)

    def rows(self) -> list[tuple[int, int]]:
        return [(int(row["price"]), int(row["size"])) for row in self.levels[: self.n]]


class Model:
    """The same, as a dict from price to size."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.sizes: dict[int, int] = {}

    def put(self, price: int, size: int) -> int:
        self.sizes[price] = size
        if len(self.sizes) <= CAPACITY:
            return NO_BOUND
        worst = min(self.sizes, key=lambda held: self.sign * held)
        del self.sizes[worst]
        return self.sign * worst

    def remove(self, price: int) -> None:
        self.sizes.pop(price, None)

    def drop(self, price: int, at_too: bool) -> None:
        limit = self.sign * price
        gone = [held for held in self.sizes if self.sign * held > limit or (at_too and held == price)]
        for held in gone:
            del self.sizes[held]

    def rows(self) -> list[tuple[int, int]]:
        return sorted(self.sizes.items(), key=lambda row: self.sign * row[0])


@SIGNS
@seed(SEED)
@settings(max_examples=250, deadline=None, database=None)
@given(steps=steps)
def test_a_side_is_the_dict_of_its_prices(sign: int, steps: list[tuple[str, int, int]]) -> None:
    side, model = Side(sign), Model(sign)
    print(f"SHARDBOOK_SEED={SEED}")
    bound = NO_BOUND  # sign · the best price ever lost: at and below it the side is not known
    truth: dict[int, int] = {}  # what the venue has, without any limit
    for step, price, number in steps:
        if step == "put":
            lost = side.put(price, number)
            assert lost == model.put(price, number)
            truth[price] = number
            bound = max(bound, lost)
        elif step == "remove":
            side.remove(price)
            model.remove(price)
            truth.pop(price, None)
        else:
            side.drop(price, bool(number))
            model.drop(price, bool(number))
            keep = {
                held: size
                for held, size in truth.items()
                if sign * held < sign * price or (not number and held == price)
            }
            truth = keep
        assert side.rows() == model.rows()
        known = {held: size for held, size in truth.items() if sign * held > bound}
        assert {held: size for held, size in side.rows() if sign * held > bound} == known, (
            "above the bound all is known"
        )


@SIGNS
@seed(SEED)
@settings(max_examples=100, deadline=None, database=None)
@given(held=st.sets(st.integers(-1000, 1000), max_size=200), price=st.integers(-1001, 1001))
def test_a_price_is_found_where_it_is_or_belongs(sign: int, held: set[int], price: int) -> None:
    side = Side(sign, 256)
    side.levels["price"][: len(held)] = sorted(held, key=lambda each: sign * each)
    wanted = sum(sign * each < sign * price for each in held)
    assert find(side.levels, len(held), sign, price) == wanted


@SIGNS
def test_a_full_side_gives_up_its_worst_and_says_which(sign: int) -> None:
    side = Side(sign, 3)
    for price in (10, 20, 30):
        assert side.put(sign * price, 1) == NO_BOUND
    assert side.put(sign * 20, 9) == NO_BOUND, "a known price loses nothing"
    assert side.put(sign * 25, 2) == 10
    assert side.put(sign * 40, 3) == 20
    assert side.rows() == [(sign * 25, 2), (sign * 30, 1), (sign * 40, 3)]


@SIGNS
def test_a_price_worse_than_all_of_a_full_side_is_itself_lost(sign: int) -> None:
    side = Side(sign, 2)
    side.put(sign * 10, 1)
    side.put(sign * 20, 1)
    assert side.put(sign * 5, 7) == 5
    assert side.rows() == [(sign * 10, 1), (sign * 20, 1)]


@SIGNS
def test_a_side_of_one_level_keeps_the_better(sign: int) -> None:
    side = Side(sign, 1)
    assert side.put(sign * 10, 1) == NO_BOUND
    assert side.put(sign * 11, 2) == 10
    assert side.put(sign * 9, 3) == 9
    assert side.rows() == [(sign * 11, 2)]


@SIGNS
def test_removing_what_is_not_held_changes_nothing(sign: int) -> None:
    side = Side(sign, 4)
    side.remove(5)
    side.put(sign * 10, 1)
    for price in (9, 11):
        side.remove(sign * price)
    assert side.rows() == [(sign * 10, 1)]


@SIGNS
@pytest.mark.parametrize(("at_too", "left"), [(False, [10, 20]), (True, [10])])
def test_dropping_the_better_ones_spares_the_price_itself_unless_told(sign: int, at_too: bool, left: list[int]) -> None:
    side = Side(sign, 4)
    for price in (10, 20, 30, 40):
        side.put(sign * price, 1)
    side.drop(sign * 20, at_too)
    assert [price for price, _ in side.rows()] == [sign * price for price in left]
