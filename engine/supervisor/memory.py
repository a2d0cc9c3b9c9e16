"""The folder of an engine in shared memory: taken, swept, filled with segments, and removed.

The supervisor makes every segment before any other process knows of it. From then on it only looks at a few words in
them, heartbeats, the sequence a dead worker had begun, and of a ring that is made anew where it had come to; and it
writes its own events.
"""

import os
import shutil
import time
from pathlib import Path

from shm import layout, registry, segment
from shm.eventlog import EventLog
from shm.layout import Kind, Regions, Words
from shm.life import AlreadyHeld, LifeLock, is_held
from shm.segment import NoRoom, Segment

from ..config import SymbolSettings
from ..processes import WorkerProcess, processes_of
from .decide import Begun
from .errors import CannotStart

SUPERVISOR_LOCK = "supervisor.lock"

_PREPARED = "~"  # behind the name of a segment that is to take the place of the one of that name

_LEFTOVER_WAIT_S = 5.0  # the orphans of a killed supervisor end within that
_LEFTOVER_POLL_S = 0.005
_MAX_TRIES = 100  # each further one costs another engine of ours that removed the folder meanwhile


def take_name(name: str, root: Path) -> tuple[Path, LifeLock]:
    """The engine's folder, made and held under the supervisor's life lock.

    Raises CannotStart if it is taken or cannot be made, LayoutError for a folder that is not ours alone.
    """
    folder = registry.engine_folder(name, root)
    if not os.access(root, os.W_OK | os.X_OK):
        raise CannotStart(
            f"nothing can be written in {root}, the place for shared memory: name another in SHARDBOOK_SHM"
        )
    for _ in range(_MAX_TRIES):
        try:
            registry.make_folder(folder)
            return folder, LifeLock.take(folder / SUPERVISOR_LOCK)
        except FileNotFoundError:
            continue  # an engine that ended just now removed its folder
        except AlreadyHeld as held:
            raise CannotStart(_taken(name, folder, held.pid)) from None
    raise CannotStart(f"{folder} is removed again and again: another engine starts and stops there")


def _taken(name: str, folder: Path, pid: int) -> str:
    since = ""
    try:
        since_s = (folder / SUPERVISOR_LOCK).stat().st_mtime
        since = f" since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(since_s))}"
    except FileNotFoundError:
        pass  # it ends this moment
    return (
        f"an engine named {name!r} runs already (process {pid}{since}):"
        f" stop it with kill {pid}, or start this one with another --name"
    )


def sweep(folder: Path) -> None:
    """Remove what dead generations of this name left. Its processes may still be ending: they are waited for.

    Raises CannotStart if one of them does not end. To be called under the supervisor's lock only.
    """
    locks = [path for path in folder.glob("*.lock") if path.name != SUPERVISOR_LOCK]
    limit_s = time.monotonic() + _LEFTOVER_WAIT_S
    for lock in locks:
        while is_held(lock):
            if time.monotonic() > limit_s:
                pid = lock.read_text().split(" ")[0]
                raise CannotStart(
                    f"process {pid} of an earlier run still lives under {lock}: end it with kill -9 {pid}"
                )
            time.sleep(_LEFTOVER_POLL_S)
    _remove_contents(folder)


def remove(folder: Path, lock: LifeLock) -> None:
    """Leave nothing behind. The registry goes first: who finds none knows that there is no engine."""
    _remove_contents(folder)
    lock.remove()
    for each in (folder, folder.parent):
        try:
            each.rmdir()
        except OSError:
            return  # another engine lives there, or begins to


def _remove_contents(folder: Path) -> None:
    (folder / registry.FILE_NAME).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != SUPERVISOR_LOCK:
            path.unlink(missing_ok=True)


class Memory:
    """The segments of one generation, and the words of them that the supervisor looks at."""

    def __init__(
        self,
        folder: Path,
        generation: int,
        symbols: tuple[SymbolSettings, ...],
        *,
        account: bool = False,
        recorder_bytes: int = 0,
    ) -> None:
        """Make all segments, that of an account if one is viewed, those of a recorder if its ring has a size.

        Raises NoRoom, before anything is made if the sum is known not to fit.
        """
        self.folder = folder
        self.generation = generation
        below = registry.generation_folder(folder, generation)
        below.mkdir(mode=0o700)
        segment.check_room(below, needed_bytes(symbols, account=account, recorder_bytes=recorder_bytes))
        self._below = below
        self._rings: dict[str, Words] = {}
        self._ended: dict[str, int] = {}  # by symbol, the next sequence of a ring that is gone
        for each in symbols:
            self.prepare(each, 1)
            self.put(each.symbol)
        self._make("engine", Kind.ENGINE, layout.engine_regions()).close()
        self._make("keeper", Kind.KEEPER, layout.keeper_regions()).close()
        self._make("keeper.ring", Kind.RING, layout.ring_regions(layout.KEEPER_RING_BYTES)).close()
        if account:
            self._make("account", Kind.ACCOUNT, layout.account_regions()).close()
        if recorder_bytes:
            self._make("recorder", Kind.RECORDER, layout.recorder_regions()).close()
            self._make("recorder.ring", Kind.RING, layout.ring_regions(recorder_bytes)).close()
        changed = self._make("changed", Kind.CHANGED, layout.changed_regions())
        events = self._make("events", Kind.EVENTS, layout.events_regions())
        events.claim()
        self.events = EventLog(events, changed)
        self._engine = self._look("engine", Kind.ENGINE)
        self._keeper = self._look("keeper", Kind.KEEPER)
        self._recorder = self._look("recorder", Kind.RECORDER) if recorder_bytes else None

    def prepare(self, settings: SymbolSettings, made: int) -> None:
        """Make an instrument's segments, under other names than its own: who has the old ones keeps them.

        Raises NoRoom, and then nothing is left of them.
        """
        symbol = settings.symbol
        try:
            self._make(f"{symbol}.ring{_PREPARED}", Kind.RING, _ring_regions(settings), symbol, made).close()
            self._make(f"{symbol}.book{_PREPARED}", Kind.BOOK, _book_regions(settings), symbol, made).close()
            if settings.process and not (self._below / f"{settings.process}.bell").exists():
                self._make(f"{settings.process}.bell", Kind.BELL, layout.bell_regions()).close()
        except NoRoom:
            self._unlink(symbol, _PREPARED)
            raise

    def put(self, symbol: str) -> None:
        """Give prepared segments their names. Nobody may write to the old ones any more: the new ring begins there."""
        self._end(symbol)
        ring = self._below / f"{symbol}.ring"
        new = ring.with_name(f"{ring.name}{_PREPARED}")
        attached = segment.attach(new, Kind.RING, writable=True, generation=self.generation, symbol=symbol)
        attached.array("words")[layout.FIRST_SEQUENCE] = self._ended.get(symbol, 0)
        attached.close()
        new.rename(ring)
        (self._below / f"{symbol}.book{_PREPARED}").rename(self._below / f"{symbol}.book")
        self._rings[symbol] = self._look(ring.name, Kind.RING, symbol)

    def drop(self, symbol: str) -> None:
        """Remove an instrument's segments. Nobody may write to them any more."""
        self._end(symbol)
        self._unlink(symbol, "")

    def discard(self, symbol: str) -> None:
        """Remove prepared segments that are not put into their place."""
        self._unlink(symbol, _PREPARED)

    def drop_bell(self, process: str) -> None:
        """Remove the bell of a process that is no more, if it had one."""
        (self._below / f"{process}.bell").unlink(missing_ok=True)

    def _end(self, symbol: str) -> None:
        """Note where a ring has come to: what was put in and never published counts too, as it may be in a log."""
        words = self._rings.pop(symbol, None)
        if words is not None:
            self._ended[symbol] = max(int(words[layout.NEXT_SEQUENCE]), int(words[layout.FIRST_SEQUENCE]))

    def _unlink(self, symbol: str, ending: str) -> None:
        for kind in ("ring", "book"):
            (self._below / f"{symbol}.{kind}{ending}").unlink(missing_ok=True)

    def _make(self, name: str, kind: Kind, regions: Regions, symbol: str = "", made: int = 1) -> Segment:
        path = self._below / name
        return segment.create(path, kind, regions, generation=self.generation, symbol=symbol, made=made)

    def _look(self, name: str, kind: Kind, symbol: str = "") -> Words:
        """The words of one segment, mapped read-only."""
        return segment.attach(self._below / name, kind, generation=self.generation, symbol=symbol).array("words")

    def engine_beat(self) -> int:
        return int(self._engine[layout.ENGINE_WORDS.index("heartbeat") * layout.WORDS_A_LINE])

    def keeper_beat(self) -> int:
        return int(self._keeper[layout.KEEPER_WORDS.index("heartbeat") * layout.WORDS_A_LINE])

    def recorder_beat(self) -> int:
        assert self._recorder is not None
        return int(self._recorder[layout.RECORDING_WORDS.index("heartbeat") * layout.WORDS_A_LINE])

    def worker_beat(self, process: WorkerProcess) -> int:
        """Grows as long as the process goes on with any of its instruments."""
        return sum(int(self._rings[each.symbol][layout.HEARTBEAT]) for each in process.symbols)

    def begun(self, process: WorkerProcess) -> Begun | None:
        """The record that the worker was applying when it last said so; it has at most one in hand."""
        for each in process.symbols:
            if sequence := int(self._rings[each.symbol][layout.BEGUN]):
                return Begun(each.symbol, sequence)
        return None


def needed_bytes(symbols: tuple[SymbolSettings, ...], *, account: bool = False, recorder_bytes: int = 0) -> int:
    """What all segments of one generation take."""
    common = [layout.engine_regions(), layout.changed_regions(), layout.events_regions()]
    common += [layout.keeper_regions(), layout.ring_regions(layout.KEEPER_RING_BYTES)]
    if account:
        common.append(layout.account_regions())
    if recorder_bytes:
        common += [layout.recorder_regions(), layout.ring_regions(recorder_bytes)]
    each = sum(layout.total_bytes(_ring_regions(one)) + layout.total_bytes(_book_regions(one)) for one in symbols)
    bells = sum(layout.total_bytes(layout.bell_regions()) for one in processes_of(symbols).values() if one.has_bell)
    return each + bells + sum(layout.total_bytes(regions) for regions in common)


def _ring_regions(settings: SymbolSettings) -> Regions:
    return layout.ring_regions(settings.ring_mib << 20)


def _book_regions(settings: SymbolSettings) -> Regions:
    return layout.book_regions(settings.levels, settings.max_depth)
