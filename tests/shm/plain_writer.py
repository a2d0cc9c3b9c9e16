"""A writer of book segments in plain Python, after layout.py's protocol and nothing else: no kernel, no engine.

`PlainEngine` is a folder with a registry, a held life lock and one generation at a time; `PlainWriter` writes one
instrument's book segment. As a program it races: `python -m tests.shm.plain_writer FOLDER GENERATION SYMBOL KIND`
writes without a pause, until its standard input ends, rows and cells in which every number is the same one, so
that a reader knows a torn one when it sees it. x86-64 only: it trusts that stores are seen in program order.
"""

import ctypes
import os
import platform
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from shm import layout, registry, segment
from shm.eventlog import EventLog
from shm.layout import CELL, CELLS, EVENT, LEVEL, QUOTE, SLOT, TRADE, EventKind, Kind, State
from shm.life import LifeLock, start_ticks
from shm.registry import Listed, Registry

LEVELS = 16
MAX_DEPTH = 64
TAPE_ROWS = 64
QUOTE_ROWS = 32
EVENT_ROWS = 16
MAX_LAG_MS = 1000

BIDS = [(86400 - k, 3 + k) for k in range(LEVELS + 4)]  # a book that is deeper than what is published
ASKS = [(86401 + 2 * k, 1 + k) for k in range(LEVELS + 2)]

_FUTEX_CALL = 98 if platform.machine() == "aarch64" else 202
_FUTEX_WAKE = 1
_EVERYONE = 0x7FFFFFFF

Levels = Sequence[tuple[int, int]]  # (price in ticks, size in units), best first


def boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def wake(array: np.ndarray, index: int) -> int:
    """FUTEX_WAKE everybody who sleeps on a word; how many that was."""
    address = array.ctypes.data + index * array.itemsize
    woken: int = ctypes.CDLL(None).syscall(_FUTEX_CALL, ctypes.c_void_p(address), _FUTEX_WAKE, _EVERYONE, None, None, 0)
    return woken


class PlainWriter:
    """Writes one instrument. State fields that a publication does not name keep what they last said."""

    def __init__(self, folder: Path, generation: int, symbol: str) -> None:
        place = registry.generation_folder(folder, generation)
        self.segment = segment.attach(
            place / f"{symbol}.book", Kind.BOOK, writable=True, generation=generation, symbol=symbol
        )
        ring = segment.attach(place / f"{symbol}.ring", Kind.RING, writable=True, generation=generation, symbol=symbol)
        changed = segment.attach(place / "changed", Kind.CHANGED, writable=True, generation=generation)
        self.control = self.segment.array("control").view(np.int64)
        self.cells = self.segment.array("cells")
        self.cell_levels = self.segment.array("cell_levels")
        self.slots = self.segment.array("slots")
        self.slot_levels = self.segment.array("slot_levels")
        self.tape = self.segment.array("tape")
        self.quotes = self.segment.array("quotes")
        self.events = self.segment.array("events")
        self.ring = ring.array("words").view(np.int64)
        self.changed = changed.array("words").view(np.int64)
        self.state = np.zeros((), layout.STATE)
        self.state["contract"] = b"CON.F.US.MNQ.Z26"
        self.state["price_scale"] = 2
        self.state["price_increment"] = 25
        self.state["size_increment"] = 1
        self.state["source"] = layout.Source.VENUE
        self.state["bid_bound"], self.state["ask_bound"] = layout.NO_BOUND, -layout.NO_BOUND
        self.state["sequence"] = generation << layout.GENERATION_SHIFT

    def publish(
        self, bids: Levels, asks: Levels, *, state: State = State.LIVE, through_ns: int | None = None, **fields: int
    ) -> int:
        """One publication, then the wake-up; its number. `through_ns`: now unless given."""
        number = int(self.control[layout.PUBLISHED]) + 1
        i = number % CELLS
        self._remember(bids, asks, state, fields)
        self.cells["begin"][i] = number
        self.cells["publish_ns"][i] = boottime_ns()
        for side, levels in enumerate((bids, asks)):
            shown = levels[: self.cell_levels.shape[2]]
            self.cells["n_asks" if side else "n_bids"][i] = len(shown)
            self.cell_levels[i, side, : len(shown)] = np.array(list(shown), LEVEL)
        self.cells["state"][i] = self.state
        self.cells["end"][i] = number
        self.control[layout.PUBLISHED] = number
        self.hear(boottime_ns() if through_ns is None else through_ns)
        self.wake()
        return number

    def checkpoint(self, bids: Levels, asks: Levels, *, state: State = State.LIVE, **fields: int) -> int:
        """The older slot; its number."""
        number = int(self.slots["end"].max()) + 1
        i = number % 2
        self._remember(bids, asks, state, fields)
        self.slots["begin"][i] = number
        for side, levels in enumerate((bids, asks)):
            self.slot_levels[i, side, : len(levels)] = np.array(list(reversed(levels)), LEVEL)
        self.slots["state"][i] = self.state
        self.slots["end"][i] = number
        return number

    def trade(self, *rows: tuple[int, int, int], sequence: int = 1, wakes: bool = True) -> None:
        """(price, size, side) rows of one record onto the tape."""
        made = np.zeros(len(rows), TRADE)
        for index, (price, size, side) in enumerate(rows):
            made[index] = (sequence, index, 5, 6, price, size, side, 0)
        self._broadcast(self.tape, layout.TAPE_INTENT, layout.TAPE_COUNT, made, wakes)

    def quote(self, bid: int, bid_size: int, ask: int, ask_size: int, *, sequence: int = 1) -> None:
        made = np.array([(sequence, State.LIVE, 5, 6, bid, bid_size, ask, ask_size)], QUOTE)
        self._broadcast(self.quotes, layout.QUOTE_INTENT, layout.QUOTE_COUNT, made, True)

    def event(self, kind: EventKind, wall_ns: int, **fields: int | bytes) -> None:
        made = np.zeros(1, EVENT)
        made["kind"], made["wall_ns"] = int(kind), wall_ns
        for name, value in fields.items():
            made[name] = value
        self._broadcast(self.events, layout.EVENT_INTENT, layout.EVENT_COUNT, made, True)

    def hear(self, through_ns: int) -> None:
        """A clock frame."""
        self.control[layout.THROUGH_NS] = through_ns

    def wake(self) -> int:
        """Bump both words and wake who sleeps on them; how many."""
        self.control[layout.WAKE] += 1
        self.changed[0] += 1
        return wake(self.control, layout.WAKE) + wake(self.changed, 0)

    def _remember(self, bids: Levels, asks: Levels, state: State, fields: dict[str, int]) -> None:
        self.state["state"] = state
        self.state["sequence"] += 1
        self.state["recv_ns"] = boottime_ns()
        self.state["n_bids"], self.state["n_asks"] = len(bids), len(asks)
        for name, levels in (("best_bid", bids), ("best_ask", asks)):
            self.state[name], self.state[f"{name}_size"] = levels[0] if levels else (0, 0)
        for name, value in fields.items():
            self.state[name] = value

    def _broadcast(self, rows: np.ndarray, intent: int, count: int, made: np.ndarray, wakes: bool) -> None:
        first = int(self.control[count])
        self.control[intent] = first + len(made)
        for i, row in enumerate(made):
            rows[(first + i) % len(rows)] = row
        self.control[count] = first + len(made)
        if wakes:
            self.wake()


class PlainEngine:
    """A folder that looks to readers like a running engine's; the life lock is this process's own."""

    def __init__(self, root: Path, name: str = "default", symbols: Sequence[str] = ("MNQ", "MES")) -> None:
        self.root = root
        self.name = name
        self.folder = registry.engine_folder(name, root)
        registry.make_folder(self.folder)
        self.lock: LifeLock | None = None
        self.generation = 0
        self.made: dict[str, int] = {}
        self.writers: dict[str, PlainWriter] = {}
        self.start(symbols)

    def start(self, symbols: Sequence[str]) -> None:
        """Begin the next generation."""
        if self.lock is None:
            self.lock = LifeLock.take(self.folder / "supervisor.lock")
        self.generation += 1
        place = registry.generation_folder(self.folder, self.generation)
        place.mkdir(mode=0o700)
        generation = self.generation
        changed = segment.create(place / "changed", Kind.CHANGED, layout.changed_regions(), generation=generation)
        events = segment.create(place / "events", Kind.EVENTS, layout.events_regions(EVENT_ROWS), generation=generation)
        self.log = EventLog(events, changed)
        self.writers = {}
        self.made = {}
        for symbol in symbols:
            self.make(symbol)
        self.register(symbols)

    def make(self, symbol: str) -> PlainWriter:
        """An instrument's segments, anew if there are some. Nobody is told."""
        place = registry.generation_folder(self.folder, self.generation)
        self.made[symbol] = made = self.made.get(symbol, 0) + 1
        for kind, regions in (
            (Kind.BOOK, layout.book_regions(LEVELS, MAX_DEPTH, TAPE_ROWS, QUOTE_ROWS, EVENT_ROWS)),
            (Kind.RING, layout.ring_regions(layout.MIN_RING_BYTES)),
        ):
            path = place / f"{symbol}.{kind.name.lower()}"
            segment.create(path, kind, regions, generation=self.generation, symbol=symbol, made=made)
        self.writers[symbol] = PlainWriter(self.folder, self.generation, symbol)
        return self.writers[symbol]

    def register(self, symbols: Sequence[str], *, pid: int = 1, restarts: int = 0, parked: str = "") -> None:
        """Write the registry; the keywords go into every instrument's line."""
        ticks = start_ticks(os.getpid())
        assert ticks is not None
        found = Registry(
            layout_version=layout.LAYOUT_VERSION,
            name=self.name,
            generation=self.generation,
            supervisor_pid=os.getpid(),
            supervisor_start_ticks=ticks,
            venue="simulator",
            data_folder="data",
            engine_pid=os.getpid(),
            simulator_url=None,
            truth_folder=None,
            instruments=tuple(
                Listed(
                    symbol, symbol, pid, restarts, parked, LEVELS, MAX_DEPTH, 1, MAX_LAG_MS, self.made.get(symbol, 1)
                )
                for symbol in symbols
            ),
        )
        registry.write(self.folder, found)

    def end(self) -> None:
        """As if the supervisor were killed: the lock goes, the files stay."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def __enter__(self) -> "PlainEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()


class Racer:
    """A process that writes MNQ without a pause for the length of a `with`: "cells", "slots" or "tape"."""

    def __init__(self, engine: PlainEngine, kind: str) -> None:
        command = [sys.executable, "-m", __name__, str(engine.folder), str(engine.generation), "MNQ", kind]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(20) == 0


def _race_cells(writer: PlainWriter) -> None:
    """Publications without a pause; every level, and each best price and size, is the publication's number."""
    writer.publish([(1, 1)] * LEVELS, [(1, 1)] * LEVELS)
    writer.cells["n_bids"] = writer.cells["n_asks"] = LEVELS
    writer.cells["state"] = writer.state
    words = writer.cells.view(np.int64).reshape(CELLS, -1)
    bodies = [[writer.cell_levels[i].view(np.int64), *_numbered(words[i])] for i in range(CELLS)]
    begins = [words[i][0:1] for i in range(CELLS)]
    ends = [words[i][1:2] for i in range(CELLS)]
    published = writer.control[layout.PUBLISHED : layout.PUBLISHED + 1]
    number = 1
    while True:
        for _ in range(1000):
            number += 1
            i = number % CELLS
            begins[i].fill(number)
            for part in bodies[i]:
                part.fill(number)
            ends[i].fill(number)
            published.fill(number)
        writer.hear(boottime_ns())
        if _told_to_stop():
            return


def _numbered(cell: np.ndarray) -> list[np.ndarray]:
    fields = layout.STATE.fields
    assert fields is not None
    assert CELL.fields is not None
    state = CELL.fields["state"][1]
    best = (state + fields["best_bid"][1]) // 8
    return [cell[best : best + 4], cell[state // 8 : state // 8 + 1]]  # the four of the best, and `sequence`


def _race_slots(writer: PlainWriter) -> None:
    """Checkpoints without a pause; every level is the checkpoint's number."""
    writer.publish([(1, 1)], [(1, 1)])
    writer.slots["state"] = writer.state
    writer.slots["state"]["n_bids"] = writer.slots["state"]["n_asks"] = MAX_DEPTH
    words = writer.slots.view(np.int64).reshape(2, -1)
    assert SLOT.fields is not None
    sequence = SLOT.fields["state"][1] // 8
    number = 0
    while True:
        for _ in range(1000):
            number += 1
            slot = words[number % 2]
            slot[0] = number
            writer.slot_levels[number % 2].view(np.int64).fill(number)
            slot[sequence] = number
            slot[1] = number
        writer.hear(boottime_ns())
        if _told_to_stop():
            return


def _race_tape(writer: PlainWriter) -> None:
    """Trades without a pause, three a record; every number of row n is n."""
    writer.publish([(1, 1)], [(1, 1)])
    rows = writer.tape.view(np.int64).reshape(TAPE_ROWS, -1)
    control = writer.control
    number = 0
    while True:
        for _ in range(1000):
            control[layout.TAPE_INTENT] = number + 3
            for n in range(number, number + 3):
                rows[n % TAPE_ROWS].fill(n)
            number += 3
            control[layout.TAPE_COUNT] = number
        writer.hear(boottime_ns())
        if _told_to_stop():
            return


def _told_to_stop() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


if __name__ == "__main__":
    folder, generation, symbol, kind = sys.argv[1:]
    race = {"cells": _race_cells, "slots": _race_slots, "tape": _race_tape}[kind]
    race(PlainWriter(Path(folder), int(generation), symbol))
