"""The volume profile, and the value area against the loop that it stands for."""

from collections import Counter

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shm import BUY, SELL
from shm.profile import value_area, volume_profile
from tests.shm import plain_indicators as plain

# few sizes, so that volumes are equal often, and prices with holes between them
prints = st.lists(st.tuples(st.one_of(st.integers(100, 112), st.integers(90, 140)), st.integers(0, 3)), max_size=60)
PERCENTS = st.sampled_from([1, 50, 70, 99, 100])


def _trades(rows: list[tuple[int, int]], tick_size: float = 0.25) -> pl.LazyFrame:
    return pl.LazyFrame(
        {
            "price": [tick * tick_size for tick, _ in rows],
            "size": [size for _, size in rows],
            "side": [(BUY, SELL)[number % 2] for number in range(len(rows))],
        },
        schema={"price": pl.Float64, "size": pl.Int64, "side": pl.Int64},
    )


@given(prints, PERCENTS)
@example([(100, 1), (101, 2), (102, 2), (103, 1)], 70)
@example([(100, 0), (104, 0)], 70)
@settings(max_examples=300)
def test_the_area_is_that_of_the_loop(rows: list[tuple[int, int]], percent: int) -> None:
    profile = volume_profile(_trades(rows), 0.25)
    made = value_area(profile, percent=percent).collect()
    volumes: Counter[int] = Counter()
    for tick, size in rows:
        volumes[tick] += size
    assert dict(profile.select("tick", "volume").collect().iter_rows()) == volumes
    if not rows:
        assert made.height == 0
        return
    centre, low, high, inside = plain.value_area(volumes, percent)
    assert made.rows() == [(centre / 4, low / 4, high / 4, inside, sum(volumes.values()))]


@given(prints, prints)
@settings(max_examples=60)
def test_profiles_of_several_days_in_one_frame(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    days = [_trades(first).with_columns(day=pl.lit(1)), _trades(second).with_columns(day=pl.lit(2))]
    both = value_area(volume_profile(pl.concat(days), 0.25, "day"), "day").sort("day").collect()
    apart = [value_area(volume_profile(day, 0.25)).collect() for day in days]
    assert both.drop("day").rows() == apart[0].rows() + apart[1].rows()


def test_buyers_and_sellers_at_a_price() -> None:
    trades = pl.LazyFrame({"price": [1.5, 1.25, 1.5, 1.5], "size": [4, 1, 2, 3], "side": [BUY, BUY, SELL, BUY]})
    made = volume_profile(trades, 0.25).collect()
    assert made.rows() == [(5, 1.25, 1, 1, 0), (6, 1.5, 9, 7, 2)]
    assert made.columns == ["tick", "price", "volume", "buy_volume", "sell_volume"]
    without = volume_profile(trades.rename({"price": "close", "size": "n"}), 0.25, price="close", size="n", side=None)
    assert without.collect().rows() == [(5, 1.25, 1), (6, 1.5, 9)]


def test_prices_are_those_of_the_grid() -> None:
    """Neither 3 * 0.1 nor what lies beside the grid is a price."""
    trades = _trades([(3, 1)], 0.1)
    assert volume_profile(trades, 0.1).collect()["price"].to_list() == [0.3]
    beside = pl.LazyFrame({"price": [100.1, 99.9, None, float("nan")], "size": 1, "side": BUY})
    assert volume_profile(beside, 0.25).collect().select("price", "volume").rows() == [(100.0, 2)]
    tiny = pl.LazyFrame({"price": [0.00001234], "size": 1, "side": BUY})
    assert volume_profile(tiny, 1e-8).collect().select("tick", "price").rows() == [(1234, 0.00001234)]


def test_sizes_may_be_fractions() -> None:
    trades = pl.LazyFrame({"price": [1.0, 2.0, 3.0], "size": [0.5, 0.25, 0.125], "side": BUY})
    assert value_area(volume_profile(trades, 1.0)).collect().rows() == [(1.0, 1.0, 3.0, 0.875, 0.875)]


def test_what_makes_no_sense_is_refused() -> None:
    for tick_size in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="positive"):
            volume_profile(_trades([]), tick_size)
    with pytest.raises(ValueError, match="at least 1e-09"):
        volume_profile(_trades([]), 1e-12)
    for percent in (0, 101):
        with pytest.raises(ValueError, match="1 to 100"):
            value_area(volume_profile(_trades([]), 1.0), percent=percent)
