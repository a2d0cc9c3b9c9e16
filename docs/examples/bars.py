"""A notebook in a file: attach, scan, two chained expressions, collect; and the same with no engine running.

    python docs/examples/bars.py MNQ 1s          # of the running engine
    python docs/examples/bars.py MNQ 1s DATA     # of its data folder, whether one runs or not

Editors that know `# %%` run it cell by cell.
"""

# %% Where the bars are
import sys
from pathlib import Path

import polars as pl

import shm.indicators  # noqa: F401  gives expressions and frames the name `shard`
from shm import Bars, ShardbookError, attach

symbol, timeframe, *data = sys.argv[1:] or ["MNQ", "1s"]
try:
    bars = Bars(Path(data[0]), symbol, timeframe) if data else attach()[symbol].bars(timeframe)
except ShardbookError as error:
    sys.exit(f"bars.py: {error}")

# %% The newest, as numpy rows: the closed ones, and what forms
print(bars.last(3)[["start_ns", "close", "volume", "revision"]])
print(f"{len(bars.forming())} forming, {bars.lost} lost")

# %% All of them, hot or years old, as one lazy frame: nothing is read yet
everything = bars.scan()

# %% Two chained expressions
close = pl.col("close")
trend = everything.with_columns(
    close.shard.ema(5).shard.rolling_zscore(5).alias("trend"),
    (pl.col("buy_volume") - pl.col("sell_volume")).shard.flow_imbalance(5),
)

# %% Collected: polars reads the columns that this needs, and computes all of it once
print(trend.select("start", "close", "trend", "flow_imbalance").tail(5).collect())

# %% Minutes out of what there is
print(everything.shard.resample("1min").select("start", "open", "close", "volume", "trades").tail(3).collect())
