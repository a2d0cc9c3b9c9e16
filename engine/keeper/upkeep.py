"""What the keeper does by the clock: hot bars are synced, files put together, old ones taken out and deleted.

A power loss takes of the hot bars what came after the last sync, and no more.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shm.timeframe import Timeframe, parse

from ..config import KeeperSettings, SymbolSettings
from ..page import Page
from . import asides
from .disk import Disk
from .instrument import Instrument
from .retention import Limits, beyond_together
from .shelf import Shelf

TIDY_NS: Final = 300_000_000_000
_SECOND_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _SECOND_NS

_log = logging.getLogger(__name__)


class Upkeep:
    """All times are CLOCK_BOOTTIME in ns, but for `wall_ns`."""

    def __init__(self, settings: KeeperSettings, page: Page, disk: Disk, now_ns: int) -> None:
        self.settings = settings
        self._page = page
        self._disk = disk
        self._sync_ns = now_ns
        self._tidy_ns = now_ns

    def turn(self, instruments: Sequence[Instrument], now_ns: int, wall_ns: int) -> None:
        """Do what is due."""
        if now_ns >= self._sync_ns:
            self._sync_ns = now_ns + self.settings.sync_s * _SECOND_NS
            self.sync(instruments)
        if now_ns >= self._tidy_ns:
            self._tidy_ns = now_ns + TIDY_NS
            for each in instruments:
                for shelf in each.shelves.values():
                    self._tidy(shelf, each.settings, wall_ns)
                if each.hot_file is not None:  # and so what could be had of its files set aside was had
                    self._sweep(each, wall_ns)
            self._keep_together(instruments)

    def sync(self, instruments: Iterable[Instrument]) -> None:
        """Every hot file, to disk."""
        began_ns = time.monotonic_ns()
        for each in instruments:
            if each.hot_file is None:
                continue
            try:
                self._disk.sync(each.hot_file)
                self._page.add("syncs")
            except OSError as error:
                self._failed(f"{each.hot_file} cannot be synced", error)
        self._page.set("sync_ns", time.monotonic_ns() - began_ns)

    def _tidy(self, shelf: Shelf, settings: SymbolSettings, wall_ns: int) -> None:
        store = shelf.store
        try:
            self._page.add("compacted_files", len(store.compact(wall_ns)))
            limits = limits_of(settings, store.subject.timeframe)
            self._page.add("retired_files", len(store.retain(limits, wall_ns)))
            self._page.add("deleted_files", len(store.sweep(wall_ns)))
        except OSError as error:
            self._failed(f"{store.folder} cannot be kept in order", error)

    def _sweep(self, instrument: Instrument, wall_ns: int) -> None:
        try:
            self._page.add("deleted_asides", asides.sweep(self._disk, instrument.folder, wall_ns))
        except OSError as error:
            self._failed(f"{instrument.folder} cannot be kept in order", error)

    def _keep_together(self, instruments: Iterable[Instrument]) -> None:
        """The limit of all bars on disk."""
        if self.settings.disk_mib == 0:
            return
        stores = [shelf.store for each in instruments for shelf in each.shelves.values()]
        read = [store.listing().read for store in stores]
        for store, files in zip(stores, beyond_together(read, self.settings.disk_mib << 20), strict=True):
            try:
                store.retire(files)
                self._page.add("retired_files", len(files))
            except OSError as error:
                self._failed(f"{store.folder} cannot be kept within the limit", error)

    def _failed(self, what: str, error: OSError) -> None:
        self._page.add("disk_errors")
        _log.error("%s (%s)", what, error.strerror)


def limits_of(settings: SymbolSettings, timeframe: Timeframe) -> Limits:
    """What a symbol file says of the bars on disk."""

    def of(table: Mapping[str, int], unit: int) -> int | None:
        return next((value * unit for name, value in table.items() if parse(name) == timeframe), None)

    return Limits(of(settings.keep_rows, 1), of(settings.keep_mib, 1 << 20), of(settings.keep_days, _DAY_NS))
