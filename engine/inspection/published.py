"""What is published to readers, copied while its writer goes on: the newest cell, and rows of a broadcast ring."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shm import layout
from shm.layout import EventKind
from shm.segment import Segment

from ..table import reason_text
from .report import Check
from .words import name_of, wall_or_never

EVENTS_SHOWN = 8
RETRIES = 100  # of a cell copied while its writer goes on; more than two in a row was never seen


def newest(segment: Segment) -> tuple[np.void | None, str]:
    """The newest of a segment's cells, copied whole, or why there is none; None without a reason if nothing is
    published."""
    cells, control = segment.array("cells"), segment.array("control")
    for _ in range(RETRIES):
        number = int(control[layout.PUBLISHED])
        if number == 0:
            return None, ""
        cell: np.void = cells[number % len(cells)].copy()
        if int(cell["end"]) == number and int(cells[number % len(cells)]["begin"]) == number:
            return cell, ""
    return None, "no cell is whole"


def page(segment: Segment, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The words of a page of counters, each alone on its cache line."""
    return zip(names, segment.array("words")[:: layout.WORDS_A_LINE].tolist(), strict=False)


def events(segment: Segment) -> Iterator[tuple[str, str]]:
    """The newest events, oldest first: when, what, and why."""
    rows, count = segment.array("events"), int(segment.array("control")[layout.EVENT_COUNT])
    yield "written", f"{count:,}"
    for number in range(max(0, count - min(EVENTS_SHOWN, len(rows))), count):
        row = rows[number % len(rows)].copy()
        kind = name_of(EventKind, int(row["kind"]))
        symbol, subject, text = (bytes(row[name]).decode(errors="replace") for name in ("symbol", "subject", "text"))
        lost = f"{row['count']:,} lost" if row["kind"] == EventKind.GAP and row["count"] else ""
        said = (kind, symbol, subject, lost, reason_text(int(row["reason"])), text)
        yield wall_or_never(int(row["wall_ns"])), " · ".join(part for part in said if part)


def events_check(segment: Segment) -> Check:
    rows, control = segment.array("events"), segment.array("control")
    return rows_check("events", rows, control, layout.EVENT_INTENT, ("sequence", "place"))


def rows_check(
    name: str, rows: npt.NDArray[np.void], control: npt.NDArray[Any], intent_at: int, keys: Iterable[str]
) -> Check:
    """Counters of a broadcast ring are possible, and the keys of the rows that it holds never go down."""
    count = int(control[intent_at + 1])
    copied = rows.copy()
    intent = int(control[intent_at])
    if not count <= intent:
        return Check(f"{name}: {count:,} rows written", f"intent {intent:,} is below")
    first = max(0, intent - len(rows))
    held = copied[np.arange(first, max(first, count)) % len(rows)]
    order = np.lexsort([held[key] for key in reversed(tuple(keys))])
    fault = "" if (order == np.arange(len(held))).all() else "rows out of order"
    return Check(f"{name}: {count:,} rows written, {len(held):,} held", fault)
