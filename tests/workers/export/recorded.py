"""A worker at work, and the journal of what it was given."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.recorder.recorder import Moment, Options, Recorder
from shm import layout
from shm.journal_entries import Entry, Lane, Piece
from shm.layout import Reason
from tests.shm.test_refill import recorded
from tests.workers.rig import Rig, depth, snapshot, trades

SYMBOL = "MNQ"
TICK_SIZE = 0.25
LANE = Lane(0, SYMBOL, 1, 1, 1 << 20)

Sides = tuple[dict[int, int], dict[int, int]]  # sizes by price in ticks, bids and asks


class Run(NamedTuple):
    """`books`: after each record that was applied its sequence, and the levels; None while they are not known."""

    files: list[Path]
    books: list[tuple[int, Sides | None]]
    trades: list[tuple[int, int, int]]  # price, size, side


def run(folder: Path, rng: np.random.Generator, records: int) -> Run:
    """Random depth, trades and gaps through a worker, one record a publication."""
    rig = Rig(levels=8, max_depth=256)
    entries: list[Entry] = [LANE]
    books: list[tuple[int, Sides | None]] = []

    def flush() -> None:
        words = rig.ring.array("words")
        begin = int(words[layout.TAIL])
        rig.drain()
        end = int(words[layout.TAIL])
        entries.append(Piece(0, begin, end, memoryview(recorded(words, begin, end))))
        known = bool(rig.memory.state["synced"][0])
        sides = dict(rig.working(layout.BID)), dict(rig.working(layout.ASK))
        books.append((int(rig.memory.state["sequence"][0]), sides if known else None))

    rig.configure()
    flush()
    rig.send(snapshot(20, 20))
    flush()
    for n in range(2, records):
        what = int(rng.integers(30))
        if what == 0:
            rig.engine.gap(Reason.DISCONNECTED)
            flush()
            rig.send(snapshot(10, 10, 21000 + float(rng.integers(20)), n))
        elif what < 8:
            price = 21000 + TICK_SIZE * int(rng.integers(-9, 9))
            rig.send(trades([(price, int(rng.integers(1, 9)), int(rng.integers(2)))], n))
        else:
            side = int(rng.integers(2))
            price = 21000 + TICK_SIZE * (int(rng.integers(-40, -20)) if side else int(rng.integers(20, 40)))
            rig.send(depth([(3 + side, price, int(rng.integers(0, 9)))], n))
        flush()
    now = Moment(*(int(rig.memory.state[name][0]) for name in ("wall_ns", "recv_ns")))
    recorder = Recorder(folder, 1, Options())
    recorder.take(entries, now)
    recorder.close(now)
    tape: list[Any] = rig.tape()
    return Run(sorted(folder.iterdir()), books, [(price, size, side) for _, _, price, size, side in tape])
