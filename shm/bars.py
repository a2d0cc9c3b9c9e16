"""Bars of one timeframe from the reader's side: the hot rows that are closed, and those that still form.

The file lies in the data folder and is mapped read-only. A timeframe's newest whole slot says how many rows are closed;
a row is believed if it carries the number that was asked for and its checksum fits, so one that the worker overwrote
meanwhile, which it does only once that is sealed, is seen as gone and never as another.
"""

import difflib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import layout
from .bar_rows import newest, whole_bars
from .errors import LayoutError, Overrun, UnknownTimeframe
from .layout import BAR, BARS_SCALE, BarFlag, Kind, Rows
from .page import MAX_TRIES, fence
from .segment import Segment, attach
from .timeframe import Timeframe, Unit, parse
from .values import NAN, Scale

FILE_NAME = "hot"

PRICED_BAR = np.dtype(
    [
        ("start_ns", "<i8"),  # exchange time; the key
        ("end_ns", "<i8"),
        *((name, "<f8") for name in ("open", "high", "low", "close")),  # nan in a bar that is marked to be empty
        *((name, "<f8") for name in ("volume", "buy_volume", "sell_volume")),
        ("trades", "<i8"),
        ("vwap", "<f8"),  # nan without a trade
        ("flags", "<u4"),  # layout.BarFlag
        ("revision", "<u4"),
        ("trading_day", "<i4"),  # days since 1970-01-01
        ("spare", "<u4"),
        ("number", "<i8"),  # of its row; -1 of a bar that forms
        ("sequence", "<i8"),
        *((f"{name}_ticks", "<i8") for name in ("open", "high", "low", "close")),
        *((f"{name}_units", "<i8") for name in ("volume", "buy_volume", "sell_volume")),
        ("notional", "<i8"),  # ticks times units: over volume_units it is the vwap in ticks
    ]
)


class Slot(NamedTuple):
    """A timeframe as it was after one ring record."""

    end: int  # the number of the next closed row
    lost: int  # closed bars for which there was no room
    unplaced: int  # trades for which there was no bar
    through: int  # ring sequence
    bars: Rows  # BAR, those that form, the older first


class HotBars:
    """All timeframes of one mapped file."""

    def __init__(self, path: Path, symbol: str) -> None:
        """Raises LayoutError for what is no whole file of this instrument's bars; FileNotFoundError passes."""
        self.path = path
        self.segment: Segment = attach(path, Kind.BARS, symbol=symbol)
        self._inode = os.stat(path).st_ino
        self._control = self.segment.array("control")
        self._slots = self.segment.array("slots")
        self._rows = self.segment.array("rows")
        self._frames = [tuple(int(value) for value in frame.item()[:5]) for frame in self.segment.array("frames")]
        end = 0
        for unit, amount, first, rows, number in self._frames:
            whole = unit in tuple(Unit) and amount > 0 and rows > 0 and rows & (rows - 1) == 0
            if not whole or first != end or number < 0:
                raise LayoutError(f"{path} has a damaged table of timeframes")
            end += rows
        if end != len(self._rows):
            raise LayoutError(f"{path} has a damaged table of timeframes")
        self.timeframes = tuple(Timeframe(Unit(frame[0]), frame[1]) for frame in self._frames)

    @property
    def replaced(self) -> bool:
        """Whether another file has that name now, or none."""
        try:
            return os.stat(self.path).st_ino != self._inode
        except FileNotFoundError:
            return True

    @property
    def scale(self) -> Scale:
        return Scale(*self._control[BARS_SCALE : BARS_SCALE + 4].tolist())

    def sealed_to(self, t: int) -> int:
        """Rows of timeframe `t` below that number are in sealed files."""
        return int(self._control[layout.sealed_line(t)])

    def slot(self, t: int) -> Slot:
        """What timeframe `t` is now. Raises Overrun if it is written faster than it can be copied, LayoutError if
        neither copy of it is whole."""
        for _ in range(MAX_TRIES):
            before = self._slots[t]["begin"].tobytes()
            fence()
            pair = self._slots[t].copy()
            i = newest(pair)
            if i >= 0:
                bars = pair[i]["bars"]
                bars = bars[bars["flags"] != 0]
                end, lost, unplaced, through = (int(pair[i][n]) for n in ("count", "lost", "unplaced", "through"))
                return Slot(end, lost, unplaced, through, bars[np.argsort(bars["start_ns"], kind="stable")])
            if not any(pair["begin"]):
                return Slot(self._frames[t][4], 0, 0, 0, np.zeros(0, BAR))
            fence()
            if self._slots[t]["begin"].tobytes() == before:  # no commit began meanwhile: one must be whole
                raise LayoutError(f"{self.path} is damaged: no copy of its {self.timeframes[t].name} bars is whole")
        raise Overrun(f"{self.timeframes[t].name} bars are written faster than they can be copied; try again")

    def rows(self, t: int, first: int, last: int) -> Rows:
        """Closed rows of timeframe `t` of the numbers `first` to `last` (exclusive) that are still there and whole."""
        _, _, begin, size, first_number = self._frames[t]
        numbers = np.arange(max(first, last - size, first_number), last)
        copied = self._rows[begin + numbers % size]
        kept: Rows = copied[(copied["number"] == numbers) & whole_bars(copied)]
        return kept


class Bars:
    """Bars of one timeframe of one instrument. Every read is of now; a file that was made anew is found by itself."""

    __slots__ = ("_folder", "_hot", "_symbol", "_t", "timeframe")

    def __init__(self, data_folder: Path, symbol: str, name: str) -> None:
        """`name`: any name of the timeframe, see shm.timeframe. Raises UnknownTimeframe and LayoutError."""
        self._folder = data_folder / "bars" / symbol
        self._symbol = symbol
        try:
            self.timeframe = parse(name)
        except ValueError as error:
            raise UnknownTimeframe(str(error)) from None
        self._map()

    def __repr__(self) -> str:
        return f"Bars({self._symbol!r}, {self.timeframe.name!r})"

    @property
    def lost(self) -> int:
        """Closed bars for which the hot rows had no room, since the file was begun."""
        return self._file().slot(self._t).lost

    @property
    def unplaced(self) -> int:
        """Trades that are in no bar of this timeframe: they were too old, or no session table told their day."""
        return self._file().slot(self._t).unplaced

    def forming(self) -> Rows:
        """PRICED_BAR rows of the bars that are not closed: none, one, or two, the older first."""
        hot = self._file()
        return priced(hot.slot(self._t).bars, hot.scale)

    def last(self, count: int) -> Rows:
        """PRICED_BAR rows of the newest closed bars, oldest first, each once and as its highest revision has it; at
        most `count`, and at most what is hot."""
        if count < 0:
            raise ValueError(f"the number of bars wanted is {count}; it cannot be negative")
        hot = self._file()
        end = hot.slot(self._t).end
        wanted = count
        while True:
            rows = hot.rows(self._t, end - wanted, end)
            chosen = highest(rows)
            if len(chosen) >= count or len(rows) < wanted:
                return priced(chosen[len(chosen) - min(count, len(chosen)) :], hot.scale)
            wanted *= 2

    def _file(self) -> HotBars:
        if self._hot.replaced:
            self._map()
        return self._hot

    def _map(self) -> None:
        try:
            hot = HotBars(self._folder / FILE_NAME, self._symbol)
        except FileNotFoundError:
            raise UnknownTimeframe(
                f"{self._symbol} has no bars: set timeframes in its symbol file, or wait for its worker's first start"
            ) from None
        if self.timeframe not in hot.timeframes:
            names = [each.name for each in hot.timeframes]
            near = difflib.get_close_matches(self.timeframe.name, names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}" if near else f"it has {', '.join(names)}"
            raise UnknownTimeframe(
                f"{self._symbol} has no {self.timeframe.name} bars: {hint}, or add them to its symbol file"
            )
        self._hot = hot
        self._t = hot.timeframes.index(self.timeframe)


def highest(rows: Rows) -> Rows:
    """Of BAR rows in the order of their numbers those that count, by start: of one start the last has the highest
    revision."""
    _, places = np.unique(rows["start_ns"][::-1], return_index=True)
    return rows[len(rows) - 1 - places]


def priced(rows: Rows, scale: Scale) -> Rows:
    """BAR rows with their prices and sizes as floats."""
    made = np.zeros(len(rows), PRICED_BAR)
    if not len(rows):
        return made
    for name in ("start_ns", "end_ns", "trades", "flags", "revision", "trading_day", "number", "sequence", "notional"):
        made[name] = rows[name]
    made["number"][(rows["flags"] & BarFlag.FORMING) != 0] = -1
    empty = (rows["trades"] == 0) & (rows["close"] == 0)
    for name in ("open", "high", "low", "close"):
        made[f"{name}_ticks"] = rows[name]
        made[name] = np.where(empty, NAN, scale.prices(rows[name]))
    for name in ("volume", "buy_volume", "sell_volume"):
        made[f"{name}_units"] = rows[name]
        made[name] = scale.sizes(rows[name])
    some = rows["volume"] != 0
    mean = np.divide(rows["notional"], rows["volume"], out=np.full(len(rows), NAN), where=some)
    made["vwap"] = mean * (scale.price_increment / 10**scale.price_scale)
    return made
