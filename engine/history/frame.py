"""Bars of history as a polars frame: that of all bars, without the numbers of ours. Imports polars."""

import polars as pl

from shm import bars_frame
from shm.values import Scale

from .page import Rows


def frame(rows: Rows, price_increment: int) -> pl.DataFrame:
    """One row a bar, with the columns of bars_frame.schema.

    price_increment: the tick in 10^-9. Number and sequence, which only a running engine gives, are null as well as
    what bars_frame.frame says.
    """
    bars = bars_frame.frame(rows, Scale(9, price_increment, 0, 1))
    return bars.with_columns(pl.when(pl.col("sequence") != 0).then(pl.col("number", "sequence")))
