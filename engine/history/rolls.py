"""Contracts of one future, one after the other, made into one row of bars. Pure.

**The rule of the join**: on the first UTC day on which the next contract trades more than the one before, nothing
changes yet; from the next UTC day on the next contract is the one. So a join uses nothing that was not known when it
took effect. If that never happens, the join is where the bars of the one before end.

Back-adjusted, all older prices are moved by the difference of both contracts' closes, in the last bar before the join
that both have. The bar at the join is flagged JOINED.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from shm.layout import BarFlag

from .page import Rows

Whole = npt.NDArray[np.int64]

DAY_NS: Final = 86_400 * 1_000_000_000
MONTHS: Final = "FGHJKMNQUVXZ"
QUARTERS: Final = "HMUZ"
_OLDEST_YEAR: Final = 2000

# The months that are traded most, where they are not the quarters (CME Group's product pages, active months).
CYCLES: Final = {
    **dict.fromkeys(("CL", "MCL", "QM", "NG", "QG", "MNG", "RB", "HO", "MBT", "MET"), MONTHS),
    **dict.fromkeys(("GC", "MGC"), "GJMQZ"),
    **dict.fromkeys(("SI", "SIL", "HG", "MHG"), "HKNUZ"),
    "PL": "FJNV",
    **dict.fromkeys(("ZC", "ZW", "XC", "XW"), "HKNUZ"),
    "ZS": "FHKNQUX",
    **dict.fromkeys(("ZM", "ZL"), "FHKNQUVZ"),
    "LE": "GJMQVZ",
    "HE": "GJKMNQVZ",
}


def earlier(contract_id: str, symbol: str) -> Iterator[str]:
    """The ids of the contracts that were traded most before this one, the newest first, to the year 2000.

    contract_id: a checked one, `CON.F.US.MNQ.Z26`. symbol: the exchange's, which says the cycle of months.
    """
    stem, _, code = contract_id.rpartition(".")
    cycle = CYCLES.get(symbol, QUARTERS)
    month, year = MONTHS.index(code[0]), int(code[1:]) + _OLDEST_YEAR
    while year >= _OLDEST_YEAR:
        for letter in reversed(cycle):
            if MONTHS.index(letter) < month:
                yield f"{stem}.{letter}{year % 100:02d}"
        month, year = len(MONTHS), year - 1


def join_ns(older: Rows, newer: Rows) -> int:
    """When the newer contract takes over, by the rule above. Both in order of time, and neither is empty."""
    days, volumes = zip(*(_by_day(rows) for rows in (older, newer)), strict=True)
    both, of_older, of_newer = np.intersect1d(days[0], days[1], return_indices=True)
    overtaken = both[volumes[1][of_newer] > volumes[0][of_older]]
    return int((overtaken[0] + 1) * DAY_NS) if len(overtaken) else int(older["end_ns"][-1])


def join(older: Rows, newer: Rows, at_ns: int, *, adjusted: bool) -> Rows:
    """The older contract's bars before `at_ns`, the newer one's from there on, in order of time.

    Both in order of time, with one tick size. Raises ValueError if prices are to be adjusted and no bar before the
    join is in both.
    """
    before = older[older["start_ns"] < at_ns].copy()
    after = newer[newer["start_ns"] >= at_ns].copy()
    if len(before) and len(after):
        after["flags"][0] |= int(BarFlag.JOINED)
    if adjusted and len(before):
        overlap = newer[newer["start_ns"] < at_ns]
        _, left, right = np.intersect1d(before["start_ns"], overlap["start_ns"], return_indices=True)
        if not len(left):
            raise ValueError("no bar before the join is in both contracts, so prices cannot be adjusted")
        shift = overlap["close"][right[-1]] - before["close"][left[-1]]
        for name in ("open", "high", "low", "close"):
            before[name] += shift
        before["notional"] += np.where(before["trades"] != 0, shift * before["volume"], 0)
    return np.concatenate((before, after))


def _by_day(rows: Rows) -> tuple[Whole, Whole]:
    """UTC days since 1970, and the volume of each."""
    days, place = np.unique(rows["start_ns"] // DAY_NS, return_inverse=True)
    volumes = np.zeros(len(days), np.int64)
    np.add.at(volumes, place, rows["volume"])
    return days, volumes
