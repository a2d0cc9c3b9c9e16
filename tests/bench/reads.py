"""What a reader pays in Python for each kind of read, liveness checked, while nobody else writes.

Before each kind the book is published anew, so it is live and in another cell. Beside it what the same bytes cost
through a plain memoryview: no check whether they are whole, whether they are live, whose they are.
"""

import itertools
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from shm import attach, layout
from shm.ring import RingWriter
from tests.workers import rig
from workers import pump, worker
from workers.worker import Worker

from . import records, stage
from .row import Promise, Row

CALLS = 1000


def rows(quick: bool) -> Iterator[Row]:
    rounds = 5 if quick else 31
    worker.warm()
    with stage.staged() as staged, attach(stage.NAME, root=staged.root) as market:
        instrument = market[stage.SYMBOL]
        writer, taker = staged.writer(), staged.worker()
        writer.configure(rig.config())
        writer.push(records.snapshot())
        updates = itertools.cycle(records.depths(500, (6,)))
        bare_quote, bare_top, bare_book = _bare_reads(memoryview(staged.book.memory), staged.book.regions)
        kinds: list[tuple[str, Callable[[], object], str | None, Promise | None]] = [
            ("memoryview: two prices, two sizes", bare_quote, None, None),
            ("quote()", instrument.quote, "memoryview: two prices, two sizes", Promise(0.5)),
            ("memoryview: ten levels", bare_top, None, None),
            ("top(10)", partial(instrument.top, 10), "memoryview: ten levels", Promise(1.0)),
            ("memoryview: all published levels", bare_book, None, None),
            ("book()", instrument.book, "memoryview: all published levels", None),
            ("depth()", instrument.depth, None, None),
        ]
        times: dict[str, list[float]] = {name: [] for name, _, _, _ in kinds}
        for _ in range(rounds + 1):
            for name, read, _, _ in kinds:
                writer.push(next(updates))
                _apply(writer, taker)
                times[name].append(_each_us(read))
        assert instrument.status().live
        medians = {name: statistics.median(found[1:]) for name, found in times.items()}
        for name, _, against, promise in kinds:
            baseline = medians[against] if against else None
            compared = f"{against}: {baseline:.3g} us" if against else None
            yield Row("reads", name, medians[name], "us", compared, baseline, promise)


def _apply(writer: RingWriter, taker: Worker) -> None:
    """Publish, take it all, and checkpoint: `depth` reads that."""
    writer.publish()
    while (code := pump.pump(taker.memory)) != pump.IDLE:
        if code != pump.MORE:
            taker.handle(code)
    pump.checkpoint(taker.memory)


def _each_us(read: Callable[[], object]) -> float:
    begin_ns = time.process_time_ns()
    for _ in itertools.repeat(None, CALLS):
        read()
    return (time.process_time_ns() - begin_ns) / 1e3 / CALLS


def _bare_reads(memory: memoryview, regions: layout.Regions) -> tuple[Callable[[], object], ...]:
    """The bytes of the best, of ten levels and of all levels, at a place that is known before."""
    fields = layout.CELL.fields
    assert fields is not None
    state = layout.STATE.fields
    assert state is not None
    best = regions["cells"].offset + fields["state"][1] + state["best_bid"][1]
    levels = regions["cell_levels"].offset
    side = stage.LEVELS * layout.LEVEL.itemsize
    four = struct.Struct("<4q").unpack_from
    ten = 10 * layout.LEVEL.itemsize

    def top() -> object:
        return memory[levels : levels + ten].tobytes(), memory[levels + side : levels + side + ten].tobytes()

    def book() -> object:
        return np.frombuffer(memory[levels : levels + 2 * side].tobytes(), layout.LEVEL)

    return partial(four, memory, best), top, book
