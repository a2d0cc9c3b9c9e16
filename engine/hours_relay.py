"""Trading hours on their way from the keeper's files (hours.py) into the rings of their instruments.

The keeper may start after the engine, give hours that reach further, or have never started: so a file is looked for
each second, and read when it is another one than before. A ring that is new, of an instrument that came or was made
anew, gets what its file says by then; an engine that takes the place of another says it once more, which changes
nothing. A ring without room gets the rest later.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from shm.errors import LayoutError
from shm.layout import MAX_SESSION_ROWS, SESSION, Rows

from . import hours

LOOK_EVERY_S: Final = 1.0

_log = logging.getLogger(__name__)


class Ring(Protocol):
    """What is needed of shm.ring.RingWriter."""

    def sessions(self, rows: Rows) -> bool: ...
    def publish(self) -> bool: ...


@dataclass(slots=True)
class _Given:
    """What one ring has of the hours of its instrument."""

    ring: Ring
    file: tuple[int, int] = (0, 0)  # when the one that was read last was made, and which it was
    rest: Rows = field(default_factory=lambda: np.empty(0, SESSION))  # of its rows, what the ring has not yet

    def look(self, path: Path) -> None:
        """Read the file if it is a new one. One that cannot be read is told of once."""
        try:
            status = path.stat()
            if (file := (status.st_mtime_ns, status.st_ino)) == self.file:
                return
            self.file = file  # one that takes its place from here on is read twice
            self.rest = hours.read(path)
        except FileNotFoundError:
            pass  # the keeper has not come to it
        except (LayoutError, OSError) as error:
            _log.warning("%s: %s", path.stem, error)

    def put(self) -> None:
        """Give the ring as much as it has room for.

        What is between the first and the last row of a record replaces all that the worker knew of that time; each
        record begins with the last row of the one before it, so no time lies between two.
        """
        while len(self.rest) and self.ring.sessions(self.rest[:MAX_SESSION_ROWS]):
            has_more = len(self.rest) > MAX_SESSION_ROWS
            self.rest = self.rest[MAX_SESSION_ROWS - 1 :] if has_more else self.rest[:0]


class HoursRelay:
    """For all instruments of an engine."""

    def __init__(self, here: Path) -> None:
        """`here`: the generation's folder."""
        self._here = here
        self._given: dict[str, _Given] = {}

    async def run(self, rings: Callable[[], Mapping[str, Ring]]) -> None:
        """For ever: look at the files of the instruments that there are."""
        while True:
            self.look(rings())
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self, rings: Mapping[str, Ring]) -> None:
        """Look once; `rings`: those of now, by symbol."""
        before, self._given = self._given, {}
        for symbol, ring in rings.items():
            given = before.get(symbol)
            if given is None or given.ring is not ring:
                given = _Given(ring)
            self._given[symbol] = given
            given.look(hours.path_of(self._here, symbol))
            given.put()
            ring.publish()
