"""Hot bars in words: an instrument's timeframes, and what must hold of their rows while its worker goes on."""

import time
from collections.abc import Iterator

import numpy as np

from shm.bars import HotBars
from shm.errors import LayoutError, Overrun
from shm.layout import Rows
from shm.segment import Segment

from ..table import decimals
from .report import Check, Checks, Groups


def examine(segment: Segment) -> tuple[Groups, Checks]:
    """A timeframe of which no copy is whole says so."""
    try:
        hot = HotBars(segment.path, segment.symbol)
    except LayoutError as error:
        return (), (Check("what it says of itself", str(error)),)
    return (("bars", tuple(_bars(hot))), ("trading hours", tuple(_hours(hot.hours())))), tuple(_checks(hot))


def _checks(hot: HotBars) -> Iterator[Check]:
    yield Check("table of timeframes, and scale of prices and sizes: checksums; rings follow one another")
    for t, timeframe in enumerate(hot.timeframes):
        try:
            end, rows = hot.slot(t).end, hot.unsealed(t)
        except (LayoutError, Overrun) as error:
            yield Check(f"{timeframe.name}: one of its two copies is whole", str(error))
            continue
        sealed_to = hot.sealed_to(t)  # after the copy: it only grows
        torn = max(end - sealed_to, 0) - int((rows["number"] >= sealed_to).sum())
        whole = f"{timeframe.name}: {len(rows):,} hot rows with their checksums"
        yield Check(whole, f"{torn:,} torn" if torn > 0 else "")
        wrong = int(_impossible(rows).sum())
        yield Check(f"{timeframe.name}: prices, volumes and times of a bar fit", f"{wrong:,} rows" if wrong else "")
    hours = hot.hours()
    in_order = (hours["open_ns"] < hours["close_ns"]).all() and (hours["close_ns"][:-1] <= hours["open_ns"][1:]).all()
    yield Check("trading hours: in order, and apart", "" if in_order else "they are not")


def _bars(hot: HotBars) -> Iterator[tuple[str, str]]:
    scale = hot.scale
    if not scale.known:
        yield "price step", "not known before a first contract"
    else:
        yield "price step", f"{scale.tick_size:,.{decimals(scale.price_increment, scale.price_scale)}f}"
        yield "size step", f"{scale.size(1):,.{decimals(scale.size_increment, scale.size_scale)}f}"
    for t, timeframe in enumerate(hot.timeframes):
        try:
            slot = hot.slot(t)
        except (LayoutError, Overrun):
            yield timeframe.name, "no copy is whole"
            continue
        said = f"row {slot.end:,} is next, sealed to {hot.sealed_to(t):,}, {len(slot.bars)} forming"
        counted = (f"{slot.lost:,} lost" if slot.lost else "", f"{slot.unplaced:,} unplaced" if slot.unplaced else "")
        yield timeframe.name, ", ".join(part for part in (said, *counted) if part)


def _hours(rows: Rows) -> Iterator[tuple[str, str]]:
    yield "rows", f"{len(rows):,}, {(rows['rth'] == 1).sum():,} of them regular hours"
    if len(rows):
        opens, closes = (time.gmtime(int(rows[name][i]) // 10**9) for name, i in (("open_ns", 0), ("close_ns", -1)))
        yield "reach", f"{time.strftime('%Y-%m-%d %H:%M', opens)} to {time.strftime('%Y-%m-%d %H:%M', closes)} UTC"


def _impossible(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    low, high = np.minimum(rows["open"], rows["close"]), np.maximum(rows["open"], rows["close"])
    wrong: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
        (rows["low"] > low)
        | (rows["high"] < high)
        | (rows["buy_volume"] + rows["sell_volume"] > rows["volume"])
        | (rows["end_ns"] < rows["start_ns"])
    )
    return wrong
