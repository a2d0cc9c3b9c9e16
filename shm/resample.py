"""Bars of a longer timeframe from shorter ones, on lazy frames, as if they had been made of the trades themselves."""

import numpy as np
import numpy.typing as npt
import polars as pl

from .layout import BarFlag
from .timeframe import Timeframe, Unit, parse
from .trading_days import periods

_CLOCK = {Unit.SECOND: "s", Unit.MINUTE: "m", Unit.HOUR: "h"}
_SESSION = {Unit.DAY: "1d", Unit.WEEK: "1w", Unit.MONTH: "1mo"}
_PRICES = ("open", "high", "low", "close")
_TOLD = ("buy_volume", "sell_volume", "trades")  # which a bar may not tell
_ANY = BarFlag.FORMING | BarFlag.REPAIRED | BarFlag.SUSPECT | BarFlag.JOINED
_ALL = (BarFlag.COMPLETE, BarFlag.NO_TRADE)
_PERIOD = "_period"


def resample(bars: pl.LazyFrame, timeframe: str, sessions: npt.NDArray[np.void] | None = None) -> pl.LazyFrame:
    """Bars of `timeframe` (any name that shm.timeframe knows) from shorter ones; periods without a bar give none.

    Seconds, minutes and hours are cut by the clock, in UTC: a bar holds those that start at or after its start and
    before its end. Days, weeks (from Monday) and months are cut by `trading_day`, which the frame then needs; they have
    the start and trading day of their first bar and the end of their last. With `sessions` (layout.SESSION rows, as
    `shm.Bars.hours` has them) they have those of their first and last session instead, as a worker's bars do, wherever
    these rows hold the whole of a day, week or month.

    `bars` needs start (a Datetime), open, high, low, close and volume, one row a bar; of end, buy_volume, sell_volume,
    trades, vwap, trading_day and flags it may have any, and those come out again.

    Volumes and trades are added. Bars without volume have a say in prices only where there is no other, because their
    flat price is none that was traded. `vwap` is weighted by volume, and the last one where there is none, and
    `trading_day` is the first bar's. Where bars with volume have null in buy_volume, sell_volume, trades or vwap, which
    the venue does not tell, the result is that of the others, and null if there is no other. A bar is forming,
    repaired, suspect or joined if any in it is, complete or without trade if all are. Whether bars are missing at the
    end of the last one is not known here: it is what there is so far.

    Raises ValueError for a name that is no timeframe of time, and for a frame that lacks a column; a bar that lacks the
    trading day which it needs raises it when the frame is collected.
    """
    wanted = parse(timeframe)
    if not wanted.is_time:
        raise ValueError(f"{wanted.name!r} is not cut by time: bars by count cannot be made of other bars")
    names = bars.collect_schema().names()
    needed = {"start", "open", "high", "low", "close", "volume"} | ({"trading_day"} if wanted.is_session else set())
    if missing := needed - set(names):
        raise ValueError(f"the frame has no {', '.join(sorted(missing))}: bars of {wanted.name} are made of it")
    index = "trading_day" if wanted.is_session else "start"
    order = ("trading_day", "start") if wanted.is_session else ("start",)
    made = _folded(names)
    folded = (
        (bars.map_batches(_with_days) if wanted.is_session else bars)
        .sort(order)  # the streaming engine takes it on trust
        .with_columns(pl.when(pl.col("volume") > 0).then(pl.col(_PRICES)).name.prefix("_traded_"))
        .group_by_dynamic(index, every=_every(wanted))
        .agg(*(expression.alias(f"_{name}") for name, expression in made.items()))
        .select(_label(name, wanted, index) for name in names if name in made or name == index)
    )
    return folded if sessions is None or not wanted.is_session else _bounded(folded, wanted, sessions)


def _bounded(folded: pl.LazyFrame, wanted: Timeframe, sessions: npt.NDArray[np.void]) -> pl.LazyFrame:
    """Days, weeks or months with the bounds that their sessions give them, as workers/bars.py has them."""
    whole = periods(sessions, wanted.unit)
    if wanted.unit != Unit.DAY:
        whole = whole[1:-1]  # the rows may begin, or end, within it
    bounds = pl.LazyFrame(
        {
            "start": pl.Series(whole["open_ns"]).cast(pl.Datetime("ns", "UTC")),
            "end": pl.Series(whole["close_ns"]).cast(pl.Datetime("ns", "UTC")),
            "trading_day": pl.Series(whole["trading_day"]).cast(pl.Date),
        }
    )
    period = pl.col("trading_day").dt.truncate(_every(wanted)).alias(_PERIOD)
    schema = folded.collect_schema()
    bounded = [
        pl.coalesce(pl.col(f"{name}_whole"), name).cast(schema[name]).alias(name)
        for name in ("start", "end", "trading_day")
        if name in schema
    ]
    return (
        folded.with_columns(period)
        .join(bounds.with_columns(period), on=_PERIOD, how="left", suffix="_whole", maintain_order="left")
        .with_columns(bounded)
        .select(schema.names())
    )


def _with_days(bars: pl.DataFrame) -> pl.DataFrame:
    """The same bars, each of which has a trading day; looked at once a frame. Raises ValueError."""
    if missing := bars["trading_day"].null_count():
        raise ValueError(
            f"{missing:,} of {len(bars):,} bars have no trading_day: fill it in, or leave them out with"
            ' .filter(pl.col("trading_day").is_not_null())'
        )
    return bars


def _every(wanted: Timeframe) -> str:
    return _SESSION[wanted.unit] if wanted.is_session else f"{wanted.amount}{_CLOCK[wanted.unit]}"


def _label(name: str, wanted: Timeframe, index: str) -> pl.Expr:
    """A column of the result: folded, or for bars by the clock the cut itself."""
    if name == "start" and index == "start":
        return pl.col("start")
    if name == "end" and index == "start":
        return (pl.col("start") + pl.duration(nanoseconds=wanted.length_ns)).alias("end")
    return pl.col(f"_{name}").alias(name)


def _folded(names: list[str]) -> dict[str, pl.Expr]:
    """Each column of the result over the bars of one period."""
    volume = pl.col("volume")
    traded = {name: pl.col(f"_traded_{name}") for name in _PRICES}
    priced = volume.filter((volume > 0) & pl.col("vwap").is_not_null())
    weighted = (pl.col("vwap") * volume).filter(volume > 0).sum() / priced.sum()
    made = {
        "start": pl.col("start").first(),
        "end": pl.col("end").last(),
        "open": pl.coalesce(traded["open"].drop_nulls().first(), pl.col("open").drop_nulls().first()),
        "high": pl.coalesce(traded["high"].max(), pl.col("high").max()),
        "low": pl.coalesce(traded["low"].min(), pl.col("low").min()),
        "close": pl.coalesce(traded["close"].drop_nulls().last(), pl.col("close").drop_nulls().last()),
        "volume": volume.sum(),
        **{name: _told(name) for name in _TOLD},
        "vwap": pl.when(volume.sum() > 0)
        .then(pl.when(priced.sum() > 0).then(weighted))
        .otherwise(pl.col("vwap").last()),
        "trading_day": pl.col("trading_day").first(),
        "flags": _flags(),
    }
    return {name: expression for name, expression in made.items() if name in names}


def _told(name: str) -> pl.Expr:
    """The sum of what is known of it; null if there was volume and no bar with volume tells it."""
    told, volume = pl.col(name), pl.col("volume")
    return pl.when(told.filter(volume > 0).count() > 0).then(told.sum()).when(volume.sum() == 0).then(told.sum())


def _flags() -> pl.Expr:
    flags = pl.col("flags")
    return flags.bitwise_or() & int(_ANY) | flags.bitwise_and() & int(_ALL[0] | _ALL[1])
