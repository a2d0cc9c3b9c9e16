"""Bars of history as a polars frame: that of all bars, with null for what the venue does not tell. Imports polars."""

from typing import Final

import polars as pl

from shm import bars_frame
from shm.values import Scale

from .page import Rows

_OURS: Final = ("buy_volume", "sell_volume", "trades", "vwap")


def frame(rows: Rows, price_increment: int) -> pl.DataFrame:
    """One row a bar, with the columns of bars_frame.schema.

    price_increment: the tick in 10^-9. What the venue does not tell is null: buy and sell volume, trades and vwap of a
    bar that has volume and no trades; the trading day where nobody said it; number and sequence, which only a running
    engine gives.
    """
    bars = bars_frame.frame(rows, Scale(9, price_increment, 0, 1))
    is_known = (pl.col("trades") != 0) | (pl.col("volume") == 0)
    has_day, is_numbered = pl.col("trading_day") != pl.date(1970, 1, 1), pl.col("sequence") != 0
    return bars.with_columns(
        pl.when(is_known).then(pl.col(_OURS)),
        pl.when(has_day).then(pl.col("trading_day")),
        pl.when(is_numbered).then(pl.col("number", "sequence")),
    )
