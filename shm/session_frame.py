"""Regular trading hours as a column beside the bars of a polars frame, lazy or not.

    bars.scan().pipe(with_rth, rows).filter("rth")

Only `shm.bars_frame` imports this file, and polars is imported with it.
"""

from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

_TIME: Final = pl.Datetime("ns", "UTC")
_AT, _OPEN, _CLOSE = "__at", "__open", "__close"  # gone again before the frame is given back


def with_rth(frame: Frame, rows: npt.NDArray[np.void], at: str = "start") -> Frame:
    """The frame and a column `rth` (Boolean): does the time in the column `at` lie in one of the sessions `rows`?

    `rows` are layout.SESSION of the view "rth". `at` is Datetime in UTC, sorted: of a bar its start, so that a bar
    which begins before regular hours is not in them, even if it ends there. A null time is not in them.
    """
    sessions = pl.LazyFrame(
        {_OPEN: pl.Series(rows["open_ns"]).cast(_TIME), _CLOSE: pl.Series(rows["close_ns"]).cast(_TIME)}
    )
    lazy = (
        frame.lazy()
        .with_columns(pl.col(at).cast(_TIME).alias(_AT))
        .join_asof(sessions, left_on=_AT, right_on=_OPEN)
        .with_columns((pl.col(_AT) < pl.col(_CLOSE)).fill_null(False).alias("rth"))
        .drop(_AT, _OPEN, _CLOSE)
    )
    return lazy.collect() if isinstance(frame, pl.DataFrame) else lazy
