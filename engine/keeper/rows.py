"""Bars of a frame as rows of layout.BAR again, and the venue's rows in our units: integers for integers."""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from shm.layout import BAR, Rows
from shm.values import POWERS, Scale

_PRICES: Final = ("open", "high", "low", "close")
_VOLUMES: Final = ("volume", "buy_volume", "sell_volume")
_PLAIN: Final = ("trades", "flags", "revision", "number", "sequence")


def rows_of(bars: pl.DataFrame, scale: Scale) -> Rows:
    """What `shm.bars_frame.frame` made the bars of, but for the checksum; exact as far as that says."""
    rows = np.zeros(len(bars), BAR)
    rows["start_ns"], rows["end_ns"] = (bars[name].to_physical().to_numpy() for name in ("start", "end"))
    rows["trading_day"] = bars["trading_day"].to_physical().to_numpy()
    for name in _PRICES:
        rows[name] = _units(bars[name], scale.price_scale, scale.price_increment)
    for name in _VOLUMES:
        rows[name] = _units(bars[name], scale.size_scale, scale.size_increment)
    for name in _PLAIN:
        rows[name] = bars[name].to_numpy()
    vwap = bars["vwap"].fill_null(0.0)
    rows["notional"] = np.rint(vwap.to_numpy() * rows["volume"] * POWERS[scale.price_scale] / scale.price_increment)
    return rows


def in_units_of(rows: Rows, scale: Scale, price_scale: int, price_increment: int) -> Rows | None:
    """The venue's bars, whose prices are in ticks of the contract's increment and volumes in whole contracts, in
    ours. None if a tick is not the same."""
    if price_increment * POWERS[scale.price_scale] != scale.price_increment * 10**price_scale:
        return None
    made = rows.copy()
    made["volume"] = rows["volume"] * POWERS[scale.size_scale] // scale.size_increment
    return made


def _units(values: pl.Series, digits: int, increment: int) -> npt.NDArray[np.int64]:
    units: npt.NDArray[np.int64] = np.rint(values.to_numpy() * (POWERS[digits] / increment)).astype(np.int64)
    return units
