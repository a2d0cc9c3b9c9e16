"""One instrument in the keeper's hands: its hot file, found and found again, and a shelf for each timeframe.

Nothing that goes wrong with one instrument, a disk that is full, a file that is damaged, keeps the others waiting: it
is counted, said once, and tried again later.
"""

import logging
from pathlib import Path
from typing import Final

from shm.errors import LayoutError, Overrun
from shm.life import AlreadyHeld, LifeLock
from shm.timeframe import Timeframe

from ..config import SymbolSettings
from ..page import Page
from .disk import Disk
from .hot import Hot
from .leftovers import leftovers
from .repairs import Repairs
from .sealing import Subject
from .shelf import Shelf, seal_runs
from .store import Store

REST_NS: Final = 30_000_000_000  # after something went wrong

_log = logging.getLogger(__name__)


class Instrument:
    """`shelves`: by timeframe, once there is a hot file."""

    def __init__(self, settings: SymbolSettings, data_folder: Path, page: Page, disk: Disk) -> None:
        self.settings = settings
        self.folder = data_folder / "bars" / settings.symbol
        self.shelves: dict[Timeframe, Shelf] = {}
        self._page = page
        self._disk = disk
        self._hot: Hot | None = None
        self._lock: LifeLock | None = None
        self._rest_until_ns = 0
        self._said = ""

    @property
    def hot_file(self) -> Path | None:
        """What has to be synced."""
        return self._hot.path if self._hot else None

    @property
    def repairs(self) -> list[Repairs]:
        """Of the timeframes that the venue can be asked for."""
        return [shelf.repairs for shelf in self.shelves.values() if shelf.repairs is not None]

    def close(self) -> None:
        """Leave its files to another keeper."""
        self._hot, self.shelves = None, {}
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def seal(self, now_ns: int, wall_ns: int) -> None:
        """Seal what is due. now_ns: CLOCK_BOOTTIME."""
        if now_ns < self._rest_until_ns:
            return
        try:
            if self._found(wall_ns):
                for shelf in self.shelves.values():
                    self._count(*shelf.seal(wall_ns))
                self._said = ""
        except OSError as error:
            self._page.add("disk_errors")
            self._rest(now_ns, f"its bars cannot be sealed ({error.strerror}): make room, or look at the disk")
        except (LayoutError, AlreadyHeld) as error:
            self._rest(now_ns, str(error))
        except Overrun:
            pass  # its bars change faster than they can be looked at; in a moment they will not

    def _found(self, wall_ns: int) -> bool:
        """Whether there is a hot file of known scale; it is mapped, and mapped anew if another took its place."""
        if self._hot is not None and not self._hot.replaced:
            return True
        self._hot, self.shelves = None, {}
        try:
            hot = Hot(self.folder, self.settings.symbol)
        except FileNotFoundError:
            return False
        if not hot.scale.known:
            return False
        for path in (hot.path, self.folder):  # a file made anew has what the one before it had, and that was on disk
            self._disk.sync(path)
        self._page.add("syncs")
        if self._lock is None:
            self._lock = LifeLock.take(self.folder.with_name(f".{self.settings.symbol}.keeper.lock"))
        shelves = {each: self._shelf(hot, t) for t, each in enumerate(hot.timeframes)}
        for timeframe, rows in leftovers(self.folder, self.settings.symbol, hot):
            shelf = shelves.get(timeframe)
            if shelf is not None and shelf.repairs is not None:
                shelf.repairs.look_at(rows)
            self._count(*seal_runs(shelf.store if shelf else self._store(hot, timeframe), rows, wall_ns))
        self._hot, self.shelves = hot, shelves
        return True

    def _count(self, rows: int, files: int) -> None:
        self._page.add("sealed_rows", rows)
        self._page.add("sealed_files", files)

    def _store(self, hot: Hot, timeframe: Timeframe) -> Store:
        subject = Subject(self.settings.symbol, timeframe, hot.scale)
        return Store(self.folder / timeframe.name, subject, self._disk)

    def _shelf(self, hot: Hot, t: int) -> Shelf:
        timeframe = hot.timeframes[t]
        store = self._store(hot, timeframe)
        repairs = Repairs(self.settings, hot, t, store, self._disk) if timeframe.is_time else None
        return Shelf(hot, t, store, repairs, self._disk)

    def _rest(self, now_ns: int, why: str) -> None:
        self._rest_until_ns = now_ns + REST_NS
        if why != self._said:
            _log.error("%s: %s", self.settings.symbol, why)
        self._said = why
