"""How much was traded at which price: the volume profile, its point of control and its value area, on lazy frames.

    trades.lazy().pipe(volume_profile, 0.25).pipe(value_area)

The value area grows by a loop, "take the larger of the two neighbours, again and again", and is still one lazy query:
replace each neighbour by the smallest on its side so far, and the loop takes them in falling order. For what lies
behind a small one is reached only after it, and then at once as far as it is larger.
"""

from fractions import Fraction
from typing import Final

import polars as pl

from .layout import BUY, SELL

SHARE_PERCENT: Final = 70  # of the volume, in a value area: what market profile has always taken
_MOST_DIGITS: Final = 10**9  # below the point of a tick size


def volume_profile(
    trades: pl.LazyFrame,
    tick_size: float,
    *by: str,
    price: str = "price",
    size: str = "size",
    side: str | None = "side",
) -> pl.LazyFrame:
    """A row for each price at which was traded, lowest first: `by`, tick, price, volume, buy_volume, sell_volume.

    `tick` is the price in tick sizes, Int64; a price off the grid goes to the nearest one. `by` are columns that tell
    profiles apart, like a trading day. Rows without a price or a size count nowhere. With side=None, for frames that
    know no aggressor (bars: price="close", size="volume" is the usual stand-in), the last two columns are left out.
    Raises ValueError for a tick size that is not positive and finite.
    """
    if not 0 < tick_size < float("inf"):
        raise ValueError(f"tick_size is {tick_size}, it must be positive")
    exact = Fraction(str(tick_size)).limit_denominator(_MOST_DIGITS)
    if exact == 0:
        raise ValueError(f"tick_size is {tick_size}, it must be at least {1 / _MOST_DIGITS}")
    traded = pl.col(size)
    sums = [traded.sum().alias("volume")]
    if side is not None:
        sums += [
            traded.filter(pl.col(side) == taker).sum().alias(f"{name}_volume")
            for taker, name in ((BUY, "buy"), (SELL, "sell"))
        ]
    tick = (pl.col(price) * exact.denominator / exact.numerator).round().cast(pl.Int64)
    return (
        trades.filter(pl.col(price).is_finite() & traded.is_not_null())
        .group_by(*by, tick.alias("tick"))
        .agg(*sums)
        .with_columns((pl.col("tick") * exact.numerator / exact.denominator).alias("price"))
        .select(*by, "tick", "price", *(total.meta.output_name() for total in sums))
        .sort(*by, "tick")
    )


def value_area(profile: pl.LazyFrame, *by: str, percent: int = SHARE_PERCENT) -> pl.LazyFrame:
    """A row for each profile: `by`, point_of_control, low, high, area_volume, volume. Prices, of a `volume_profile`.

    The point of control is the price of most volume; of equal ones the one nearest to the middle between the lowest
    and the highest price, of two as near the lower. From there the two-sided rule grows the area: the volumes of the
    next two ticks above and of the next two below are compared (a tick without a trade has none, beyond the last price
    there may be one or nothing), the larger pair joins whole, of equal ones the upper, until the area holds at least
    `percent` of the volume. `low` and `high` are the outermost prices in it at which was traded. No rows give no row.
    Raises ValueError for a percent that is not 1 to 100.
    """
    if not 1 <= percent <= 100:
        raise ValueError(f"percent is {percent}, it must be from 1 to 100")
    keys = by or ("_all",)
    tick, volume, centre = (pl.col(name) for name in ("tick", "volume", "_centre"))
    off_middle = (2 * tick - tick.min() - tick.max()).abs()
    ranked = tick.sort_by(volume, off_middle, tick, descending=[True, False, False])
    side = pl.when(tick == centre).then(0).when(tick > centre).then(1).otherwise(2)
    pairs = (
        profile.with_columns(pl.lit(0).alias("_all"))
        .with_columns(ranked.first().over(*keys).alias("_centre"), volume.sum().over(*keys).alias("_total"))
        .group_by(*keys, side.alias("_side"), (((tick - centre).abs() + 1) // 2).alias("_place"))
        .agg(
            volume.sum(),
            pl.col("_total").first(),
            pl.col("price").min().alias("low"),
            pl.col("price").max().alias("high"),
        )
        .sort(*keys, "_side", "_place")
    )
    # where a pair is missing nothing was traded, and nothing behind it is larger than that
    near = pl.col("_place") == pl.int_range(1, pl.len() + 1).over(*keys, "_side")
    reached = pl.when(near).then(volume).otherwise(0).cum_min().over(*keys, "_side")
    first = pl.col("_side") == 0
    before = volume.cum_sum().over(*keys) - volume
    return (
        pairs.with_columns(pl.when(first).then(pl.col("_total")).otherwise(reached).alias("_reached"))
        .sort(*keys, "_reached", "_side", "_place", descending=[*(False for _ in keys), True, False, False])
        .filter(first | (before * 100 < pl.col("_total") * percent))
        .group_by(*keys, maintain_order=True)
        .agg(
            pl.col("low").filter(first).first().alias("point_of_control"),
            pl.col("low").min(),
            pl.col("high").max(),
            volume.sum().alias("area_volume"),
            pl.col("_total").first().alias("volume"),
        )
        .select(*by, "point_of_control", "low", "high", "area_volume", "volume")
    )
