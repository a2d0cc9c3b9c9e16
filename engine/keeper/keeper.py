"""All instruments in turn, a few times a second: trading hours, sealing, history, upkeep."""

import logging
from typing import Final

from shm import segment
from shm.layout import KEEPER_WORDS, Kind
from shm.registry import generation_folder

from ..config import Settings
from ..job import Job
from ..page import Page
from .asking import Asking
from .disk import Disk
from .instrument import Instrument
from .timetable import Timetable
from .upkeep import Upkeep
from .wishes import Wishes

TURN_S: Final = 0.25
HOURS_NS: Final = 60_000_000_000  # between two looks at the day

_log = logging.getLogger(__name__)


class Keeper:
    """The work of one process. Nothing in it waits for anything but the disk."""

    def __init__(self, job: Job, now_ns: int, disk: Disk | None = None) -> None:
        """now_ns: CLOCK_BOOTTIME. Raises LayoutError, FileNotFoundError for segments that are not there."""
        here = generation_folder(job.folder, job.generation)
        own = segment.attach(here / "keeper", Kind.KEEPER, writable=True, generation=job.generation)
        own.claim()
        self._page = Page(own.array("words"), KEEPER_WORDS)
        self._disk = disk or Disk()
        self._timetable = Timetable(here)
        self._upkeep = Upkeep(job.settings.keeper, self._page, self._disk, now_ns)
        ring = segment.attach(here / "keeper.ring", Kind.RING, writable=True, generation=job.generation)
        self._asking = Asking(Wishes(own.array("wishes"), ring.array("words"), now_ns), self._page)
        self._instruments: dict[str, Instrument] = {}
        self.take(job.settings)

    def take(self, settings: Settings) -> None:
        """Instruments came, went, or have other settings now."""
        wanted = {each.symbol: each for each in settings.symbols}
        for symbol, instrument in list(self._instruments.items()):
            if wanted.get(symbol) != instrument.settings:
                self._instruments.pop(symbol).close()
            if symbol not in wanted:
                self._timetable.drop(symbol)
        for symbol, each in wanted.items():
            if symbol not in self._instruments:
                self._instruments[symbol] = Instrument(each, settings.data_folder, self._page, self._disk)
        self._upkeep.settings = settings.keeper
        self._hours_ns = 0

    def turn(self, now_ns: int, wall_ns: int) -> None:
        """A look at everything. now_ns: CLOCK_BOOTTIME; wall_ns: CLOCK_REALTIME."""
        self._page.add("heartbeat")
        if now_ns >= self._hours_ns:
            self._hours_ns = now_ns + HOURS_NS
            self._write_hours(wall_ns)
        for each in self._instruments.values():
            each.seal(now_ns, wall_ns)
        self._asking.turn([each for one in self._instruments.values() for each in one.repairs], now_ns, wall_ns)
        self._upkeep.turn(list(self._instruments.values()), now_ns, wall_ns)
        self._page.add("rounds")

    def close(self) -> None:
        """The end in order: what is hot is on disk before."""
        self._upkeep.sync(self._instruments.values())
        for each in self._instruments.values():
            each.close()

    def _write_hours(self, wall_ns: int) -> None:
        for symbol, each in self._instruments.items():
            try:
                self._timetable.write(each.settings, wall_ns)
            except OSError as error:
                self._page.add("disk_errors")
                _log.error("%s: its trading hours cannot be written (%s)", symbol, error.strerror)
            except ValueError as error:
                _log.error("%s: its trading hours are not known: %s; set the clock", symbol, error)
