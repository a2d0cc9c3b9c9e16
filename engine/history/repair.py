"""After an outage: what is missing or doubted in stored bars is asked of the venue, and what to append is handed back.

This writes nothing: who keeps the bars appends the rows, remembers `told`, and calls again while something is left.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy.typing as npt
from numpy import void

from shm.timeframe import Timeframe

from .fetching import Fetched, History, Progress
from .page import Rows
from .stitching import Stitched, holes, on_trading_days, stitch


class Repaired(NamedTuple):
    """stitched: rows to append. told: times for which the venue has said all it ever will, for the next call; newer
    times are asked for again, because a practice account's bars may come late. fetched: what came, what was refused."""

    stitched: Stitched
    told: list[tuple[int, int]]
    fetched: Fetched


async def repair(
    history: History,
    contract_id: str,
    price_increment: int,
    timeframe: Timeframe,
    stored: Rows,
    sessions: npt.NDArray[void],
    told: Sequence[tuple[int, int]] = (),
    on_page: Progress = lambda done, planned: None,
) -> Repaired:
    """Fetch what `stored` lacks in the time of `sessions`, and what of it is suspect.

    stored: layout.BAR of this contract and timeframe, of any order, not adjusted. sessions: open_ns, close_ns,
    trading_day, sorted, not overlapping: they bound what is looked at. told: times without holes, because the venue
    has told all, or because our own feed was whole: a second without a trade has no bar either. Raises as
    `History.fetch` does; then nothing is changed and nothing was told.
    """
    missing = holes(stored, sessions, timeframe, told)
    fetched = await history.fetch(contract_id, price_increment, timeframe, missing, on_page)
    stitched = stitch(stored, on_trading_days(fetched.rows, sessions))
    settled_ns = history.settled_ns
    settled = [(start, min(end, settled_ns)) for start, end in missing if start < settled_ns]
    return Repaired(stitched, settled, fetched)
