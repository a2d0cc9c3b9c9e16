"""A timeframe's folder of sealed files as one reader sees it: looked through again only when it has changed.

A file comes, and goes, by a change of the folder, which moves the folder's own time. That time stands still between two
ticks of the file system, so a look that was taken soon after a change is not relied on: another may have followed it.
"""

import time
from pathlib import Path
from typing import Final

from .sealed import Listing, listing
from .timeframe import Timeframe

_SETTLED_NS: Final = 1_000_000_000  # far above the tick of any file system


class SealedFolder:
    """`<data>/bars/<SYMBOL>/<timeframe>`, which need not exist."""

    def __init__(self, path: Path, timeframe: Timeframe, symbol: str) -> None:
        self.path = path
        self._timeframe = timeframe
        self._symbol = symbol
        self._seen: tuple[int, int] | None = None  # None: look again
        self._found = Listing((), (), (), (), ())

    def listing(self) -> Listing:
        """What is there now."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._seen, self._found = None, Listing((), (), (), (), ())
            return self._found
        seen = status.st_ino, status.st_mtime_ns
        if seen != self._seen:
            self._seen = seen if time.time_ns() - status.st_mtime_ns > _SETTLED_NS else None
            self._found = listing(self.path, self._timeframe, self._symbol)
        return self._found
