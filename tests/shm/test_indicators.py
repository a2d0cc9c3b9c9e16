"""The expressions say what their definitions say, row by row, and nothing of later rows."""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from shm import BUY, SELL
from shm.bars_frame import frame
from shm.indicators import NAMESPACE, Frames, Indicators
from tests import made_bars
from tests.shm import plain_indicators as plain

PAGE = Path(__file__).resolve().parents[2] / "docs" / "indicators.md"
CLOSE = Indicators(pl.col("close"))

# Gold-like prices in quarters: exact as floats, with runs that do not move and values that repeat.
prices = st.lists(st.one_of(st.integers(8_000, 8_012), st.integers(1, 80_000)).map(lambda t: t / 4), max_size=60)
lengths = st.integers(1, 12)

ALL: dict[str, Callable[[], pl.Expr]] = {
    "sma": lambda: CLOSE.sma(3),
    "ema": lambda: CLOSE.ema(3),
    "zscore": lambda: CLOSE.rolling_zscore(3),
    "returns": lambda: CLOSE.returns(),
    "rsi": lambda: CLOSE.rsi(3),
    "atr": lambda: CLOSE.atr(3),
    "bollinger": lambda: CLOSE.bollinger(3),
    "session_vwap": lambda: CLOSE.session_vwap(),
    "delta": lambda: Indicators(pl.col("volume")).signed(),
    "cumulative_delta": lambda: Indicators(Indicators(pl.col("volume")).signed()).cumulative_delta(),
    "flow_imbalance": lambda: Indicators(Indicators(pl.col("volume")).signed()).flow_imbalance(3),
    "order_flow_imbalance": lambda: CLOSE.order_flow_imbalance("high", "volume", "volume"),
}


def _frame(closes: Sequence[float]) -> pl.LazyFrame:
    """Bars around closes, of two trading days, with a bit of everything."""
    rows = len(closes)
    return pl.LazyFrame(
        {
            "close": closes,
            "high": [close + row % 3 for row, close in enumerate(closes)],
            "low": [close - row % 4 / 2 for row, close in enumerate(closes)],
            "volume": [row * 7 % 5 for row in range(rows)],
            "side": [(BUY, SELL, SELL)[row % 3] for row in range(rows)],
            "trading_day": [row // 20 for row in range(rows)],
        },
        schema={
            "close": pl.Float64,
            "high": pl.Float64,
            "low": pl.Float64,
            "volume": pl.Int64,
            "side": pl.Int64,
            "trading_day": pl.Int32,
        },
    )


def _column(frame: pl.LazyFrame, expression: pl.Expr) -> list[float | None]:
    return frame.select(expression).collect().to_series().to_list()


def _check(got: Sequence[float | None], expected: Sequence[float | None], scale: float = 1.0) -> None:
    assert len(got) == len(expected)
    for row, (one, other) in enumerate(zip(got, expected, strict=True)):
        if one is None or other is None:
            assert one is other, f"row {row}: {one} and {other}"
        else:
            assert math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9 * scale), f"row {row}: {one} and {other}"


@given(prices, lengths)
@settings(max_examples=150)
def test_means_and_bands(closes: list[float], length: int) -> None:
    frame = _frame(closes)
    _check(_column(frame, CLOSE.sma(length)), plain.sma(closes, length), 100)
    _check(_column(frame, CLOSE.ema(length)), plain.ema(closes, length), 100)
    bands = frame.select(CLOSE.bollinger(length, 2.5)).unnest("bollinger").collect()
    assert bands.columns == ["middle", "upper", "lower"]
    for got, expected in zip(bands.rows(), plain.bollinger(closes, length, 2.5), strict=True):
        _check(got, expected or (None, None, None), 1e4)


@given(prices, st.integers(2, 12))
@settings(max_examples=150)
def test_scores_and_returns(closes: list[float], length: int) -> None:
    frame = _frame(closes)
    _check(_column(frame, CLOSE.rolling_zscore(length)), plain.zscore(closes, length), 1e3)
    _check(_column(frame, CLOSE.returns(length)), plain.returns(closes, length))


@given(prices, st.integers(2, 12))
@settings(max_examples=150)
def test_strength_and_range_by_wilder(closes: list[float], length: int) -> None:
    frame = _frame(closes)
    _check(_column(frame, CLOSE.rsi(length)), plain.rsi(closes, length), 1e3)
    whole = frame.collect()
    expected = plain.atr(whole["high"].to_list(), whole["low"].to_list(), closes, length)
    _check(_column(frame, CLOSE.atr(length)), expected, 1e3)


def test_strength_of_the_published_example() -> None:
    """The table of the StockCharts page on RSI, to its two digits."""
    closes = [44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826]
    closes += [45.8931, 46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439]
    got = _column(_frame(closes), CLOSE.rsi(14))
    assert got[:14] == [None] * 14
    assert [round(value, 2) for value in got[14:] if value is not None] == [70.53, 66.32, 66.55, 69.41, 66.36, 57.97]


def test_strength_at_its_ends() -> None:
    def last(closes: list[float]) -> float | None:
        return _column(_frame(closes), CLOSE.rsi(3))[-1]

    assert last([5.0] * 9) == 50.0
    assert last([5.0, 6.0, 7.0, 8.0, 8.0]) == 100.0
    assert last([8.0, 7.0, 6.0, 5.0, 5.0]) == 0.0
    assert last([5.0] * 6 + [4.0]) == 0.0
    assert last([5.0, 4.0, 5.0] + [5.0] * 600) == pytest.approx(50.0, abs=1e-6)  # what came last is not forgotten
    assert last([5.0, 5.0, 5.0]) is None


@given(prices)
@settings(max_examples=60)
def test_the_mean_price_of_a_session(closes: list[float]) -> None:
    frame = _frame(closes)
    whole = frame.collect()
    volumes = whole["volume"].to_list()
    expected = plain.session_vwap(closes, volumes, whole["trading_day"].to_list())
    _check(_column(frame, CLOSE.session_vwap()), expected)
    _check(_column(frame, CLOSE.session_vwap(session=None)), plain.session_vwap(closes, volumes, [0] * len(closes)))
    assert _column(frame, CLOSE.weighted_average("volume")) == [
        None if sum(volumes) == 0 else pytest.approx(plain.weighted_average(closes, volumes))
    ]


quotes = st.lists(st.tuples(st.integers(1, 4), st.integers(5, 8), st.integers(0, 9), st.integers(0, 9)), max_size=40)


@given(quotes)
@settings(max_examples=150)
def test_flow_of_orders(rows: list[tuple[int, int, int, int]]) -> None:
    frame = pl.LazyFrame(rows, schema=["bid", "ask", "bid_size", "ask_size"], orient="row")
    got = _column(frame, Indicators(pl.col("bid")).order_flow_imbalance())
    assert got == plain.order_flow_imbalance(rows)


def test_flow_of_orders_where_a_side_is_empty() -> None:
    frame = pl.LazyFrame({"bid": [1.0, math.nan, 1.0, 2.0], "ask": [3.0] * 4, "bid_size": [1, 0, 5, 6], "ask_size": 2})
    assert _column(frame, Indicators(pl.col("bid")).order_flow_imbalance()) == [None, None, None, 6.0]


def test_flow_of_trades() -> None:
    trades = pl.LazyFrame(
        {
            "size": [3.0, 1.0, 2.0, 4.0, 0.0, 0.0],
            "side": [BUY, SELL, SELL, BUY, BUY, 7],
            "trading_day": [1, 1, 2, 2, 2, 2],
        }
    )
    delta = Indicators(Indicators(pl.col("size")).signed())
    assert _column(trades, Indicators(pl.col("size")).signed()) == [3, -1, -2, 4, 0, None]
    assert _column(trades, delta.cumulative_delta()) == [3, 2, -2, 2, 2, None]
    assert _column(trades, delta.cumulative_delta(session=None)) == [3, 2, 0, 4, 4, None]
    shares = _column(trades.head(5), delta.flow_imbalance(2, volume="size"))
    assert shares == [None, 0.5, -1.0, pytest.approx(1 / 3), 1.0]
    nothing = trades.slice(4, 1).select(pl.col("size"), "side")
    assert _column(nothing, delta.flow_imbalance(1, volume="size")) == [None]


@pytest.mark.parametrize("name", ALL)
def test_an_output_has_its_name_and_none_of_the_input(name: str) -> None:
    for rows in (0, 1, 30):
        made = _frame([5.0 + row % 4 for row in range(rows)]).select(ALL[name]()).collect()
        assert (made.columns, made.height) == ([name], rows)


@given(st.sampled_from(sorted(ALL)), prices, st.data())
@settings(max_examples=100)
def test_a_row_knows_nothing_of_later_ones(name: str, closes: list[float], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(closes)))
    whole = _frame(closes).select(ALL[name]()).collect()
    assert_frame_equal(whole.head(first), _frame(closes).head(first).select(ALL[name]()).collect())  # but for last bits


@pytest.mark.parametrize("name", ALL)
def test_the_streaming_engine_and_groups_say_the_same(name: str) -> None:
    left = _frame([5.0 + row * row % 11 for row in range(50)]).with_columns(symbol=pl.lit("L"))
    right = _frame([9.0 - row * row % 7 for row in range(50)]).with_columns(symbol=pl.lit("R"))
    expected = pl.concat([left.select(ALL[name]()), right.select(ALL[name]())]).collect()
    both = pl.concat([left, right])
    assert_frame_equal(both.select(ALL[name]().over("symbol")).collect(), expected)
    for engine in ("streaming", "in-memory"):
        assert_frame_equal(left.select(ALL[name]()).collect(engine=engine), expected.head(50))


@pytest.mark.parametrize("name", ["rsi", "atr"])
def test_nothing_is_said_after_a_hole_in_a_smoothed_value(name: str) -> None:
    closes = [5.0 + row % 4 for row in range(30)]
    whole = _column(_frame(closes), ALL[name]())
    for hole in (None, math.nan, math.inf):
        holed = _frame(closes).with_columns(
            pl.when(pl.int_range(pl.len()) == 12).then(pl.lit(hole, pl.Float64)).otherwise("close").alias("close")
        )
        got = _column(holed, ALL[name]())
        assert got[12:] == [None] * 18
        assert all(one is None or one == other for one, other in zip(got, whole, strict=True))
        usable = holed.filter(pl.col("close").is_finite())
        assert _column(usable, ALL[name]())[-1] is not None


@pytest.mark.parametrize(("name", "column"), [("rsi", "close"), ("atr", "close"), ("atr", "high")])
def test_a_smoothed_value_begins_with_the_first_whole_row(name: str, column: str) -> None:
    frame = _frame([5.0 + row % 4 for row in range(30)])
    late = frame.with_columns(pl.when(pl.int_range(pl.len()) >= 7).then(column).alias(column))
    expected = [None] * 7 + _column(frame.slice(7), ALL[name]())
    _check(_column(late, ALL[name]()), expected)


def test_a_null_is_no_observation() -> None:
    frame = pl.LazyFrame({"close": [1.0, None, 3.0, 4.0], "volume": [1, 1, 1, None], "trading_day": 1})
    assert _column(frame, CLOSE.sma(2)) == [None, None, None, 3.5]
    assert _column(frame, CLOSE.ema(3)) == [1.0, None, 2.0, 3.0]
    assert _column(frame, CLOSE.returns()) == [None, None, None, pytest.approx(1 / 3)]
    assert _column(frame, CLOSE.session_vwap()) == [1.0, None, 2.0, None]
    assert _column(frame, CLOSE.weighted_average("volume")) == [2.0]


def test_the_names_are_registered_and_chain() -> None:
    close = getattr(pl.col("close"), NAMESPACE)
    assert isinstance(close, Indicators)
    made = getattr(getattr(_frame([1.0, 2, 4, 7, 9]), NAMESPACE), "volume_profile")  # noqa: B009  # as users write it
    assert made(1.0, price="close", size="volume").collect().height == 5
    chained = getattr(close.sma(2), NAMESPACE).returns()
    assert _column(_frame([1.0, 3.0, 5.0]), chained) == [None, None, 1.0]
    assert isinstance(getattr(_frame([]), NAMESPACE), Frames)


def test_what_makes_no_sense_is_refused() -> None:
    for make in (CLOSE.sma, CLOSE.ema, CLOSE.returns, CLOSE.bollinger, CLOSE.atr, CLOSE.flow_imbalance):
        with pytest.raises(ValueError, match="at least 1"):
            make(0)
    for make in (CLOSE.rsi, CLOSE.rolling_zscore):
        with pytest.raises(ValueError, match="at least 2"):
            make(1)
    for width in (-1.0, math.nan):
        with pytest.raises(ValueError, match="negative"):
            CLOSE.bollinger(20, width)


def test_the_blocks_of_the_page_run_one_after_the_other() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    space: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), space)


def test_bars_that_are_marked_as_empty_ruin_nothing_once_they_are_left_out() -> None:
    rows = made_bars.plain(60)
    every = frame(np.concatenate([rows[:30], made_bars.marked(5, 30), rows[35:]]), made_bars.QUARTERS)
    cured = every.filter(pl.col("close").is_finite()).with_columns(CLOSE.rsi(5), CLOSE.atr(5))
    assert cured.equals(
        frame(np.delete(rows, range(30, 35)), made_bars.QUARTERS).with_columns(CLOSE.rsi(5), CLOSE.atr(5))
    )
    assert cured["rsi"].null_count() == cured["atr"].null_count() == 5
    assert every.select(CLOSE.ema(5)).to_series().drop_nulls().min() > 19_000  # type: ignore[operator]
