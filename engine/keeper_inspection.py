"""What `scripts/inspect` prints of a keeper: what it has done, what it waits for, and the trading hours it gave."""

import time
from collections.abc import Iterator

import numpy as np

from shm import layout
from shm.layout import Rows
from shm.segment import Segment
from shm.timeframe import Timeframe, Unit

Groups = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def groups(segment: Segment) -> Groups:
    """Titled groups of (name, value): the counters, and a line a wish that stands, the oldest first."""
    counters = zip(layout.KEEPER_WORDS, segment.array("words")[:: layout.WORDS_A_LINE].tolist(), strict=False)
    return (
        ("keeper", tuple((name, f"{count:,}") for name, count in counters)),
        ("wishes", tuple((f"{row['number']:,}", _wish(row)) for row in _standing(segment))),
    )


def hours_groups(rows: Rows) -> Groups:
    """The same for the rows of a file of trading hours, which is whole or cannot be read."""
    days = np.unique(rows["trading_day"]).astype("datetime64[D]")
    regular = int(np.count_nonzero(rows["rth"]))
    said = (
        ("sessions", f"{len(rows)}, {regular} of them with regular hours"),
        ("from", _wall(int(rows["open_ns"][0]))),
        ("to", _wall(int(rows["close_ns"][-1]))),
        ("trading days", f"{len(days)}, {days[0]} to {days[-1]}"),
    )
    return (("trading hours", said),)


def checks(segment: Segment) -> Iterator[tuple[str, str]]:
    """(what must hold, how it does not)."""
    rows = _standing(segment)
    yield f"wishes: {len(rows)} of {layout.MAX_WISHES}, each with a number of its own", _twice(rows)
    empty = [f"{row['number']:,}" for row in rows if row["start_ns"] >= row["end_ns"]]
    yield "each is of a time that is not empty", ", ".join(empty[:3])


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
    return f"{symbol} {timeframe}, {_wall(int(row['start_ns']))} to {_wall(int(row['end_ns']))}"


def _wall(wall_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(wall_ns // 10**9))
