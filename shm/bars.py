"""Bars of one timeframe from the reader's side: those that form, those that are closed, and those of years ago.

The hot file lies in the data folder and is mapped read-only. A timeframe's newest whole slot says how many rows are
closed; a row is believed if it carries the number that was asked for and its checksum fits, so one that the worker
overwrote meanwhile, which it does only once that is sealed, is seen as gone and never as another.

Hot rows are copied first and the sealed files listed after: what is sealed in between is then in both, and counts once.
The newest bars are plain numpy as long as the hot rows alone can tell them; polars comes with the first frame.
"""

import difflib
import operator
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from . import layout
from .bar_rows import frames_fault, newest, scale_checksum, unpriced, untold, whole_bars
from .errors import LayoutError, NoHours, Overrun, UnknownTimeframe
from .layout import BAR, BARS_SCALE, BARS_SCALE_CHECKSUM, SESSION, BarFlag, Kind, Rows
from .moments import Moment
from .page import MAX_TRIES, fence
from .sealed import FETCHED
from .sealed_folder import SealedFolder
from .segment import Segment, attach
from .timeframe import Timeframe, Unit, parse
from .values import NAN, Scale

if TYPE_CHECKING:
    import polars as pl

    from .bars_frame import Hot
    from .frame_cache import FrameCache

FILE_NAME = "hot"
ASIDE = f"{FILE_NAME}.aside-"  # and a number: a file that another took the place of

_ALL = 1 << 62  # more than there can be bars

View = Literal["eth", "rth"]  # all of trading, or what of it lies in regular hours

PRICED_BAR = np.dtype(
    [
        ("start_ns", "<i8"),  # exchange time; the key
        ("end_ns", "<i8"),
        *((name, "<f8") for name in ("open", "high", "low", "close")),  # nan in a bar that is marked to be empty
        ("volume", "<f8"),
        *((name, "<f8") for name in ("buy_volume", "sell_volume")),  # nan in a bar of the venue's
        ("trades", "<i8"),  # 0 beside a volume: not known, as of the venue's bars
        ("vwap", "<f8"),  # nan without a trade, and where it is not known
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
        self._sessions = self.segment.array("sessions")
        self._frames = [tuple(int(value) for value in frame.item()[:5]) for frame in self.segment.array("frames")]
        if fault := frames_fault(self.segment.array("frames"), len(self._rows)):
            raise LayoutError(f"{path}: {fault}")
        self.timeframes = tuple(Timeframe(Unit(frame[0]), frame[1]) for frame in self._frames)
        self._scale = Scale(0, 0, 0, 0)
        _ = self.scale  # a damaged one is told now

    @property
    def replaced(self) -> bool:
        """Whether another file has that name now, or none."""
        try:
            return os.stat(self.path).st_ino != self._inode
        except FileNotFoundError:
            return True

    @property
    def scale(self) -> Scale:
        """Raises LayoutError if its checksum does not fit. Once it is known it stays: another makes a new file."""
        for _ in range(MAX_TRIES):
            if self._scale.known:
                break
            words = self._control[BARS_SCALE : BARS_SCALE_CHECKSUM + 1].tolist()
            if words[-1] == scale_checksum(words[:-1]):
                self._scale = Scale(*words[:-1])
                break
        else:
            raise LayoutError(f"{self.path}: its scale of prices and sizes is damaged: its checksum does not fit")
        return self._scale

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

    def unsealed(self, t: int) -> Rows:
        """All closed rows of timeframe `t` from `sealed to` on; whoever lists the sealed files after it misses none.

        A row that is not whole although nothing was sealed meanwhile is one that a power cut tore: it is left out.
        Raises Overrun as `slot` does.
        """
        for _ in range(MAX_TRIES):
            sealed_to = self.sealed_to(t)
            fence()
            end = self.slot(t).end
            rows = self.rows(t, sealed_to, end)
            fence()
            if len(rows) == end - sealed_to or self.sealed_to(t) == sealed_to:
                return rows
        raise Overrun(f"{self.timeframes[t].name} bars are sealed faster than they can be copied; try again")

    def newest(self, t: int, count: int) -> Rows:
        """The newest closed bars, by start and each as its highest revision has it: `count`, or as many as the ring
        alone can tell, sealed rows that are still in it too.

        Rows of revision 0 are in the order of their starts, and a late row is of a bar before the newest of them. So
        after a row of revision 0 no bar that starts at or after it is missing, however old the late rows between are.
        """
        end = self.slot(t).end
        wanted = count
        while True:
            rows = self.rows(t, end - wanted, end)
            in_turn = np.flatnonzero(rows["revision"] == 0)
            sure = rows["start_ns"] >= (rows["start_ns"][in_turn[0]] if len(in_turn) else layout.NEVER_NS)
            chosen = highest(rows[sure])
            if len(chosen) >= count or wanted > self._frames[t][3]:
                return chosen[len(chosen) - min(count, len(chosen)) :]
            wanted *= 2

    def hours(self) -> Rows:
        """The trading hours that the worker was told, as layout.SESSION rows by `open_ns`; none before it was."""
        for _ in range(MAX_TRIES):
            pair = self._sessions.copy()
            i = newest(pair)
            if i >= 0:
                rows: Rows = pair[i]["rows"][: int(pair[i]["count"])]
                return rows
            if not any(pair["begin"]):
                break
        return np.zeros(0, SESSION)


class Bars:
    """Bars of one timeframe of one instrument. Every read is of now; a file that was made anew is found by itself.

    It needs no engine: what the data folder holds is read, hot rows or sealed files or both.
    """

    __slots__ = ("_folder", "_hot", "_sealed", "_symbol", "_t", "timeframe")

    def __init__(self, data_folder: Path | str, symbol: str, name: str) -> None:
        """`name`: any name of the timeframe, see shm.timeframe. Raises UnknownTimeframe and LayoutError."""
        self._folder = Path(data_folder) / "bars" / symbol
        self._symbol = symbol
        try:
            self.timeframe = parse(name)
        except ValueError as error:
            raise UnknownTimeframe(str(error)) from None
        self._sealed = SealedFolder(self._folder / self.timeframe.name, self.timeframe, symbol)
        self._map()

    def __repr__(self) -> str:
        return f"Bars({self._symbol!r}, {self.timeframe.name!r})"

    @property
    def lost(self) -> int:
        """Closed bars for which the hot rows had no room, since the file was begun."""
        hot = self._file()
        return hot.slot(self._t).lost if hot else 0

    @property
    def unplaced(self) -> int:
        """Trades that are in no bar of this timeframe: they were too old, or no session table told their day."""
        hot = self._file()
        return hot.slot(self._t).unplaced if hot else 0

    @property
    def hours(self) -> Rows:
        """The trading hours that are stored with the bars: layout.SESSION rows by `open_ns`, some months around now.
        `rth` is 1 in those that are regular hours. Empty before the worker was told any, and without hot rows."""
        hot = self._file()
        return hot.hours() if hot else np.zeros(0, SESSION)

    @property
    def merged(self) -> "FrameCache":
        """The frames that `to_polars` keeps, of all bars of this process: `hits`, `misses`, `hit_rate`, `bytes`."""
        from .bars_frame import MERGED

        return MERGED

    def forming(self) -> Rows:
        """PRICED_BAR rows of the bars that are not closed: none, one, or two, the older first."""
        hot = self._file()
        return priced(hot.slot(self._t).bars, hot.scale) if hot else np.zeros(0, PRICED_BAR)

    def last(self, count: int) -> Rows:
        """PRICED_BAR rows of the newest closed bars, oldest first, each once and as its highest revision has it; at
        most `count`.

        As long as the hot rows alone can tell nothing else is read; where bars of the venue's reach into that time, or
        `count` goes beyond it, sealed files are, with polars. The integers beside the floats are in the newest tick.
        """
        try:
            count = min(operator.index(count), _ALL)
        except TypeError:
            raise TypeError(f"the number of bars wanted is a whole number, not {count!r:.40}") from None
        if count < 0:
            raise ValueError(f"the number of bars wanted is {count}; it cannot be negative")
        hot = self._file()
        if hot is None:
            return self._last_stored(count, None)
        rows = hot.newest(self._t, count)
        found = self._sealed.listing()
        fetched_ns = max((file.last_start_ns for file in found.read if file.name.series == FETCHED), default=None)
        if len(rows) == count and (count == 0 or fetched_ns is None or fetched_ns < rows["start_ns"][0]):
            return priced(rows, hot.scale)
        if not found.read:
            rows = highest(hot.unsealed(self._t))
            return priced(rows[len(rows) - min(count, len(rows)) :], hot.scale)
        return self._last_stored(count, hot)

    def scan(self, start: Moment | None = None, end: Moment | None = None, *, view: View = "eth") -> "pl.LazyFrame":
        """All closed bars as one lazy frame with the columns of `shm.bars_frame.schema`, or those that start in
        [start, end): sealed, repaired and hot, by start, each once, as its highest revision has it.

        A datetime without a zone is UTC, a date its midnight in UTC, an int is nanoseconds since 1970; TypeError for
        anything else. The hot rows are those of this moment, and the frame is to be collected within an hour.
        `view="rth"` has the bars that begin in regular hours, of the time that `hours` reaches; it raises NoHours where
        none are stored. Files that are damaged are left out with a DamagedBars warning, and one comes where a file is
        missing. Raises Overrun as a book does.
        """
        return self._plan(start, end, view, None)

    def to_polars(
        self, start: Moment | None = None, end: Moment | None = None, *, view: View = "eth"
    ) -> "pl.DataFrame":
        """`scan(start, end)` collected. Where sealed bars were merged with repaired ones the result of that is kept,
        so that the next who asks has it sooner: see `merged`."""
        return self._plan(start, end, view, self.merged).collect()

    def _plan(
        self, start: Moment | None, end: Moment | None, view: View, merged: "FrameCache | None"
    ) -> "pl.LazyFrame":
        from . import bars_frame

        if view not in ("eth", "rth"):
            raise ValueError(f'{view!r} is no view of trading hours: "eth" is all of them, "rth" the regular ones')
        start_ns, end_ns = bars_frame.bounds(start, end)
        regular = self._regular_hours() if view == "rth" else None
        if regular is not None:
            start_ns = max(start_ns, int(regular["open_ns"][0]))
            end_ns = min(end_ns, int(regular["close_ns"][-1]))
        hot = self._unsealed(self._file())
        found = self._sealed.listing()
        bars_frame.warn_of(found, stacklevel=4)
        bars = bars_frame.plan(found, self.timeframe, start_ns, end_ns, hot, merged)
        return bars if regular is None else bars_frame.within(bars, regular)

    def _last_stored(self, count: int, hot: "HotBars | None") -> Rows:
        """`last` out of all that there is."""
        from . import bars_frame

        unsealed = self._unsealed(hot)
        found = self._sealed.listing()
        bars_frame.warn_of(found, stacklevel=4)
        return priced(*bars_frame.newest(found, self.timeframe, count, unsealed))

    def _unsealed(self, hot: "HotBars | None") -> "Hot | None":
        """The hot rows that no file has; to be asked before the files are listed."""
        from .bars_frame import Hot

        return Hot(hot.unsealed(self._t), hot.scale) if hot and hot.scale.known else None

    def _regular_hours(self) -> Rows:
        hours = self.hours
        regular: Rows = hours[hours["rth"] == 1]
        if not len(regular):
            raise NoHours(
                f"no regular trading hours of {self._symbol} are stored: they come from the keeper while an engine"
                ' runs; view="eth" needs none'
            )
        return regular

    def _file(self) -> "HotBars | None":
        if self._hot.replaced if self._hot else (self._folder / FILE_NAME).exists():
            self._map()
        return self._hot

    def _map(self) -> None:
        self._hot: HotBars | None = None
        try:
            hot = HotBars(self._folder / FILE_NAME, self._symbol)
        except FileNotFoundError:
            names = []
        else:
            names = [each.name for each in hot.timeframes]
            if self.timeframe in hot.timeframes:
                self._hot = hot
                self._t = hot.timeframes.index(self.timeframe)
                return
        if not self._sealed.listing().read:
            raise UnknownTimeframe(self._unknown(names))

    def _unknown(self, names: list[str]) -> str:
        """What to say where there is no such timeframe; `names` are those of the hot file."""
        stored = {path.parent.name for path in self._folder.glob("*/*.arrow")}
        names = [*names, *sorted(stored - set(names))]
        if not names:
            return (
                f"{self._symbol} has no bars in {self._folder}:"
                " set timeframes in its symbol file, or wait for its worker's first start"
            )
        near = difflib.get_close_matches(self.timeframe.name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}" if near else f"it has {', '.join(names)}"
        return f"{self._symbol} has no {self.timeframe.name} bars: {hint}, or add them to its symbol file"


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
    for name in ("open", "high", "low", "close"):
        made[f"{name}_ticks"] = rows[name]
        made[name] = np.where(unpriced(rows), NAN, scale.prices(rows[name]))
    for name in ("volume", "buy_volume", "sell_volume"):
        made[f"{name}_units"] = rows[name]
        made[name] = scale.sizes(rows[name])
    silent = untold(rows)
    made["buy_volume"][silent] = made["sell_volume"][silent] = NAN
    some = (rows["volume"] != 0) & ~silent
    mean = np.divide(rows["notional"], rows["volume"], out=np.full(len(rows), NAN), where=some)
    made["vwap"] = mean * (scale.price_increment / 10**scale.price_scale)
    return made
