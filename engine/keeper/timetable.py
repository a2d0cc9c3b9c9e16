"""Trading hours for the workers: this month's, the one before and the next, written to where the engine reads them.

A worker cuts days, weeks and months by them, so whole months have to be there, and a late trade belongs to one that is
over. The calendar library is asked once a day.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from shm.errors import LayoutError
from shm.layout import Rows

from .. import hours
from ..calendars import calendar_of
from ..config import SymbolSettings
from ..sessions import FIRST_YEAR, LAST_YEAR, marked_sessions, sessions_of

_MONTH: Final = timedelta(days=31)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def day_of(wall_ns: int) -> date:
    return (_EPOCH + timedelta(microseconds=wall_ns // 1000)).date()


def months_about(day: date) -> tuple[date, date]:
    """The first day of the month before that of `day`, and the last one of the month after."""
    this = day.replace(day=1)
    after_next = ((this + _MONTH).replace(day=1) + _MONTH).replace(day=1)
    return (this - timedelta(days=1)).replace(day=1), after_next - timedelta(days=1)


def sessions_between(settings: SymbolSettings, start_ns: int, end_ns: int) -> Rows:
    """The sessions of an instrument that may touch those times, as far as tables reach: rows of layout.SESSION."""
    week = timedelta(days=7)  # a trading day can begin days before its date
    first = max(day_of(start_ns) - week, date(FIRST_YEAR, 1, 1))
    last = min(day_of(end_ns) + week, date(LAST_YEAR, 12, 31))
    return sessions_of(calendar_of(settings.symbol, settings.calendar), first, last)


class Timetable:
    """The files of a generation's folder. One that is as it should be is left alone: its time says that it is new."""

    def __init__(self, here: Path) -> None:
        self._here = here
        self._written: dict[str, tuple[str, date]] = {}

    def write(self, settings: SymbolSettings, now_wall_ns: int) -> None:
        """Bring the file of an instrument up to date. Raises OSError, and ValueError for an impossible clock."""
        calendar, today = calendar_of(settings.symbol, settings.calendar), day_of(now_wall_ns)
        if self._written.get(settings.symbol) == (calendar, today):
            return
        rows = marked_sessions(calendar, *months_about(today))
        path = hours.path_of(self._here, settings.symbol)
        if not _holds(path, rows):
            hours.write(path, rows)
        self._written[settings.symbol] = calendar, today

    def drop(self, symbol: str) -> None:
        """The instrument is gone; so are its hours."""
        self._written.pop(symbol, None)
        hours.path_of(self._here, symbol).unlink(missing_ok=True)


def _holds(path: Path, rows: Rows) -> bool:
    try:
        return hours.read(path).tobytes() == rows.tobytes()
    except (FileNotFoundError, LayoutError):
        return False
