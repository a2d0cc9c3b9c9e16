"""One instrument's memory as a running engine has it, in files that readers attach to, and nobody who runs.

The benchmark itself is the engine, the worker or the reader, so that what is measured has the cores to itself.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shm import layout, registry, segment
from shm.layout import LAYOUT_VERSION, Kind
from shm.life import LifeLock, start_ticks
from shm.registry import Listed, Registry
from shm.ring import RingWriter
from shm.segment import Segment
from workers.job import Task
from workers.worker import Worker, map_memory

NAME = "bench"
SYMBOL = "MNQ"
GENERATION = 1
LEVELS, MAX_DEPTH, RING_MIB, MAX_LAG_MS = 64, 2048, 4, 1000  # as shipped


@dataclass(frozen=True, slots=True)
class Stage:
    """`root` is what a reader attaches with."""

    root: Path
    ring: Segment
    book: Segment
    changed: Segment

    def writer(self) -> RingWriter:
        """The engine's end of the ring."""
        return RingWriter(self.ring.array("words"), GENERATION)

    def worker(self) -> Worker:
        """A worker with the shipped settings; its loop is the caller's."""
        return Worker(map_memory(self.ring, self.book, self.changed), Task(SYMBOL, 256, 1000, 0, ()), Path())


@contextmanager
def staged() -> Iterator[Stage]:
    """The folder of an engine whose supervisor is this process; removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="shardbook-bench-", dir=registry.root_folder()))
    try:
        folder = registry.engine_folder(NAME, root)
        registry.make_folder(folder)
        lock = LifeLock.take(folder / "supervisor.lock")
        place = registry.generation_folder(folder, GENERATION)
        place.mkdir(mode=0o700)
        stage = Stage(
            root,
            segment.create(
                place / f"{SYMBOL}.ring",
                Kind.RING,
                layout.ring_regions(RING_MIB << 20),
                generation=GENERATION,
                symbol=SYMBOL,
            ),
            segment.create(
                place / f"{SYMBOL}.book",
                Kind.BOOK,
                layout.book_regions(LEVELS, MAX_DEPTH),
                generation=GENERATION,
                symbol=SYMBOL,
            ),
            segment.create(place / "changed", Kind.CHANGED, layout.changed_regions(), generation=GENERATION),
        )
        registry.write(folder, _registry())
        yield stage
        lock.release()
    finally:
        shutil.rmtree(root)


def _registry() -> Registry:
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    return Registry(
        layout_version=LAYOUT_VERSION,
        name=NAME,
        generation=GENERATION,
        supervisor_pid=os.getpid(),
        supervisor_start_ticks=ticks,
        venue="bench",
        data_folder="",
        engine_pid=0,
        simulator_url=None,
        truth_folder=None,
        instruments=(Listed(SYMBOL, SYMBOL, 0, 0, "", LEVELS, MAX_DEPTH, RING_MIB, MAX_LAG_MS),),
    )
