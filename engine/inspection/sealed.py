"""A sealed bar file in words, and every check that can be made of one. It reads the whole file."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from shm.bars_frame import check_schema, key
from shm.errors import LayoutError
from shm.sealed import FETCHED, Sealed, open_sealed, verify

from ..table import decimals
from .report import Check, Groups, Report, first_of
from .words import wall


def examine(path: Path) -> Report:
    """Describe and check a sealed bar file. Raises LayoutError for what is none; FileNotFoundError passes."""
    file = open_sealed(path)
    return Report(f"{path}", _groups(file), tuple(checks(file)))


def _groups(file: Sealed) -> Groups:
    scale = file.scale
    price = scale.price_increment / 10**scale.price_scale
    size = scale.size_increment / 10**scale.size_scale
    header = (
        ("kind", "bars that the venue told" if file.name.series == FETCHED else "sealed bars"),
        ("symbol", file.symbol),
        ("timeframe", file.timeframe.name),
        ("bytes", f"{file.bytes:,}"),
        ("written", wall(file.modified_wall_ns)),
        ("price step", f"{price:,.{decimals(scale.price_increment, scale.price_scale)}f}"),
        ("size step", f"{size:,.{decimals(scale.size_increment, scale.size_scale)}f}"),
    )
    rows = (
        ("bars", f"{file.rows:,} in {len(file.batches):,} batches"),
        ("row numbers", f"{file.name.first:,} to {file.name.last - 1:,}"),
        ("first start", wall(file.first_start_ns)),
        ("last start", wall(file.last_start_ns)),
    )
    return (("header", header), ("rows", rows))


def checks(file: Sealed) -> Iterator[Check]:
    """What was checked on open holds already."""
    yield Check("footer, seal, table, head and batch headers: their checksums, and all sizes")
    try:
        check_schema(file)
    except LayoutError as error:
        yield Check("columns: those of bars", str(error))
        return
    yield Check("columns: those of bars")
    faults = [f"batch {i}: {fault}" for i, fault in verify(file) if fault]
    yield Check(f"checksums of batches: {len(file.batches) - len(faults):,} hold", first_of(faults))
    if not faults:
        yield from _row_checks(file, pl.read_ipc(file.path))


def _row_checks(file: Sealed, bars: pl.DataFrame) -> Iterator[Check]:
    by = pl.struct(key(file.timeframe))
    number, inner = pl.col("number"), pl.min_horizontal("open", "close")
    wrong = bars.select(
        order=(pl.col("start").diff() < pl.duration()).sum(),
        twice=pl.len() - by.n_unique(),
        outside=((number < file.name.first) | (number >= file.name.last)).sum(),
        prices=((pl.col("low") > inner) | (pl.max_horizontal("open", "close") > pl.col("high"))).sum(),
        volumes=(pl.col("buy_volume") + pl.col("sell_volume") > pl.col("volume")).sum(),
        ends=(pl.col("end") < pl.col("start")).sum(),
    ).row(0, named=True)
    for name, what in (
        ("order", "rows are in order of their starts"),
        ("twice", "no key is twice"),
        ("outside", "row numbers are in the range of the file"),
        ("prices", "low <= open, close <= high"),
        ("volumes", "buy and sell volume are not more than volume"),
        ("ends", "no bar ends before it starts"),
    ):
        yield Check(what, f"{wrong[name]:,} rows" if wrong[name] else "")
