"""One worker process: maps its rings and its books, recovers, and pumps until it is told to stop.

After a clean start, a restart or a kill it begins at the newest whole checkpoint of its book, with the ring from there
on: see recovery.py.
"""

import logging
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np

from shm import layout
from shm.checkpoint import load_slot
from shm.layout import Kind, Reason
from shm.quarantine import record_path
from shm.records import AFTER, AT, CHUNK, CHUNKS, PEEK_WORDS, SEQUENCE, SIZE
from shm.registry import generation_folder
from shm.segment import attach

from . import bars, events, pump, rules
from .decode import rows as decoded
from .decode import slow
from .decode.projectx import decode
from .hotfile import HotFile, open_bars, plan
from .job import Job, Task
from .private import Private, private_ring
from .pump import Memory
from .recovery import Checkpoint, recover, surviving, with_contract
from .shared import FINISH_S, Shared
from .tally import Tally

log = logging.getLogger("worker")

_PAD_BYTES = 128  # zeros behind an assembled record: the scanner's stop
_FULL_WAIT_S = 0.002  # of a replay, between two looks whether the keeper has sealed: it takes a hundred times as long


class Arrays(Protocol):
    """A segment, or what stands for one."""

    def array(self, name: str) -> Any: ...


def map_memory(ring: Arrays, book: Arrays, changed: Arrays) -> Memory:
    """The arrays of one worker: views on its segments, and what is private to it."""
    words = ring.array("words")
    return Memory(
        ring=words,
        ring_bytes=words.view(np.uint8),
        control=book.array("control"),
        cell_words=book.array("cells").view(np.int64),
        cells=book.array("cells"),
        cell_levels=book.array("cell_levels"),
        state=book.array("state"),
        levels=book.array("levels"),
        slot_words=book.array("slots").view(np.int64),
        slots=book.array("slots"),
        slot_levels=book.array("slot_levels"),
        tape=book.array("tape"),
        quotes=book.array("quotes"),
        events=book.array("events"),
        event_bytes=book.array("events").view(np.uint8),
        changed=changed.array("words"),
        rows=np.zeros(decoded.MAX_ROWS, decoded.ROW),
        header=np.zeros(decoded.HEADER_WORDS, np.int64),
        contract=np.zeros(0, np.uint8),
        contract_before=np.zeros(events.CONTRACT_BYTES, np.uint8),
        notes=np.zeros(pump.NOTES, np.int64),
        received=np.zeros(pump.MAX_BATCH, np.int64),
        set_aside=np.zeros(64, np.int64),
        record=np.zeros(PEEK_WORDS, np.int64),
        bars=np.zeros(bars.HEAD_WORDS, np.int64),
        scratch=np.zeros(4, np.int64),
    )


def configure(memory: Memory, config: bytes) -> tuple[Memory, bool]:
    """Take over contract and increments; another contract than before means another book.

    True with it if there was a contract before, and this is another: a roll.
    """
    row = np.frombuffer(config, layout.CONFIG, 1)[0]
    state = memory.state
    before = bytes(state["contract"][0])
    rolled = before not in (b"", bytes(row["contract"]))
    if before != bytes(row["contract"]):
        state["n_bids"] = state["n_asks"] = 0
        state["synced"] = 0
        state["cause"] = int(Reason.ROLL if rolled else Reason.STARTING)
        state["known"] = 0
        memory.contract_before[:] = np.frombuffer(before.ljust(events.CONTRACT_BYTES, b"\0"), np.uint8)
    for name in ("contract", "price_scale", "price_increment", "size_scale", "size_increment", "source"):
        state[name] = row[name]
    state["max_venue_lag_ns"] = row["max_venue_lag_ns"]
    return with_contract(memory), rolled


class Worker:
    """One instrument's loop around `pump`: what the kernel hands back, one record at a time, and when to stop."""

    __slots__ = ("_chunks", "_hot", "_kept_in", "_refusals", "_stopping", "_symbol", "memory")

    def __init__(
        self,
        memory: Memory,
        task: Task,
        data_folder: Path | None,
        hot: HotFile | None = None,
        *,
        replay: bool = False,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """`hot`: the file of its bars, if it has some. `replay`: its records' receive times are of another day.
        `checkpoint`: where it begins, if not at the newest one of its own memory.

        What is set aside is kept in `data_folder`; None: it was kept when it was live.
        """
        self._hot = hot
        memory.notes[pump.REPLAYED] = replay
        if hot is not None:
            memory = memory._replace(bars=hot.desk())
        self.memory = recover(checkpoint or surviving(memory), memory.ring, memory)
        self._symbol = task.symbol
        self._kept_in = data_folder
        self._stopping = False
        self._chunks = bytearray()
        self._refusals = Tally()  # of this life, for the log; readers see the book's own count
        notes = memory.notes
        notes[pump.BATCH_MAX_FRAMES] = min(task.batch_max_frames, pump.MAX_BATCH)
        notes[pump.BATCH_MAX_NS] = task.batch_max_us * 1000
        notes[pump.SPIN_NS] = task.spin_us * 1000
        notes[pump.QUARANTINE] = len(task.quarantine)
        memory.set_aside[: len(task.quarantine)] = task.quarantine

    def stop(self, signum: int = 0, frame: FrameType | None = None) -> None:
        """Finish what is in the ring, then end."""
        self._stopping = True

    def run(self) -> None:
        """Pump until stopped, and then finish."""
        while not self._stopping:
            self.handle(pump.serve(self.memory))
        self.finish(time.monotonic() + FINISH_S)

    def take_turn(self) -> None:
        """One batch, shown before it is another instrument's turn."""
        code = pump.pump(self.memory)
        if code not in (pump.IDLE, pump.MORE):
            self.handle(code)
            pump.end_turn(self.memory)

    def finish(self, by_s: float) -> None:
        """Empty the ring and write a last checkpoint. What its bars have no room for at `by_s`, of time.monotonic,
        stays in the ring: a successor takes it."""
        while (code := pump.pump(self.memory)) != pump.IDLE:
            if code == pump.FULL and time.monotonic() >= by_s:
                log.warning(
                    "%s: the keeper makes no room for its bars: it ends before the end of its ring", self._symbol
                )
                break
            self.handle(code)
        pump.checkpoint(self.memory)

    def handle(self, code: int) -> None:
        """Do in Python, in its place, the one record that the kernel left, if it left one; or wait for the keeper."""
        if code in (pump.IDLE, pump.MORE):
            return
        if code == pump.FULL:
            time.sleep(_FULL_WAIT_S)
            return
        memory = self.memory
        record = memory.record
        at, size = int(record[AT]), int(record[SIZE])
        payload = memory.ring_bytes[at : at + size].tobytes()
        if code == pump.SLOW:
            self._decode_slowly(payload)
        elif code == pump.CONFIGURE:
            self.memory, rolled = configure(memory, payload)
            self._rescale()
            pump.finish_configured(self.memory, rolled)
        elif code == pump.SESSIONS:
            self._take_sessions(payload)
        elif code == pump.SET_ASIDE:
            self._set_aside(payload)
        else:
            self._assemble(payload)

    def _rescale(self) -> None:
        """Bars are in ticks and units: what those are is in their file too."""
        if self._hot is None:
            return
        state = self.memory.state[0]
        scale = [int(state[n]) for n in ("price_scale", "price_increment", "size_scale", "size_increment")]
        if self._hot.rescale(scale):
            self.memory = self.memory._replace(bars=self._hot.desk(through=int(self.memory.record[SEQUENCE])))
        self._hot.scale(self.memory.bars, scale)

    def _take_sessions(self, payload: bytes) -> None:
        """Trading hours: first all bars go through the record, then the table changes; see hotfile.py."""
        sequence = int(self.memory.record[SEQUENCE])
        pump.finish_sessions(self.memory)
        whole = len(payload) % layout.SESSION.itemsize == 0
        rows = np.frombuffer(payload if whole else b"", layout.SESSION)
        if self._hot is not None and not self._hot.take_sessions(self.memory.bars, rows, sequence):
            log.warning("%s: record %d is no table of trading hours", self._symbol, sequence)

    def _set_aside(self, payload: bytes) -> None:
        """Keep the record in a file; of one in chunks the last counts, as everywhere."""
        record = self.memory.record
        is_last = record[CHUNK] + 1 == record[CHUNKS]
        if self._kept_in is not None:
            file = record_path(self._kept_in, self._symbol, int(record[SEQUENCE]))
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab" if record[CHUNK] else "wb") as kept:
                kept.write(payload)
            if is_last:
                log.warning("%s: record %d was set aside", self._symbol, int(record[SEQUENCE]))
        if is_last:
            pump.finish_set_aside(self.memory)
        else:
            self.memory.notes[pump.POSITION] = record[AFTER]

    def _assemble(self, part: bytes) -> None:
        record = self.memory.record
        if record[CHUNK] == 0:
            self._chunks.clear()
        self._chunks += part
        if record[CHUNK] + 1 < record[CHUNKS]:
            self.memory.notes[pump.POSITION] = record[AFTER]  # but nothing is released before the last chunk
            return
        message = bytes(self._chunks)
        self._chunks = bytearray()
        memory, state = self.memory, self.memory.state
        # Of a bytearray, because a read-only array is another type: the kernel would be compiled for it here.
        data = np.frombuffer(bytearray(message + bytes(_PAD_BYTES)), np.uint8)
        scales = state["price_scale"][0], state["size_scale"][0]
        n = decode(data, 0, len(message), memory.contract, len(memory.contract), *scales, memory.rows, memory.header)
        if n < 0:
            self._decode_slowly(message)
        else:
            pump.finish_rows(memory, memory.header[0], n, True)

    def _decode_slowly(self, message: bytes) -> None:
        memory, state = self.memory, self.memory.state
        try:
            event, n = slow.decode(
                message,
                memory.contract.tobytes(),
                int(state["price_scale"][0]),
                int(state["size_scale"][0]),
                memory.rows,
            )
        except slow.Refused as refusal:
            if self._refusals.one_more():
                sequence, count = int(memory.record[SEQUENCE]), self._refusals.count
                log.warning("%s: record %d refused, number %d: %s", self._symbol, sequence, count, refusal)
            pump.finish_refused(memory, refusal.code is not slow.Refusal.UNKNOWN_TARGET)
        else:
            pump.finish_rows(memory, event, n, False)


def run(job: Job) -> int:
    """The life of one worker process; the exit status. The life lock is taken by the fork server's child before."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    folder = generation_folder(Path(job.folder), job.generation)
    changed = attach(folder / "changed", Kind.CHANGED, writable=True, generation=job.generation)
    notes = np.zeros((len(job.instruments), pump.NOTES), np.int64)
    workers = []
    for task, noted in zip(job.instruments, notes, strict=True):
        symbol = task.symbol
        ring = attach(folder / f"{symbol}.ring", Kind.RING, writable=True, generation=job.generation, symbol=symbol)
        book = attach(folder / f"{symbol}.book", Kind.BOOK, writable=True, generation=job.generation, symbol=symbol)
        book.claim()
        memory = map_memory(ring, book, changed)._replace(notes=noted)
        data_folder = Path(job.data_folder)
        wanted = plan(task.timeframes, task.close_grace_ms, task.hot_rows)
        hot = open_bars(data_folder / "bars" / symbol, symbol, job.generation, wanted)
        workers.append(Worker(memory, task, data_folder, hot, replay=job.replay))
    if job.bell:
        bell = attach(folder / f"{job.name}.bell", Kind.BELL, generation=job.generation)
        loop: Worker | Shared = Shared(workers, notes, bell.array("words"))
    else:
        (loop,) = workers
    signal.signal(signal.SIGTERM, loop.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the supervisor decides
    loop.run()
    return 0


def warm() -> None:
    """Compile, or load from the cache, every kernel a worker calls, on memory of no consequence. Starts no thread."""
    ring, book = private_ring(layout.MIN_RING_BYTES), Private(layout.book_regions(8, 16, 16, 16))
    memory = map_memory(ring, book, Private(layout.changed_regions()))
    memory = recover(surviving(memory), memory.ring, memory)
    memory.notes[pump.BATCH_MAX_FRAMES] = 1
    pump.serve(memory)
    pump.pump(memory)  # also where `serve` has it inside: it is called alone at the end, and is loaded alone
    pump.finish_refused(memory, False)
    pump.finish_set_aside(memory)
    pump.finish_configured(memory, True)
    pump.finish_sessions(memory)
    pump.finish_rows(memory, decoded.EVENT_DEPTH, 0, True)
    pump.publish_batch(memory)
    pump.checkpoint(memory)
    _warm_shared(memory)
    decode(np.zeros(_PAD_BYTES, np.uint8), 0, 0, memory.contract, 0, 9, 0, memory.rows, memory.header)
    load_slot(memory.slot_words, memory.slots, memory.slot_levels, memory.state, memory.levels)
    rules.clear_sides(memory.state)


def _warm_shared(memory: Memory) -> None:
    """What only a process with several instruments calls."""
    notes = memory.notes.reshape(1, -1)
    bell = np.zeros(layout.WORDS_A_LINE, layout.WORDS)
    bell.flags.writeable = False  # as it is mapped
    worker = Worker(memory._replace(notes=notes[0]), Task("NONE", 1, 1, 0, ()), Path())
    shared = Shared([worker], notes, bell)
    shared.take_turns()
    notes[0, pump.DUE_FROM] = 1  # so that the rest is short
    shared.rest()
    pump.end_turn(worker.memory)
