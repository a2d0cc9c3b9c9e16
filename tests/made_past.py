"""A journal of two instruments, and what a slow replay sees of one of them after each of its records."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.recorder.recorder import Options, Recorder
from shm import layout
from shm.journal_entries import Entry, Lane, Piece
from shm.layout import Reason, Record
from shm.refill import words_of
from shm.stretches import Stream
from tests.made_journal import BEGIN, later
from tests.shm.test_refill import recorded
from tests.workers.rig import Rig, depth, quote, snapshot, trades
from workers.passage import LEVELS, MAX_DEPTH
from workers.rerun import Rerun

FILE_BYTES = 20_000
_HEAD = struct.Struct("<II3q")

SAME = [name for name in layout.STATE.names or () if name != "position"]  # where it lay in a ring of the replay


class Past(NamedTuple):
    """After each record: receive time of day, the venue's stamp of the book, the state, the levels of both sides."""

    wall_ns: int
    venue_ns: int
    state: Any
    sides: tuple[bytes, bytes]


def pieces(
    rng: np.random.Generator, count: int, stream: Stream, begin_ns: int, set_back_ns: int = 3_000_000
) -> list[Piece]:
    """Of a ring with that stream: stamps `begin_ns` and later, some set back by so much. The lane is to be put in."""
    rig = Rig(levels=8, max_depth=64, generation=stream.generation)
    words = rig.ring.array("words")
    found = []
    wall_ns, n = begin_ns, begin_ns % 1_000_000_000
    rig.configure()
    rig.send(snapshot(n=n))
    for _ in range(count):
        for _ in range(int(rng.integers(1, 5))):
            n += int(rng.integers(0, 300))
            price = 21000.0 + 0.25 * int(rng.integers(-9, 9))
            what = rng.integers(40)
            if what == 0:
                rig.engine.gap(Reason.DISCONNECTED)
            elif what == 1:
                rig.send(snapshot(n=max(0, n - 900)))
            elif what < 6:
                rig.send(trades([(price, int(rng.integers(1, 9)), int(rng.integers(2)))], n))
            elif what < 10:
                rig.engine.clock()
            elif what < 14:
                rig.send(quote(lastPrice=price))
            else:
                rig.send(depth([(int(rng.integers(3, 5)), price, int(rng.integers(0, 9)))], n))
        before = int(words[layout.TAIL])
        rig.drain()
        wall_ns += int(rng.integers(0, 4_000_000)) - (set_back_ns if rng.integers(20) == 0 else 0)
        after = int(words[layout.TAIL])
        found.append(Piece(0, before, after, memoryview(_stamped(recorded(words, before, after), wall_ns))))
    return found


def slow_replay(*streams: Sequence[Piece]) -> list[Past]:
    """Record after record, and each ring from nothing."""
    seen = []
    for stream in streams:
        rerun = Rerun(LEVELS, MAX_DEPTH)
        for piece in stream:
            for memory in rerun.step(words_of(piece.data)):
                state = memory.state[0]
                sides = tuple(memory.levels[i, : int(state[n])].tobytes() for i, n in enumerate(("n_bids", "n_asks")))
                seen.append(Past(int(state["wall_ns"]), int(state["venue_ns"]), state.copy(), (sides[0], sides[1])))
    return seen


def record(folder: Path, generation: int, entries: Sequence[Entry], *, close: bool = True) -> None:
    """What a recorder makes of them; small files, and if it is not closed the last one has no end."""
    recorder = Recorder(folder, generation, Options(block_bytes=4000, file_bytes=FILE_BYTES))
    for entry in entries:
        recorder.take([entry], BEGIN)
    recorder.tick(later(1000))
    if close:
        recorder.close(later(1000))


def of_lane(lane: Lane, found: Sequence[Piece]) -> list[Entry]:
    return [lane, *(piece._replace(lane=lane.lane) for piece in found)]


def _stamped(data: bytes, wall_ns: int) -> bytes:
    """The same records, received from `wall_ns` on, a microsecond apart."""
    made = bytearray(data)
    at = 0
    while at < len(made):
        size, kind, sequence, _, _ = _HEAD.unpack_from(made, at)
        if kind == Record.PAD:
            at += size
            continue
        _HEAD.pack_into(made, at, size, kind, sequence, wall_ns - BEGIN.wall_ns + BEGIN.boot_ns, wall_ns)
        wall_ns += 1000
        at += layout.RECORD_BYTES + ((size + 8) & ~7)
    return bytes(made)
