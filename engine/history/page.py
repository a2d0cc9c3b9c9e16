"""One answer of retrieveBars, checked: what of it are bars, and what was refused and why. Pure.

A row that cannot be right is left out and counted, by reason; the others stand. Where rows ought to be and are not is
found by `stitching.holes`. Prices become ticks, sizes units (whole contracts). Of buy and sell volume, count of
trades and notional the venue says nothing: they are 0, and **0 trades beside a volume means not known**.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shm.layout import BAR, BarFlag

from .planning import Window

Rows = npt.NDArray[np.void]  # of layout.BAR

SECOND_NS: Final = 1_000_000_000
MAX_STAMP_CHARACTERS: Final = 40
MAX_VOLUME: Final = 10**15
MAX_PRICE: Final = 2_000_000  # further up the float next to a price is too far from it for nine decimals
_E9: Final = 1e9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_S: Final = 1 << 33  # the year 2242

NO_BAR: Final = "are no bars"
OUTSIDE: Final = "are of another time than asked for"
OFF_GRID: Final = "have prices off the tick grid"
UNORDERED: Final = "have a high below or a low above another price"
TWICE: Final = "came twice"
UNFINISHED: Final = "are not over yet"


class Page(NamedTuple):
    """`rows`: layout.BAR, in order of time, each start once. `refused`: how many rows were left out, by reason.

    extent: the first and the last start in the window, right or wrong ones; None if there is none.
    """

    rows: Rows
    refused: Counter[str]
    extent: tuple[int, int] | None


def read(sent: Sequence[object], window: Window, length_ns: int, price_increment: int, now_ns: int) -> Page:
    """The bars of a page that begin in the window and are over at `now_ns`, closed and flagged as repaired.

    `price_increment`: the tick in 10^-9. The order of `sent` does not matter. Of bars with one start the one with the
    most volume is kept: the other was not over when it was made.
    """
    refused: Counter[str] = Counter()
    found = [bar for row in sent if (bar := _bar(row)) is not None]
    refused[NO_BAR] = len(sent) - len(found)
    starts = np.array([bar[0] for bar in found], np.int64) * SECOND_NS
    prices = np.array([bar[1:5] for bar in found], np.float64).reshape(len(found), 4)
    volumes = np.array([bar[5] for bar in found], np.int64)

    # the bar before and the one at the end were asked for too: planning.asked
    near = (starts >= window.start_ns - length_ns) & (starts <= window.end_ns)
    inside = near & (starts >= window.start_ns) & (starts < window.end_ns)
    refused[OUTSIDE] = int(np.count_nonzero(~near))
    wanted = inside.copy()

    ticks, rests = np.divmod(np.rint(prices * _E9).astype(np.int64), price_increment)
    wanted = _refuse(wanted, rests.any(axis=1), OFF_GRID, refused)
    opens, highs, lows, closes = ticks.T
    wrong = (lows > np.minimum(opens, closes)) | (highs < np.maximum(opens, closes))
    wanted = _refuse(wanted, wrong, UNORDERED, refused)
    wanted = _refuse(wanted, starts + length_ns > now_ns, UNFINISHED, refused)

    order = np.lexsort((volumes, starts))
    order = order[wanted[order]]
    last = np.append(starts[order][1:] != starts[order][:-1], True) if len(order) else np.empty(0, np.bool_)
    refused[TWICE] = int(np.count_nonzero(~last))
    order = order[last]

    rows = np.zeros(len(order), BAR)
    rows["start_ns"], rows["end_ns"] = starts[order], starts[order] + length_ns
    rows["open"], rows["high"], rows["low"], rows["close"] = ticks[order].T
    rows["volume"] = volumes[order]
    rows["flags"] = BarFlag.COMPLETE | BarFlag.REPAIRED
    rows["flags"][rows["volume"] == 0] |= int(BarFlag.NO_TRADE)
    found_at = starts[inside]
    return Page(rows, +refused, (int(found_at.min()), int(found_at.max())) if len(found_at) else None)


def _refuse(wanted: npt.NDArray[np.bool_], wrong: Any, why: str, refused: Counter[str]) -> npt.NDArray[np.bool_]:
    refused[why] = int(np.count_nonzero(wanted & wrong))
    kept: npt.NDArray[np.bool_] = wanted & ~wrong
    return kept


def _bar(row: object) -> tuple[int, float, float, float, float, int] | None:
    """Start in seconds since 1970, open, high, low, close, volume; None if the row does not say that."""
    if not isinstance(row, Mapping):
        return None
    stamp, volume = row.get("t"), row.get("v")
    prices: list[Any] = [row.get("o"), row.get("h"), row.get("l"), row.get("c")]
    if not isinstance(stamp, str) or len(stamp) > MAX_STAMP_CHARACTERS:
        return None
    if type(volume) is not int or not 0 <= volume <= MAX_VOLUME:
        return None
    for price in prices:
        if type(price) not in (int, float) or not -MAX_PRICE < price < MAX_PRICE:
            return None
    try:
        began = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    try:
        start = (began if began.tzinfo else began.replace(tzinfo=UTC)) - _EPOCH
    except OverflowError:
        return None
    seconds = start.days * 86_400 + start.seconds
    if start.microseconds or not 0 < seconds < _LAST_S:
        return None
    return seconds, *(float(price) for price in prices), volume  # type: ignore[return-value]
