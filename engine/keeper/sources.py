"""Of which of the venue's bars ours are made, and where those begin and end: by the clock, or by trading days. Pure but
for the calendar.

Bars of the clock are the venue's as they are. Its days are not ours: they do not follow the exchange's trading days
(fact sheet 4.3), and so its weeks and months do not either. Ours are folded from its hours, which it keeps of expired
contracts too. Each hour belongs to one trading day: where one begins, the one before it was over by the full hour at
the latest; that holds for every calendar of calendars.py, and a test says so. An hour in which the exchange was closed
counts to the day before it, as a late print does in workers/bars.py.

A day of which one hour is missing is wrong and looks right. So it is made only when nothing of it can change any more,
and never where the venue's history may begin within it.
"""

import itertools
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from shm.layout import Rows
from shm.timeframe import Timeframe, Unit
from shm.trading_days import periods

from ..config import SymbolSettings
from ..history.stitching import on_trading_days
from . import doubts
from .doubts import Stretch, Stretches
from .timetable import sessions_between
from .wishes import MAX_BARS

HOUR: Final = Timeframe(Unit.HOUR, 1)
LONGEST_PAST_NS: Final = MAX_BARS * HOUR.length_ns  # a good two years: hardly a contract trades for longer
_MARGIN_NS: Final = 40 * 86_400_000_000_000  # a month and the holidays beside it
_SPARSEST: Final = 8  # an exchange is open for more than an eighth of the time
_FORTNIGHT_NS: Final = 14 * 86_400_000_000_000
_OF_PERIOD: Final = {"open_ns": "start_ns", "close_ns": "end_ns", "trading_day": "trading_day"}


class Settled(NamedTuple):
    """Our bars that begin before `done_ns` change no more. Of the others one will be so `in_ns` later; 0: at any time,
    as each of the venue's bars is taken at once."""

    done_ns: int
    in_ns: int


class Source(Protocol):
    """What repairs.py needs to know. Stretches are as doubts.py has them."""

    asked: Timeframe  # of the bars that the venue is asked for

    def end_ns(self, start_ns: int) -> int:
        """Where a bar of ours ends that begins then."""

    def whole(self, stretches: Stretches) -> Stretches:
        """The time of all that has to be asked for, so that each bar of ours in `stretches` can be made."""

    def newest(self, stretches: Stretches) -> Stretch | None:
        """What is asked for at once out of them, whole already: the newest."""

    def before(self, first_ns: int, count: int) -> Stretch:
        """The time of so many bars before the one that begins at `first_ns`, and no more than can be had."""

    def settled(self, stretch: Stretch, settled_ns: int) -> Settled:
        """What of a stretch that was asked for is settled, if all is that was over by `settled_ns`."""

    def bars(self, rows: Rows, stretch: Stretch, settled: Settled, *, past: bool) -> Rows:
        """Ours, out of the venue's of a stretch. past: nothing is known of the time before it."""


def source_of(settings: SymbolSettings, timeframe: Timeframe) -> Source:
    """`timeframe`: one of time."""
    return Sessions(settings, timeframe) if timeframe.is_session else Clock(settings, timeframe)


class Clock:
    """Seconds, minutes and hours."""

    def __init__(self, settings: SymbolSettings, timeframe: Timeframe) -> None:
        self.asked = timeframe
        self._settings = settings

    def end_ns(self, start_ns: int) -> int:
        return start_ns + self.asked.length_ns

    def whole(self, stretches: Stretches) -> Stretches:
        return stretches

    def newest(self, stretches: Stretches) -> Stretch | None:
        return doubts.newest(stretches, MAX_BARS * self.asked.length_ns)

    def before(self, first_ns: int, count: int) -> Stretch:
        """So many, if each had a trade while the exchange was open."""
        if not count:
            return first_ns, first_ns
        open_ns = count * self.asked.length_ns
        sessions = sessions_between(self._settings, first_ns - _SPARSEST * open_ns - _FORTNIGHT_NS, first_ns)
        return doubts.before(sessions, first_ns, open_ns)

    def settled(self, stretch: Stretch, settled_ns: int) -> Settled:
        return Settled(settled_ns, 0)

    def bars(self, rows: Rows, stretch: Stretch, settled: Settled, *, past: bool) -> Rows:
        return on_trading_days(rows, sessions_between(self._settings, *stretch))


class Sessions:
    """Days, weeks and months. A *span* of one is the hours that are counted in it: from the full hour at or before its
    open to that of the next one. So spans leave no time between them."""

    def __init__(self, settings: SymbolSettings, timeframe: Timeframe) -> None:
        self.asked = HOUR
        self._settings = settings
        self._unit = timeframe.unit

    def end_ns(self, start_ns: int) -> int:
        found = self._periods(start_ns, start_ns + 1)
        return int(found["close_ns"][0]) if len(found) else start_ns + 1

    def whole(self, stretches: Stretches) -> Stretches:
        """The spans of all that were open in them: time in which the exchange was closed is nothing to ask for."""
        return doubts.joined(span for stretch in stretches for span in self._spans(*stretch))

    def newest(self, stretches: Stretches) -> Stretch | None:
        chosen = doubts.newest(stretches, LONGEST_PAST_NS)
        if chosen is None:
            return None
        inside = [span for span in self._spans(*chosen) if span[0] >= chosen[0]]
        return (inside[0][0], inside[-1][1]) if inside else None

    def before(self, first_ns: int, count: int) -> Stretch:
        low_ns = first_ns - LONGEST_PAST_NS
        starts = [start_ns for start_ns, _ in self._spans(low_ns, first_ns + 1) if start_ns >= low_ns] or [first_ns]
        return starts[max(len(starts) - 1 - count, 0)], starts[-1]

    def settled(self, stretch: Stretch, settled_ns: int) -> Settled:
        for period in self._periods(*stretch):
            over_ns = -_full_hour(-int(period["close_ns"]))
            if over_ns > settled_ns:
                return Settled(_full_hour(int(period["open_ns"])), over_ns - settled_ns)
        return Settled(stretch[1], 0)

    def bars(self, rows: Rows, stretch: Stretch, settled: Settled, *, past: bool) -> Rows:
        """Those that are settled; hours without a trade have no say."""
        found = self._periods(*stretch)
        hours = rows[(rows["volume"] != 0) & (rows["start_ns"] < settled.done_ns) & (rows["start_ns"] >= stretch[0])]
        places = np.searchsorted(_full_hours(found["open_ns"]), hours["start_ns"], "right") - 1
        if past and len(hours) and hours["start_ns"][0] > _full_hour(int(found["open_ns"][places[0]])):
            hours, places = hours[places != places[0]], places[places != places[0]]
        return _folded(hours, places, found)

    def _periods(self, start_ns: int, end_ns: int) -> Rows:
        """Those that were open in that time: from open to close, each whole."""
        sessions = sessions_between(self._settings, start_ns - _MARGIN_NS, end_ns + _MARGIN_NS)
        found = periods(sessions, self._unit)
        return found[(found["open_ns"] < end_ns) & (found["close_ns"] > start_ns)]

    def _spans(self, start_ns: int, end_ns: int) -> list[Stretch]:
        found = self._periods(start_ns, end_ns + _MARGIN_NS)  # and the one behind them
        starts = _full_hours(found["open_ns"]).tolist()
        wanted = (found["open_ns"] < end_ns).tolist()
        return [span for span, is_in in zip(itertools.pairwise(starts), wanted, strict=False) if is_in]


def _folded(hours: Rows, places: npt.NDArray[np.intp], found: Rows) -> Rows:
    """A bar of each period that has hours. hours: in order of time; places: the period of each, in `found`."""
    made = hours[:0].copy()
    if len(hours):
        firsts = np.flatnonzero(np.diff(places, prepend=-1))
        made = hours[firsts].copy()
        for theirs, ours in _OF_PERIOD.items():
            made[ours] = found[theirs][places[firsts]]
        made["high"] = np.maximum.reduceat(hours["high"], firsts)
        made["low"] = np.minimum.reduceat(hours["low"], firsts)
        made["close"] = hours["close"][np.append(firsts[1:], len(hours)) - 1]
        made["volume"] = np.add.reduceat(hours["volume"], firsts)
    return made


def _full_hour(at_ns: int) -> int:
    """The one at or before it."""
    return at_ns // HOUR.length_ns * HOUR.length_ns


def _full_hours(at_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return at_ns // HOUR.length_ns * HOUR.length_ns
