"""A turn of the recorder: what the engine put into its ring becomes blocks of a journal, and its room is given back.

A turn ends with nothing gathered: what it took is written, or counted as lost, and only then is the ring's room given
back. So a kill at any moment loses nothing, and the next recorder meets no more than one turn's pieces twice. It costs
no smaller blocks, because a turn is as long as a block may wait (`block_ms`), and a block is closed at `block_kib`
within it.
"""

import logging
import time
from typing import Final

from shm import segment
from shm.layout import RECORDING_WORDS, STRETCH, Kind
from shm.life import is_held
from shm.pieces import Pieces
from shm.registry import generation_folder

from ..config import JournalSettings
from ..job import Job
from ..page import Page
from .disk import Disk
from .health import State
from .lanes import Lanes
from .predecessor import read_left
from .recorder import Moment, Options, Recorder
from .rests import Rests
from .retention import Limits

TURN_BYTES: Final = 4 << 20  # at most, so that a stop is not waited for
ENGINE_END_S: Final = 1.0  # a killed one needs less
_POLL_S: Final = 0.005

_MIB: Final = 1 << 20
_DAY_NS: Final = 86_400_000_000_000

_log = logging.getLogger(__name__)


class Taking:
    """The work of one process. Nothing in it waits for anything but the engine and the disk."""

    def __init__(self, job: Job, disk: Disk | None = None) -> None:
        """Raises LayoutError, FileNotFoundError for segments that are not there."""
        settings = job.settings.journal
        self._here = generation_folder(job.folder, job.generation)
        own = segment.attach(self._here / "recorder", Kind.RECORDER, writable=True, generation=job.generation)
        own.claim()
        self._page = Page(own.array("words"), RECORDING_WORDS)
        ring = segment.attach(self._here / "recorder.ring", Kind.RING, writable=True, generation=job.generation)
        folder = job.settings.journal_folder
        left = read_left(folder, job.generation)
        self._pieces = Pieces(ring.array("words"))
        self._rests = Rests(self._here, job.generation)
        self._lanes = Lanes(self._rests.capacity, left.lanes.values())
        self._engine_lock = job.folder / "engine.lock"
        self._recorder = Recorder(folder, job.generation, options(settings), disk, left)
        self._before = {name: self._page.read(name) for name, _ in self._recorder.counts.rows()}
        self._turn_ns = settings.block_ms * 1_000_000
        self._said = State.RECORDING

    def wait(self) -> None:
        """For a turn's time, or until there is much to do."""
        self._pieces.wait(self._turn_ns)

    def turn(self, now: Moment) -> bool:
        """Take what is there, and write it; True if there may be more."""
        self._rests.look()
        taken = list(self._pieces.take(TURN_BYTES))
        self._recorder.take(self._lanes.entries(taken), now)
        if sum(STRETCH.itemsize + len(piece.data) for piece in taken) < TURN_BYTES:  # that was all
            self._recorder.take(self._lanes.entries(self._rests.take()), now)
        self._recorder.tick(now)
        assert self._recorder.unwritten == 0  # see the head of this file
        self._pieces.done()
        self._tell()
        return len(taken) > 0

    def close(self, now: Moment) -> None:
        """The end in order: what the engine has put is written, and the file closed.

        If the engine has ended, it is for good, and what it could not put is written too.
        """
        is_over = self._engine_ended()
        while self.turn(now):
            pass
        if is_over:
            self._recorder.take(self._lanes.entries(self._rests.take(all_are_over=True)), now)
        self._recorder.close(now)
        self._tell()

    def _tell(self) -> None:
        self._page.add("heartbeat")
        for name, count in self._recorder.counts.rows():
            self._page.set(name, self._before[name] + count)
        health = self._recorder.health
        self._page.set("state", int(health.state))
        if health.state != self._said:
            _log.warning("%s", f"{health.state.name.lower()} {health.why}".rstrip())
        self._said = health.state

    def _engine_ended(self) -> bool:
        """Whether it has; one whose supervisor died with ours ends at the same moment as this begins to."""
        until_s = time.monotonic() + ENGINE_END_S
        while is_held(self._engine_lock):
            if time.monotonic() > until_s:
                return False
            time.sleep(_POLL_S)
        return True


def options(settings: JournalSettings) -> Options:
    """How the recorder writes. No block waits for longer than its turn."""
    limits = Limits(settings.keep_mib * _MIB or None, settings.keep_days * _DAY_NS or None)
    return Options(settings.block_kib << 10, 0, settings.file_mib * _MIB, settings.fsync_s * 10**9, limits)
