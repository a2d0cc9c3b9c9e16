"""A keeper in words: what it has done, what it waits for, the trading hours it gave, and what it asks the venue for."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from shm import layout
from shm.layout import Rows
from shm.segment import Segment
from shm.timeframe import Timeframe, Unit

from .. import hours
from ..keeper import doubts
from . import published
from .report import Check, Checks, Groups, Report
from .words import second, wall_or_never


def examine(segment: Segment) -> tuple[Groups, Checks]:
    """Its segment: the counters, and a line a wish that stands, the oldest first."""
    counters = published.page(segment, layout.KEEPER_WORDS)
    wishes = _standing(segment)
    groups = (
        ("keeper", tuple((name, f"{count:,}") for name, count in counters)),
        ("wishes", tuple((f"{row['number']:,}", _wish(row)) for row in wishes)),
    )
    return groups, tuple(_checks(wishes))


def examine_hours(path: Path) -> Report:
    """A file of trading hours. Raises LayoutError for what is none; FileNotFoundError passes."""
    rows = hours.read(path)
    days = np.unique(rows["trading_day"]).astype("datetime64[D]")
    regular = int(np.count_nonzero(rows["rth"]))
    said = (
        ("sessions", f"{len(rows)}, {regular} of them with regular hours"),
        ("from", second(int(rows["open_ns"][0]))),
        ("to", second(int(rows["close_ns"][-1]))),
        ("trading days", f"{len(days)}, {days[0]} to {days[-1]}"),
    )
    return Report(f"{path}", (("trading hours", said),), (Check("checksum, and rows in order"),))


def examine_doubts(path: Path) -> Report:
    """What it still asks for. Raises OSError."""
    with open(path, "rb") as file:
        data = file.read(doubts.MAX_FILE_BYTES)
    try:
        known = doubts.from_json(data)
    except ValueError as error:
        return Report(f"{path}", (), (Check("a list of what the venue is to be asked for", str(error)),))
    rows = (
        ("kind", "what the keeper asks the venue for"),
        ("rows", f"looked at below {known.looked:,}"),
        *((name, _stretches(stretches)) for name, stretches in (("outages", known.open), ("the past", known.past))),
    )
    return Report(f"{path}", (("doubts", rows),), (Check("a list that can be read"),))


def _stretches(stretches: Sequence[tuple[int, int]]) -> str:
    if not stretches:
        return "none"
    return f"{len(stretches):,}, from {wall_or_never(stretches[0][0])} to {wall_or_never(stretches[-1][1])}"


def _checks(wishes: Rows) -> Iterator[Check]:
    yield Check(f"wishes: {len(wishes)} of {layout.MAX_WISHES}, each with a number of its own", _twice(wishes))
    empty = [f"{row['number']:,}" for row in wishes if row["start_ns"] >= row["end_ns"]]
    yield Check("each is of a time that is not empty", ", ".join(empty[:3]))


def _standing(segment: Segment) -> Rows:
    """The rows that are not free, by number. The number is written last: a row in the keeper's hands has none."""
    table = segment.array("wishes").copy()
    rows: Rows = table[table["number"] != 0]
    return rows[np.argsort(rows["number"], kind="stable")]


def _twice(rows: Rows) -> str:
    numbers, counts = np.unique(rows["number"], return_counts=True)
    return ", ".join(f"{number:,}" for number in numbers[counts > 1][:3])


def _wish(row: np.void) -> str:
    """Whose bars, which, and of when."""
    known = row["unit"] in tuple(Unit)
    timeframe = Timeframe(Unit(row["unit"]), int(row["amount"])).name if known else f"unit {row['unit']}"
    symbol = bytes(row["symbol"]).decode(errors="replace")
    return f"{symbol} {timeframe}, {second(int(row['start_ns']))} to {second(int(row['end_ns']))}"
