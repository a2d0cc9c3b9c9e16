"""Regular hours as a column: the same as is_open says, lazy or not, with nothing else changed."""

import numpy as np
import polars as pl

from shm.layout import SESSION
from shm.session_frame import with_rth
from shm.trading_days import is_open

ROWS = np.array([(100, 200, 1, 1), (200, 250, 1, 1), (400, 500, 2, 1)], SESSION)
TIMES = [0, 99, 100, 150, 200, 249, 250, 399, 400, 499, 500, 10_000]


def bars(times: list[int], unit: str = "ns") -> pl.DataFrame:
    start = pl.Series("start", times, pl.Int64).cast(pl.Datetime("ns", "UTC")).dt.cast_time_unit(unit)  # type: ignore[arg-type]
    return pl.DataFrame({"start": start, "close": [float(n) for n in range(len(times))]})


def test_each_bar_is_where_the_rows_say() -> None:
    frame = with_rth(bars(TIMES), ROWS)
    assert frame.columns == ["start", "close", "rth"]
    assert frame["rth"].to_list() == is_open(ROWS, TIMES).tolist()
    assert frame.drop("rth").equals(bars(TIMES))


def test_a_lazy_frame_stays_lazy() -> None:
    lazy = bars(TIMES).lazy().pipe(with_rth, ROWS)
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.filter("rth").select("start").collect().height == int(is_open(ROWS, TIMES).sum())


def test_other_columns_and_no_sessions() -> None:
    trades = bars(TIMES).rename({"start": "time"})
    assert with_rth(trades, ROWS, at="time")["rth"].sum() == int(is_open(ROWS, TIMES).sum())
    assert not with_rth(bars(TIMES), ROWS[:0])["rth"].any()
    assert with_rth(bars([]), ROWS).height == 0
