"""Bars in hot files that a worker set aside, because a file was damaged or holds timeframes that are no longer wanted.

Their rows have lower numbers than those of the file that took their place, and only numbers that rise can be sealed: so
they are sealed when that file is found, before any of its own. The file set aside stays where it is.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from shm.bars import ASIDE, HotBars
from shm.errors import LayoutError
from shm.layout import Rows
from shm.timeframe import Timeframe

from .hot import Hot

_log = logging.getLogger(__name__)


def leftovers(folder: Path, symbol: str, hot: Hot) -> Iterator[tuple[Timeframe, Rows]]:
    """Closed rows, by number, that no file of `hot`'s scale has for sure: those of a timeframe that it carried over are
    not among them. A timeframe whose count is damaged is left out, because what of its rows was closed is not known.

    Raises Overrun, which means that a worker writes to a file that is set aside.
    """
    for path in sorted(folder.glob(f"{ASIDE}*"), key=lambda path: (len(path.name), path.name)):
        try:
            aside = HotBars(path, symbol)
        except (LayoutError, FileNotFoundError) as error:
            _log.warning("the bars of %s cannot be had: %s", path, error)
            continue
        if aside.scale != hot.scale:
            _log.warning("the bars of %s have another tick or unit; they stay there", path)
            continue
        for t, timeframe in enumerate(aside.timeframes):
            try:
                rows = aside.rows(t, aside.sealed_to(t), aside.slot(t).end)
            except LayoutError as error:
                _log.warning("%s", error)
                continue
            if timeframe in hot.timeframes:
                rows = rows[rows["number"] < hot.first(hot.timeframes.index(timeframe))]
            if len(rows):
                yield timeframe, rows
