"""Bars of history as a polars frame, with the columns that all bars have. For commands: it imports polars."""

from typing import Final

import polars as pl

from .page import Rows

PRICES: Final = ("open", "high", "low", "close")
_OURS: Final = ("buy_volume", "sell_volume", "trades")


def frame(rows: Rows, price_increment: int) -> pl.DataFrame:
    """One row a bar: start, end, prices, volumes, trades, vwap, flags, revision, trading_day, number, sequence.

    price_increment: the tick in 10^-9. A price is ticks · tick as the nearest float, from which the ticks can be had
    again. What the venue does not tell is null: buy and sell volume, trades and vwap of a bar that has volume and no
    trades; the trading day where nobody said it; number and sequence, which only a running engine gives.
    """
    moment = pl.Datetime("ns", "UTC")
    columns = {name: pl.Series(name, rows[name]) for name in rows.dtype.names or ()}
    known = (columns["trades"] != 0) | (columns["volume"] == 0)
    # divided by numpy: polars multiplies with 10^-9 instead, which is not the nearest float
    prices = [pl.Series(name, rows[name] * price_increment / 1e9) for name in PRICES]
    made = pl.DataFrame(
        [
            columns["start_ns"].cast(moment).alias("start"),
            columns["end_ns"].cast(moment).alias("end"),
            *prices,
            columns["volume"],
            *(columns[name] for name in _OURS),
            (columns["notional"] * (price_increment / 10**9) / columns["volume"]).alias("vwap"),
            columns["flags"],
            columns["revision"],
            columns["trading_day"].cast(pl.Date),
            columns["number"],
            columns["sequence"],
        ]
    )
    has_day, is_numbered = pl.col("trading_day") != pl.date(1970, 1, 1), pl.col("sequence") != 0
    return made.with_columns(
        *(pl.when(known).then(pl.col(name)).alias(name) for name in (*_OURS, "vwap")),
        pl.when(has_day).then(pl.col("trading_day")).alias("trading_day"),
        *(pl.when(is_numbered).then(pl.col(name)).alias(name) for name in ("number", "sequence")),
    ).with_columns(pl.col("vwap").fill_nan(None))
