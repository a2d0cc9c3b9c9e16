"""Indicators as polars expressions: `import shm.indicators` gives every expression and lazy frame the name `shard`.

    import polars as pl
    import shm.indicators

    close = pl.col("close")
    bars.lazy().with_columns(close.shard.rsi(14), close.shard.sma(50).shard.rolling_zscore(200).alias("trend"))
    bars.lazy().shard.resample("5min")

All of them are lazy, chain with each other and with polars, go into `.over("symbol")`, and run no Python for a row.
Type checkers do not see names that are registered: `Indicators(close).rsi(14)` and `Frames(bars.lazy())` are the same.

Rows are taken in the order of the frame, oldest first, and a row knows nothing of later ones. Results are null until
there are rows enough; nan comes out only where nan went in. An output has the name of the indicator, so that it does
not take its input's place. The average true range and the relative strength are TA-Lib's, by the plugin polars-talib;
the rest is polars' own.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_talib

from .layout import BUY, SELL
from .profile import SHARE_PERCENT, value_area, volume_profile
from .resample import resample

NAMESPACE: Final = "shard"


@pl.api.register_expr_namespace(NAMESPACE)
class Indicators:
    """Of one column or expression: `pl.col("close").shard`. Lengths are in rows; ValueError for one that is too small.

    Where nothing else is said a null is no observation: it gives null, the rest goes on without it, and a window that
    holds one is null.
    """

    def __init__(self, values: pl.Expr) -> None:
        self._values = values

    def weighted_average(self, weights: str | pl.Expr) -> pl.Expr:
        """Sum of value times weight over sum of weights, one value: `weighted_average`.

        Rows without a value or a weight count in neither sum; null if the weights add up to zero, or nothing is there.
        """
        weight = pl.when(self._values.is_not_null()).then(_of(weights))
        total = weight.sum()
        average = (self._values * weight).sum() / total
        return pl.when(total != 0).then(average).alias("weighted_average")

    def sma(self, length: int) -> pl.Expr:
        """The plain mean of the last `length` rows: `sma`; null in the first length - 1."""
        return self._values.rolling_mean(_at_least(1, length)).alias("sma")

    def ema(self, length: int) -> pl.Expr:
        """The exponential mean: `ema`. It begins with the first value itself, then moves by 2 / (length + 1).

        So it is never null for want of rows, and its first few times `length` rows still remember where it began.
        """
        return self._values.ewm_mean(span=_at_least(1, length), adjust=False, ignore_nulls=True).alias("ema")

    def rolling_zscore(self, length: int) -> pl.Expr:
        """Distance from the mean of the last `length` rows, in their standard deviations: `zscore`.

        The deviation is that of a sample (ddof=1). Null in the first length - 1 rows, and where the window does not
        move: nothing can be said of it. `length` is at least 2.
        """
        window = _at_least(2, length)
        mean = self._values.rolling_mean(window)
        deviation = self._values.rolling_std(window, ddof=1)
        return ((self._values - mean) / _nonzero(deviation)).alias("zscore")

    def returns(self, length: int = 1) -> pl.Expr:
        """Change against `length` rows ago, as a fraction of the value then: `returns`; null where that was 0."""
        before = self._values.shift(_at_least(1, length))
        return (self._values / _nonzero(before) - 1).alias("returns")

    def rsi(self, length: int = 14) -> pl.Expr:
        """Relative strength by Wilder, 0 to 100: `rsi`; null in the first `length` rows.

        The gains and the losses of the first `length` changes are averaged, each later change moves its average by
        1 / length, and the result is 100 * gain / (gain + loss). A series that has not moved yet has 50 (TA-Lib: 0).
        From the first null or nan that follows a value on it is null: filter rows without a value out before.
        `length` is at least 2.
        """
        values = _finite(self._values)
        strength = polars_talib.rsi(values, _at_least(2, length))
        unmoved = (values == values.drop_nulls().first()).cum_min()  # TA-Lib has 0 there
        return pl.when(values.is_not_null().cum_sum() > length).then(strength + 50.0 * unmoved).alias("rsi")

    def atr(self, length: int = 14, *, high: str | pl.Expr = "high", low: str | pl.Expr = "low") -> pl.Expr:
        """Average true range by Wilder, of the close: `pl.col("close").shard.atr(14)`, as `atr`.

        The true range goes from the lower of low and the close before to the higher of high and that close; the first
        row has none. The first `length` of them are averaged, each later one moves the average by 1 / length: null in
        the first `length` rows. From the first null or nan that follows a whole row on it is null. `length` is at
        least 1.
        """
        top, bottom, close = parts = [_finite(part) for part in (_of(high), _of(low), self._values)]
        ranges = polars_talib.atr(top, bottom, close, timeperiod=_at_least(1, length))
        whole = pl.all_horizontal(part.is_not_null() for part in parts)
        return pl.when(whole.cum_sum() > length).then(ranges).alias("atr")

    def bollinger(self, length: int = 20, width: float = 2.0) -> pl.Expr:
        """A struct `bollinger`: middle, the mean of the last `length` rows; upper and lower, `width` deviations off it.

        The deviation is that of the whole window (ddof=0), as Bollinger has it. Null in the first length - 1 rows. The
        bands of a window that does not move lie on its middle. ValueError for a negative width.
        """
        if not width >= 0:
            raise ValueError(f"width is {width}, it cannot be negative")
        window = _at_least(1, length)
        middle = self._values.rolling_mean(window)
        off = width * self._values.rolling_std(window, ddof=0)
        bands = pl.struct(middle.alias("middle"), off.alias("upper")).struct.with_fields(
            (pl.field("middle") + pl.field("upper")).alias("upper"),
            (pl.field("middle") - pl.field("upper")).alias("lower"),
        )
        return bands.alias("bollinger")

    def session_vwap(self, volume: str | pl.Expr = "volume", session: str | pl.Expr | None = "trading_day") -> pl.Expr:
        """The mean price weighted by volume since the session began: `session_vwap`. None: since the frame began.

        Of bars take `pl.col("vwap")`, which is exact, or another price that stands for the bar; of trades the price,
        `volume="size"`. It begins anew where `session` has another value. Null until there was volume.
        """
        traded = pl.when(self._values.is_not_null()).then(_of(volume))
        vwap = (self._values * traded).cum_sum() / _nonzero(traded.cum_sum())
        return _within(vwap, session).alias("session_vwap")

    def signed(self, side: str | pl.Expr = "side") -> pl.Expr:
        """Sizes of trades with the aggressor's sign: what a buyer took is positive, what a seller took is negative.

        `delta`: of bars the same is `pl.col("buy_volume") - pl.col("sell_volume")`. Null for a side that is neither
        shm.BUY nor shm.SELL.
        """
        taker = _of(side)
        return pl.when(taker == BUY).then(self._values).when(taker == SELL).then(-self._values).alias("delta")

    def cumulative_delta(self, session: str | pl.Expr | None = "trading_day") -> pl.Expr:
        """A delta (`signed`) added up since the session began: `cumulative_delta`. None: since the frame began."""
        return _within(self._values.cum_sum(), session).alias("cumulative_delta")

    def flow_imbalance(self, length: int, volume: str | pl.Expr = "volume") -> pl.Expr:
        """A delta (`signed`) over the volume, both of the last `length` rows, -1 to 1: `flow_imbalance`.

        Null in the first length - 1 rows, and where nothing was traded.
        """
        window = _at_least(1, length)
        return (self._values.rolling_sum(window) / _nonzero(_of(volume).rolling_sum(window))).alias("flow_imbalance")

    def order_flow_imbalance(
        self, ask: str | pl.Expr = "ask", bid_size: str | pl.Expr = "bid_size", ask_size: str | pl.Expr = "ask_size"
    ) -> pl.Expr:
        """What a change of the best bid and ask added to demand, less what it added to supply: `order_flow_imbalance`.

        Of quotes: `pl.col("bid").shard.order_flow_imbalance()`. By Cont, Kukanov and Stoikov (2014): a bid that rose
        adds its whole size, one that fell takes the size before away, one that stayed adds the difference; asks the
        other way round. Sums of it over a window move with the price. Null in the first row, and where this row or the
        one before has no price or size on a side (null or nan).
        """
        now = [part.cast(pl.Float64) for part in (self._values, _of(ask), _of(bid_size), _of(ask_size))]
        was = [part.shift(1) for part in now]
        known = pl.all_horizontal(*(part.is_finite() for part in (*now, *was)))
        (bid, offer, bids, offers), (bid_was, offer_was, bids_was, offers_was) = now, was
        none = pl.lit(0.0)
        demand = pl.when(bid >= bid_was).then(bids).otherwise(none) - (
            pl.when(bid <= bid_was).then(bids_was).otherwise(none)
        )
        supply = pl.when(offer <= offer_was).then(offers).otherwise(none) - (
            pl.when(offer >= offer_was).then(offers_was).otherwise(none)
        )
        return pl.when(known).then(demand - supply).alias("order_flow_imbalance")


@pl.api.register_lazyframe_namespace(NAMESPACE)
class Frames:
    """Of a whole lazy frame: `bars.lazy().shard`. What each does is said at the function of the same name."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame = frame

    def resample(self, timeframe: str, sessions: npt.NDArray[np.void] | None = None) -> pl.LazyFrame:
        """Bars of a longer timeframe: shm.resample.resample."""
        return resample(self._frame, timeframe, sessions)

    def volume_profile(
        self, tick_size: float, *by: str, price: str = "price", size: str = "size", side: str | None = "side"
    ) -> pl.LazyFrame:
        """What was traded at each tick: shm.profile.volume_profile."""
        return volume_profile(self._frame, tick_size, *by, price=price, size=size, side=side)

    def value_area(self, *by: str, percent: int = SHARE_PERCENT) -> pl.LazyFrame:
        """Point of control and value area of a volume profile: shm.profile.value_area."""
        return value_area(self._frame, *by, percent=percent)


def _of(column: str | pl.Expr) -> pl.Expr:
    return pl.col(column) if isinstance(column, str) else column


def _finite(values: pl.Expr) -> pl.Expr:
    """Null for what is no number: TA-Lib takes nan for one, and an RSI behind it would be 0 for ever."""
    number = values.cast(pl.Float64)
    return pl.when(number.is_finite()).then(number)


def _nonzero(values: pl.Expr) -> pl.Expr:
    """Null for 0. One node that names `values` once: what a when() names twice, polars may compute twice."""
    return values.replace(0, None)


def _within(values: pl.Expr, session: str | pl.Expr | None) -> pl.Expr:
    return values if session is None else values.over(session)


def _at_least(least: int, length: int) -> int:
    if length < least:
        raise ValueError(f"length is {length}, it must be at least {least}")
    return length
