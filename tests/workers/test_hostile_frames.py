"""Mutants and bombs through a whole worker: refused as documented, the book untouched, both paths to the same end.

SHARDBOOK_FRAMES=1000000 scripts/test tests/workers/test_hostile_frames.py
"""

import logging
import os
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from shm import layout
from shm.layout import Reason, State
from tests import model
from tests.workers import rig
from tests.workers.decode.mutation import mutate
from tests.workers.rig import Rig, depth, quote, snapshot, trades
from workers.decode import slow as slow_path
from workers.decode.rows import MAX_ROWS, ROW
from workers.decode.slow import Refusal, Refused

FRAMES = int(os.environ.get("SHARDBOOK_FRAMES", "20000"))
TICK = Decimal("0.25")
LEAK_BYTES = 256 << 10  # what is still held of the last frames; a leak is of a thousand
LARGE = 512 << 10
NEVER_NS = (1 << 63) - 1
MOST_TIME = 50  # of what an honest record of the same size takes on the slow path
MOST_MEMORY = 64  # bytes for each byte of a frame: an empty object of two characters is a dict

# What a record may change of the state when it is refused: how far we are, what was counted, and whether it is live.
MOVES = {"sequence", "position", "recv_ns", "wall_ns", "refused", "slow_records"}
UNSYNCS = (
    MOVES
    | {"state", "reason", "cause", "synced", "since_ns", "since_wall_ns", "quoted_state", "resync_wanted"}
    | {
        *("edge_sequence", "edge_wall_ns"),
    }
)
# What two workers fed the same through other paths may differ in: clocks, counts of paths, and how long the text was.
CLOCKS = {"position", "recv_ns", "wall_ns", "since_ns", "since_wall_ns", "fast_records", "slow_records"} | {
    *(
        "lag_ns",
        "lag_min_ns",
        "lag_prior_ns",
        "lag_window_ns",
        "gap_wall_ns",
        "gap_from_wall_ns",
        "data_wall_ns",
        "edge_wall_ns",
    ),
}


@pytest.fixture(autouse=True)
def _without_lines(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A worker says a line for some of the records that it refuses; here that is all of them."""
    with caplog.at_level(logging.CRITICAL, logger="worker"):
        yield


def synced(**settings: Any) -> Rig:
    made = Rig(max_depth=1024, **settings)
    made.configure(max_venue_lag_ns=NEVER_NS)  # a stamp of the year 2261 makes all others late
    made.send(snapshot())
    made.drain()
    return made


def places(without: set[str]) -> npt.NDArray[np.int64]:
    """Which words of a STATE row hold the other fields."""
    fields: Mapping[str, Any] = layout.STATE.fields or {}
    return np.array([fields[name][1] // 8 for name in fields if name not in without | {"spare", "contract"}])


STAYS, ALIKE = places(UNSYNCS), places(CLOCKS)


def words(each: Rig) -> npt.NDArray[np.int64]:
    """The state of a worker as words."""
    return each.memory.state.view(np.int64).copy()


def contents(each: Rig) -> tuple[bytes, bytes, int]:
    """The whole book, and the tape's length."""
    memory, row = each.memory, each.memory.state[0]
    bids, asks = memory.levels[0, : row["n_bids"]], memory.levels[1, : row["n_asks"]]
    return bids.tobytes(), asks.tobytes(), int(memory.control[layout.TAPE_COUNT])


def left_to_slow(message: bytes) -> bytes:
    """The same message with a member that the kernel does not pass over."""
    end = message.rindex(b"}")
    return message[:end] + b',"z":[]' + message[end:]


def good_frame(rng: random.Random, n: int) -> str:
    """A frame of every day: around the snapshot's middle, and mostly not across it."""
    kind = rng.random()
    if kind < 0.25:
        return trades([(21000 + rng.randrange(-8, 9) / 4, rng.randrange(1, 9), rng.randrange(2)) for _ in range(2)], n)
    if kind < 0.4:
        return quote(lastPrice=21000.25, volume=rng.randrange(10**6), changePercent=0.0012, lastUpdated=rig.stamp(n))
    entries = []
    for _ in range(rng.randrange(1, 5)):
        side = rng.choice((1, 2, 1, 2, 3, 4, 9, 10))
        away = rng.randrange(1, 40) / 4
        entries.append((side, 21000 - away if side in (2, 4, 9) else 21000 + away, rng.choice((0, 1, 5, 40))))
    return depth(entries, n)


def model_levels(levels: list[tuple[Decimal, Decimal]]) -> list[tuple[int, int]]:
    return [(int(price / TICK), int(size)) for price, size in levels]


@pytest.mark.timeout(120 + FRAMES // 50)
def test_mutated_frames_through_the_whole_worker(seed: int) -> None:
    rng = random.Random(seed)
    usual, slow = synced(), synced()
    snapshots = [snapshot(rng.randrange(1, 20), rng.randrange(1, 20)) for _ in range(8)]
    decoded = [model.decode(each, rig.CONTRACT) for each in snapshots]
    book = model.Book(TICK)
    book.apply(*model.decode(snapshot(), rig.CONTRACT))
    other = snapshots[0].encode()
    rows = np.zeros(MAX_ROWS, ROW)
    taken = refused = 0
    measured_from, held_from = FRAMES - FRAMES // 10, FRAMES - FRAMES // 20
    for n in range(FRAMES):
        if n == measured_from:
            tracemalloc.start()
        if n == held_from:
            held = tracemalloc.get_traced_memory()[0]
        good = good_frame(rng, n).encode()
        frame, other = mutate(rng, good, other), good
        had, before, counted = contents(usual), words(usual), usual.memory.state[0].copy()
        try:
            slow_path.decode(frame, rig.CONTRACT.encode(), 9, 0, rows)
            said = None
        except Refused as refusal:
            said = refusal.code
        for each, message in ((usual, frame), (slow, frame if said else left_to_slow(frame))):
            assert each.send(message)
            each.drain()
        now = usual.memory.state[0]
        if said is None:
            taken += 1
            book.tape.clear()
            book.apply(*model.decode(frame.decode(), rig.CONTRACT))
            assert now["applied"] + now["refused"] == counted["applied"] + counted["refused"] + 1
            assert contents(usual)[2] == had[2] + len(book.tape), frame
            assert (now["state"] == State.LIVE) == book.live, frame
            if book.live:
                assert usual.working(layout.BID) == model_levels(book.best_bids()), frame
                assert usual.working(layout.ASK) == model_levels(book.best_asks()), frame
        else:
            refused += 1
            assert contents(usual) == had, frame
            assert np.array_equal(words(usual)[STAYS], before[STAYS]), frame
            assert (now["refused"], now["applied"]) == (counted["refused"] + 1, counted["applied"])
            unknown = said is Refusal.UNKNOWN_TARGET
            shown = (State.LIVE, Reason.NONE) if unknown else (State.STALE, Reason.REFUSED)
            assert (now["state"], now["reason"]) == shown, frame
            assert now["resync_wanted"] == counted["resync_wanted"] + (not unknown)
        assert contents(slow) == contents(usual), frame
        assert np.array_equal(words(slow)[ALIKE], words(usual)[ALIKE]), frame
        if now["state"] != State.LIVE:
            again = rng.randrange(len(snapshots))
            book.apply(*decoded[again])
            for each in (usual, slow):
                each.send(snapshots[again])
                each.drain()
                assert each.memory.state[0]["state"] == State.LIVE
    assert tracemalloc.get_traced_memory()[0] < held + LEAK_BYTES
    tracemalloc.stop()
    row = usual.memory.state[0]
    print(f"{taken} taken, {refused} refused, {row['fast_records']} records by the kernel")
    assert min(taken, refused) > FRAMES // 5
    assert slow.memory.state[0]["slow_records"] >= FRAMES
    assert usual.engine.delivered == row["applied"] + row["refused"]
    assert row["dropped"] == row["quarantined"] == 0


Shape = Callable[[int], bytes]


def _honest(size: int) -> bytes:
    """A depth list that is too long to be usual, and that the kernel leaves to the slow path."""
    entry = '{"type":2,"price":20990.25,"volume":5,"timestamp":"2026-11-22T14:33:00.12Z","z":[]}'
    return _payload("Depth", lambda size: "[" + ",".join([entry] * (size // len(entry))) + "]]}")(size)


def _payload(target: str, text: Callable[[int], str]) -> Shape:
    head = f'{{"type":1,"target":"Gateway{target}","arguments":["{rig.CONTRACT}",'
    return lambda size: (head + text(size)).encode()


SHAPES: dict[str, Shape] = {
    "lists": _payload("Depth", lambda size: "[" * size),
    "lists that are closed": _payload("Depth", lambda size: "[" * (size // 2) + "]" * (size // 2) + "]}"),
    "objects": _payload("Depth", lambda size: '{"type":' * (size // 8)),
    "lists under a key": _payload("Depth", lambda size: '{"x":' + "[" * (size // 2) + "]" * (size // 2) + "}]}"),
    "backslashes": _payload("Depth", lambda size: '{"' + "\\" * (size // 2) + '":1}]}'),
    "a string without an end": _payload("Trade", lambda size: '{"price":"' + "x" * size),
    "spaces": _payload("Quote", lambda size: " " * size + "{}]}"),
    "digits": _payload("Depth", lambda size: '{"type":2,"volume":1,"price":' + "9" * size + "}]}"),
    "decimals": _payload("Depth", lambda size: '{"type":2,"volume":1,"price":1.' + "0" * size + "}]}"),
    "letters of four bytes": _payload("Quote", lambda size: '{"x":"' + "\U0001f600" * (size // 4) + '"}]}'),
    "empty objects": _payload("Depth", lambda size: "[" + ",".join(["{}"] * (size // 3)) + "]]}"),
    "empty lists": _payload("Depth", lambda size: "[" + ",".join(["[]"] * (size // 3)) + "]]}"),
    "a key again and again": _payload("Depth", lambda size: '{"type":6' + ',"type":6' * (size // 9) + "}]}"),
    "keys": _payload("Depth", lambda size: '{"type":6' + "".join(f',"{n}":1' for n in range(size // 9)) + "}]}"),
    "resets": _payload("Depth", lambda size: "[" + ",".join(['{"type":6}'] * (size // 11)) + "]]}"),
    "quotes": _payload("Quote", lambda size: "[" + ",".join(['{"open":1,"low":1}'] * (size // 19)) + "]]}"),
    "numbers as arguments": _payload("Depth", lambda size: ",".join(["1"] * (size // 2)) + "]}"),
    "zeros": lambda size: bytes(size),
    "no letters": lambda size: b"\xff" * size,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [LARGE, LARGE * 9 // 4], ids=["whole in the ring", "in chunks"])
def test_bombs_cost_what_their_size_costs(shape: str, size: int) -> None:
    """Refused or applied, and the worker lives: in a time like that of an honest record, and in bounded memory."""
    worker = synced(ring_bytes=8 << 20)
    honest_s = min(send(worker, _honest(size)) for _ in range(2))
    bomb_s = min(send(worker, SHAPES[shape](size)) for _ in range(2))
    assert bomb_s < honest_s * MOST_TIME, (honest_s, bomb_s)
    record = SHAPES[shape](size)
    tracemalloc.start()
    send(worker, record)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < MOST_MEMORY * size
    row = worker.memory.state[0]
    assert worker.engine.delivered == row["applied"] + row["refused"]
    send(worker, snapshot().encode())
    assert worker.memory.state[0]["state"] == State.LIVE


def send(worker: Rig, record: bytes) -> float:
    """Let a worker take a record; the processor seconds that it took."""
    began_s = time.thread_time()
    assert worker.send(record)
    worker.drain()
    return time.thread_time() - began_s
