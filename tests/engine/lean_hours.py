"""The market-hours database and the minute bars in ../shared/data/lean, read as plainly as can be."""

import json
import lzma
import zipfile
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

LEAN = Path(__file__).resolve().parents[3] / "shared" / "data" / "lean"
NEW_YORK = ZoneInfo("America/New_York")
MIDNIGHT = 24 * 60

needs_lean = pytest.mark.skipif(not LEAN.is_dir(), reason=f"no recorded data: {LEAN} is not there")

Spans = tuple[tuple[int, int], ...]  # open times of one local day in New York, in minutes
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Hours(NamedTuple):
    """What the database says of one future."""

    week: tuple[Spans, ...]
    holidays: frozenset[date]
    early_closes: dict[date, int]
    late_opens: dict[date, int]

    @property
    def own_days(self) -> set[date]:
        return set(self.holidays) | set(self.early_closes) | set(self.late_opens)

    def on(self, day: date) -> Spans:
        """When it is open on a day. After an early close nothing is, but from a late open on."""
        if day in self.holidays:
            return ()
        spans = self.week[day.weekday()]
        close, late = self.early_closes.get(day), self.late_opens.get(day)
        if close is None and late is None:
            return spans
        before = [(start, min(end, close)) for start, end in spans if close is not None and start < close]
        after = [(max(start, late), end) for start, end in spans if late is not None and end > late]
        return merged(before + after)


def merged(spans: list[tuple[int, int]]) -> Spans:
    """Spans in order, with those that touch as one."""
    out: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return tuple(out)


@lru_cache
def hours_of(market: str, symbol: str) -> Hours:
    """An entry. Holidays of its market's common entry count too, but for days of which the entry itself says more."""
    with lzma.open(LEAN / "market-hours-database.json.xz") as file:
        entries = json.load(file)["entries"]
    entry, common = entries[f"Future-{market}-{symbol}"], entries[f"Future-{market}-[*]"]
    assert entry["exchangeTimeZone"] == "America/New_York"
    week = tuple(merged([(_minute(s["start"]), _minute(s["end"])) for s in entry[name]]) for name in _WEEK)
    early = {_date(day): _minute(text) for day, text in entry["earlyCloses"].items()}
    late = {_date(day): _minute(text) for day, text in entry["lateOpens"].items()}
    holidays = {_date(day) for day in entry["holidays"] + common["holidays"]} - set(early) - set(late)
    return Hours(week, frozenset(holidays), early, late)


def entries_equal(market: str, first: str, second: str) -> bool:
    with lzma.open(LEAN / "market-hours-database.json.xz") as file:
        entries: dict[str, Any] = json.load(file)["entries"]
    return bool(entries[f"Future-{market}-{first}"] == entries[f"Future-{market}-{second}"])


def recorded(folder: str, day: str) -> dict[str, list[tuple[int, list[str]]]]:
    """A day's file: of each contract month, such as 201312, its lines. A line is ns UTC, for they count from midnight
    UTC, and the other columns: open, high, low, close, volume of a minute; price, size and more of a tick."""
    midnight_ns = int(datetime.strptime(day + "+0000", "%Y%m%d%z").timestamp()) * 10**9
    found = {}
    with zipfile.ZipFile(LEAN / folder / f"{day}_trade.zip") as archive:
        for name in archive.namelist():
            lines = (line.split(",") for line in archive.read(name).decode().splitlines())
            month = name.removesuffix(".csv").rpartition("_")[2]
            found[month] = [(midnight_ns + int(ms) * 10**6, columns) for ms, *columns in lines]
    return found


def minutes_of(symbol: str, day: str) -> list[int]:
    """The starts of all minute bars of a file, of all contract months, in ns UTC."""
    return sorted({at for lines in recorded(f"{symbol.lower()}_minute", day).values() for at, _ in lines})


def local_spans(rows: Any) -> dict[date, Spans]:
    """Session rows, cut at midnight in New York."""
    found: dict[date, list[tuple[int, int]]] = {}
    for row in rows:
        start, end = (datetime.fromtimestamp(int(row[key]) // 10**9, NEW_YORK) for key in ("open_ns", "close_ns"))
        day = start.date()
        while day <= end.date():
            low = _of_day(start) if day == start.date() else 0
            high = _of_day(end) if day == end.date() else MIDNIGHT
            if low < high:
                found.setdefault(day, []).append((low, high))
            day += timedelta(days=1)
    return {day: merged(spans) for day, spans in found.items()}


def _of_day(at: datetime) -> int:
    return at.hour * 60 + at.minute


def _date(text: str) -> date:
    month, day, year = (int(part) for part in text.split("/"))
    return date(year, month, day)


def _minute(text: str) -> int:
    """`13:15:00`, or `1.00:00:00` for the midnight that ends the day."""
    days, _, clock = text.rpartition(".")
    hours, minutes, _ = (int(part) for part in clock.split(":"))
    return int(days or 0) * MIDNIGHT + hours * 60 + minutes
