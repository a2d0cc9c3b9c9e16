"""What the expressions cost over a million bars and trades, each beside the plain way in the same run.

The plain way is the one that the guide began with: eager polars, a whole frame after each step, every column carried
along; for the sequential rules a loop over Python numbers. In memory both spend their time in the same kernels; of a
file the lazy plan reads the columns and rows that it needs. The file is in the page cache: no disk is measured.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from shm.frame_cache import FrameCache
from shm.indicators import Frames, Indicators

from .row import Row

ROWS = 1_000_000
QUICK_ROWS = 50_000
TICK = 0.25
CLOSE = Indicators(pl.col("close"))


def rows(quick: bool) -> Iterator[Row]:
    count, rounds = (QUICK_ROWS, 2) if quick else (ROWS, 9)
    bars, trades = _bars(count), _trades(count)
    yield from _compared(
        "four indicators, in memory", count, rounds, lambda: _lazy(bars.lazy()).collect(), lambda: _eager(bars)
    )
    with TemporaryDirectory(prefix="shardbook-bench-") as folder:
        path = Path(folder) / "bars.arrow"
        bars.write_ipc(path)
        last = bars.item(-1, "trading_day")
        yield from _compared(
            "four indicators, one session of an Arrow file",
            count,
            rounds,
            lambda: _lazy(pl.scan_ipc(path).filter(pl.col("trading_day") == last)).collect(),
            lambda: _eager(pl.read_ipc(path).filter(pl.col("trading_day") == last)),
        )
    yield from _compared(
        "RSI of the plugin",
        count,
        rounds,
        lambda: bars.lazy().select(CLOSE.rsi(14)).collect(),
        lambda: bars.lazy().select(_composed_rsi(14)).collect(),
        "put together from expressions",
    )
    yield from _compared(
        "seconds to minutes",
        count,
        rounds,
        lambda: Frames(bars.lazy()).resample("1min").collect(),
        lambda: _eager_minutes(bars),
    )
    yield from _compared(
        "profile and value area", count, rounds, lambda: _area(trades), lambda: _looped_area(trades), "a Python loop"
    )
    cache = FrameCache()
    yield from _compared(
        "profile and value area, kept",
        count,
        rounds,
        lambda: cache.fetch("area", lambda: _area(trades)),
        lambda: _area(trades),
        "computed",
    )
    yield from _compared(
        "RSI of every row, kept",
        count,
        rounds,
        lambda: cache.fetch("rsi", lambda: bars.lazy().select("start", CLOSE.rsi(14)).collect()),
        lambda: bars.lazy().select("start", CLOSE.rsi(14)).collect(),
        "computed",
    )
    yield Row("expressions", "hit rate of that cache", 100 * cache.hit_rate, "%")
    plain = bars.select("start", "close").estimated_size()
    yield Row("expressions", "bytes of its frames", cache.bytes, "B", f"two columns of the bars: {plain:,} B", plain)


def _compared(
    name: str,
    count: int,
    rounds: int,
    ours: Callable[[], pl.DataFrame],
    theirs: Callable[[], pl.DataFrame],
    other: str = "eager polars",
) -> Iterator[Row]:
    """In turn, so that what else the machine does meets both; the first round does not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for measured, make in zip(times, (ours, theirs), strict=True):
            begin_ns = time.perf_counter_ns()
            make()
            measured.append((time.perf_counter_ns() - begin_ns) / 1e6)
    our_ms, their_ms = (statistics.median(measured[1:]) for measured in times)
    yield Row("expressions", f"{name}, {count:,} rows", our_ms, "ms", f"{other}: {their_ms:.3g} ms", their_ms)


def _bars(count: int) -> pl.DataFrame:
    """One-second bars of a random walk on the grid."""
    chance = np.random.default_rng(7)
    close = 80_000 + chance.integers(-3, 4, count).cumsum()
    return pl.DataFrame(
        {
            "start": pl.Series(np.arange(count) * 1_000_000_000).cast(pl.Datetime("ns", "UTC")),
            "open": (close - 1) * TICK,
            "high": (close + 2) * TICK,
            "low": (close - 2) * TICK,
            "close": close * TICK,
            "volume": chance.integers(0, 50, count),
            "vwap": close * TICK,
            "trading_day": np.arange(count) // 23_400,
        }
    )


def _trades(count: int) -> pl.DataFrame:
    chance = np.random.default_rng(8)
    price = (80_000 + (chance.standard_normal(count) * 60).astype(np.int64)) * TICK
    return pl.DataFrame({"price": price, "size": chance.integers(1, 20, count), "side": chance.integers(0, 2, count)})


def _lazy(bars: pl.LazyFrame) -> pl.LazyFrame:
    return (
        bars.with_columns(
            CLOSE.rsi(14),
            CLOSE.atr(14),
            Indicators(pl.col("vwap")).session_vwap(),
            Indicators(CLOSE.ema(20)).rolling_zscore(50),
        )
        .filter(pl.col("zscore") > 2)
        .select("start", "rsi", "atr", "session_vwap")
    )


def _eager(bars: pl.DataFrame) -> pl.DataFrame:
    """The same, a step at a time."""
    frame = bars.with_columns(CLOSE.rsi(14))
    frame = frame.with_columns(CLOSE.atr(14))
    frame = frame.with_columns((pl.col("vwap") * pl.col("volume")).alias("paid"))
    frame = frame.with_columns(pl.col("paid").cum_sum().over("trading_day").alias("paid"))
    frame = frame.with_columns(pl.col("volume").cum_sum().over("trading_day").alias("traded"))
    frame = frame.with_columns((pl.col("paid") / pl.col("traded")).alias("session_vwap"))
    frame = frame.with_columns(CLOSE.ema(20))
    frame = frame.with_columns(pl.col("ema").rolling_mean(50).alias("mean"))
    frame = frame.with_columns(pl.col("ema").rolling_std(50).alias("deviation"))
    frame = frame.with_columns(((pl.col("ema") - pl.col("mean")) / pl.col("deviation")).alias("zscore"))
    frame = frame.filter(pl.col("zscore") > 2)
    return frame.select("start", "rsi", "atr", "session_vwap")


def _composed_rsi(length: int) -> pl.Expr:
    """Wilder's smoothing with polars alone: the mean of the first changes takes the place of the last of them."""
    change = pl.col("close").diff()
    row = pl.int_range(pl.len())

    def smoothed(changes: pl.Expr) -> pl.Expr:
        seeded = pl.when(row > length).then(changes).when(row == length).then(changes.head(length + 1).mean())
        return seeded.ewm_mean(alpha=1 / length, adjust=False)

    gain, loss = smoothed(change.clip(0)), smoothed((-change).clip(0))
    return 100 * gain / (gain + loss)


def _eager_minutes(bars: pl.DataFrame) -> pl.DataFrame:
    """A column for the minute, a frame for each part, and joins."""
    frame = bars.sort("start")
    frame = frame.filter(pl.col("volume") > 0)
    frame = frame.with_columns(pl.col("start").dt.truncate("1m").alias("minute"))
    frame = frame.with_columns((pl.col("vwap") * pl.col("volume")).alias("paid"))
    groups = frame.group_by("minute", maintain_order=True)
    ends = groups.agg(pl.col("open").first(), pl.col("close").last())
    ranges = groups.agg(pl.col("high").max(), pl.col("low").min())
    sums = groups.agg(pl.col("volume").sum(), pl.col("paid").sum())
    made = ends.join(ranges, on="minute").join(sums, on="minute")
    return made.with_columns((pl.col("paid") / pl.col("volume")).alias("vwap"))


def _area(trades: pl.DataFrame) -> pl.DataFrame:
    return Frames(Frames(trades.lazy()).volume_profile(TICK)).value_area().collect()


def _looped_area(trades: pl.DataFrame) -> pl.DataFrame:
    volumes: dict[int, int] = {}
    for price, size in trades.select("price", "size").iter_rows():
        tick = round(price / TICK)
        volumes[tick] = volumes.get(tick, 0) + size
    centre = max(volumes, key=lambda tick: volumes[tick])
    low = high = centre
    inside, wanted = volumes[centre], 0.7 * sum(volumes.values())
    while inside < wanted:
        above = volumes.get(high + 1, 0) + volumes.get(high + 2, 0)
        below = volumes.get(low - 1, 0) + volumes.get(low - 2, 0)
        if above >= below:
            inside, high = inside + above, high + 2
        else:
            inside, low = inside + below, low - 2
    return pl.DataFrame({"point_of_control": [centre * TICK], "low": [low * TICK], "high": [high * TICK]})
