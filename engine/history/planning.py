"""Which pages a stretch of history is asked for in, so that none is cut without being seen. Pure; times are ns, UTC.

The venue sends at most 20,000 bars an answer, newest first, and silently leaves out what is more (fact sheet 4.3).
So a window is never longer than a page can hold. Whether its ends are in it is not documented: each window is asked
for from the bar before it on, room is left for the one at its end, and neither is taken. Windows begin at fixed times,
whatever is asked for, so that those of the past are the same ones again and can be kept.

A page that comes full all the same was cut: `rest` says what is to be asked for again.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from shm.timeframe import Timeframe

MAX_BARS: Final = 20_000  # of a page
MAX_WINDOWS: Final = 100  # of one plan: at most two million bars, 256 MB
_MARGIN_BARS: Final = 2  # the one before, the one at the end


class HistoryRefusal(ValueError):
    """There is no way to ask the venue for this. One sentence."""


class Window(NamedTuple):
    """Bars that begin at `start_ns` or later and before `end_ns` are wanted."""

    start_ns: int
    end_ns: int


def length_of(timeframe: Timeframe) -> int:
    """How long a bar of the clock is. Raises HistoryRefusal for days and for bars by count.

    The venue's days are not those of the exchange (fact sheet 4.3), so they would not agree with our own; bars by
    count it does not serve in a documented way.
    """
    if timeframe.is_session:
        raise HistoryRefusal(
            f"the venue's {timeframe.name} bars do not follow the exchange's trading days: ask for 1hr bars or shorter"
        )
    if not timeframe.is_time:
        raise HistoryRefusal(f"the venue keeps no {timeframe.name} bars: ask for bars of seconds, minutes or hours")
    return timeframe.length_ns


def windows(ranges: Iterable[tuple[int, int]], length_ns: int, limit: int = MAX_BARS) -> list[Window]:
    """Windows that together cover all `ranges` (half-open, widened to whole bars), the newest first.

    A window holds all that is wanted of one page's time, so many small ranges near each other are one request.
    Raises HistoryRefusal for more than MAX_WINDOWS.
    """
    span_ns = (limit - _MARGIN_BARS) * length_ns
    pages: dict[int, Window] = {}
    for start_ns, end_ns in ranges:
        low_ns, high_ns = start_ns // length_ns * length_ns, -(-end_ns // length_ns) * length_ns
        if low_ns >= high_ns:
            continue
        first, last = low_ns // span_ns, (high_ns - 1) // span_ns
        if last - first >= MAX_WINDOWS:
            raise _too_long(span_ns)
        for number in range(first, last + 1):
            part = Window(max(low_ns, number * span_ns), min(high_ns, (number + 1) * span_ns))
            known = pages.get(number, part)
            pages[number] = Window(min(known.start_ns, part.start_ns), max(known.end_ns, part.end_ns))
        if len(pages) > MAX_WINDOWS:
            raise _too_long(span_ns)
    return [pages[number] for number in sorted(pages, reverse=True)]


def asked(window: Window, length_ns: int) -> Window:
    """The times that a request names. Whether the venue counts them in or not, all that is wanted lies between."""
    return Window(window.start_ns - length_ns, window.end_ns)


def rest(window: Window, first_ns: int, last_ns: int, length_ns: int) -> list[Window]:
    """What a full page may lack, given the starts of its first and its last bar: the older part, the newer part.

    The venue keeps the newest bars of a window, but does not promise it; a part that is empty is not asked for.
    """
    parts = (Window(window.start_ns, first_ns), Window(last_ns + length_ns, window.end_ns))
    return [part for part in parts if part.start_ns < part.end_ns]


def _too_long(span_ns: int) -> HistoryRefusal:
    days = span_ns * MAX_WINDOWS / 86_400e9
    return HistoryRefusal(f"that is more history than is fetched at once: ask for at most {days:.0f} days of such bars")
