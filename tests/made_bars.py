"""Bars made up at random, as the worker's hot file would hold them, and what a reader must see of them."""

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.keeper.sealing import Subject
from shm.layout import BAR, BarFlag
from shm.timeframe import Timeframe, parse
from shm.values import Scale

Rows = npt.NDArray[np.void]

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
BEGIN_NS = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * SECOND_NS  # a Monday
QUARTERS = Scale(price_scale=2, price_increment=25, size_scale=0, size_increment=1)


def subject(timeframe: str = "1min", scale: Scale = QUARTERS) -> Subject:
    return Subject("MNQ", parse(timeframe), scale)


def plain(count: int, first: int = 0, start_ns: int = BEGIN_NS, step_ns: int = 60 * SECOND_NS) -> Rows:
    """`count` bars, one after the other, none revised; quick to make, for large files."""
    rows = np.zeros(count, BAR)
    rows["number"] = np.arange(first, first + count)
    rows["start_ns"] = start_ns + np.arange(count) * step_ns
    rows["end_ns"] = rows["start_ns"] + step_ns
    chance = np.random.default_rng(first)
    rows["open"], rows["close"] = chance.integers(80_000, 80_100, (2, count))
    rows["high"], rows["low"] = np.maximum(rows["open"], rows["close"]) + 1, np.minimum(rows["open"], rows["close"]) - 1
    rows["buy_volume"], rows["sell_volume"] = chance.integers(1, 500, (2, count))
    rows["volume"] = rows["buy_volume"] + rows["sell_volume"]
    rows["trades"] = rows["volume"]
    rows["notional"] = rows["volume"] * rows["open"]
    rows["flags"] = BarFlag.COMPLETE
    rows["sequence"] = rows["number"] + (1 << 40)
    rows["trading_day"] = rows["start_ns"] // DAY_NS
    return rows


def repaired(count: int, first: int = 0) -> Rows:
    """Bars as the venue tells them: volume, and nothing of the trades in it."""
    rows = plain(count, first)
    for name in ("buy_volume", "sell_volume", "trades", "notional", "sequence"):
        rows[name] = 0
    rows["flags"] = BarFlag.COMPLETE | BarFlag.REPAIRED
    return rows


def marked(count: int, first: int = 0) -> Rows:
    """Bars without a trade, and with no prices."""
    rows = np.zeros(count, BAR)
    for name in ("number", "start_ns", "end_ns", "sequence", "trading_day"):
        rows[name] = plain(count, first)[name]
    rows["flags"] = BarFlag.COMPLETE | BarFlag.NO_TRADE
    return rows


def revised(
    chance: random.Random, count: int, first: int = 0, start_ns: int = BEGIN_NS, step_ns: int = 3600 * SECOND_NS
) -> Rows:
    """`count` rows in the order a worker appends them: one of five is an older bar again, with a higher revision."""
    rows = plain(count, first, start_ns, step_ns)
    revision: dict[int, int] = {}
    newest = start_ns
    for i in range(count):
        if revision and chance.random() < 0.2:
            start = chance.choice(list(revision)[-40:])
            revision[start] += 1
        else:
            newest += step_ns * chance.choice((1, 1, 1, 2, 30))
            start = newest
            revision[start] = 0
        rows["start_ns"][i], rows["end_ns"][i] = start, start + step_ns
        rows["revision"][i] = revision[start]
    return rows


def highest(rows: Iterable[Any], timeframe: Timeframe) -> list[tuple[int, int, int]]:
    """(start, number, revision) of what counts among BAR rows, by key: the plain model of `keep_highest`."""
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for row in rows:
        start, number, revision = int(row["start_ns"]), int(row["number"]), int(row["revision"])
        by = (start, 0) if timeframe.is_time else (start, number)
        best[by] = max(best.get(by, (-1, -1)), (revision, number))
    return [(by[0], number, revision) for by, (revision, number) in sorted(best.items())]


def seen(bars: pl.LazyFrame | pl.DataFrame) -> list[tuple[int, int, int]]:
    """(start, number, revision) of a frame's rows, in its order."""
    return bars.lazy().select(pl.col("start").to_physical(), "number", "revision").collect().rows()


def files(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.iterdir())
