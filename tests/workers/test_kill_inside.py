"""A worker killed inside a record, a cell, a checkpoint slot, a tape row and an event row: single-stepped until the
marks in its memory say that it is there, then some random steps more, then SIGKILL. What its successor makes of it
must equal a worker that was never killed."""

import mmap
import os
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from shm import layout
from tests.waiting import wait_for
from tests.workers import rig
from tests.workers.stepping import Stepper
from workers import pump
from workers.worker import Worker

SEED = int(os.environ.get("SHARDBOOK_SEED", "7"))


class Mapped:
    """Regions in anonymous memory that forked children share."""

    def __init__(self, regions: layout.Regions) -> None:
        self.map = mmap.mmap(-1, layout.total_bytes(regions))
        self.regions = regions

    def array(self, name: str) -> Any:
        region = self.regions[name]
        count = int(np.prod(region.shape))
        return np.frombuffer(self.map, region.dtype, count, region.offset).reshape(region.shape)


class SharedRig(rig.Rig):
    """A rig whose worker is a child process."""

    def __init__(self) -> None:
        original = rig.Arrays
        rig.Arrays = Mapped  # type: ignore[assignment]
        try:
            super().__init__(ring_bytes=1 << 16, max_depth=128, rows=256, batch=4)
        finally:
            rig.Arrays = original
        self.child = 0

    def fork(self) -> int:
        self.child = os.fork()
        if self.child == 0:
            code = 1
            try:
                worker = Worker(self.mapped(), self.task, rig.NOWHERE)
                worker.run()
                code = 0
            finally:
                os._exit(code)
        return self.child


def _marks(shared: SharedRig) -> dict[str, Callable[[], bool]]:
    memory = shared.worker.memory
    cells = memory.cell_words.reshape(layout.CELLS, -1)
    slots = memory.slot_words.reshape(2, -1)
    return {
        "record": lambda: bool(memory.ring[layout.BEGUN]),
        "cell": lambda: bool((cells[:, 0] != cells[:, 1]).any()),
        "slot": lambda: bool((slots[:, 0] != slots[:, 1]).any()),
        "tape": lambda: bool(memory.control[layout.TAPE_INTENT] != memory.control[layout.TAPE_COUNT]),
        "event": lambda: bool(memory.control[layout.EVENT_INTENT] != memory.control[layout.EVENT_COUNT]),
    }


def _feed(any_rig: rig.Rig, message: str) -> None:
    """One message, and before each snapshot the gap that makes one needed: a stale event and a live one."""
    if message.count('"type":6'):
        any_rig.engine.gap(layout.Reason.SILENCE)
    assert any_rig.send(message)


def _messages(rng: random.Random, count: int) -> Iterator[str]:
    for n in range(2, count + 2):
        if n % 7 == 3:
            yield rig.snapshot(n=n)
        elif rng.random() < 0.5:
            rows = [(21000.0 + rng.randrange(8) / 4, rng.randrange(1, 9), rng.randrange(2)) for _ in range(3)]
            yield rig.trades(rows, n)
        else:
            entries = []
            for _ in range(rng.randrange(1, 8)):
                bid = rng.random() < 0.5
                price = 21000.0 + (-0.25 if bid else 0.25) * rng.randrange(1, 60)
                entries.append((2 if bid else 1, price, rng.randrange(0, 30)))
            yield rig.depth(entries, n)


def _outcome(any_rig: rig.Rig) -> dict[str, Any]:
    memory = any_rig.memory
    state = memory.state[0]
    return {
        "bids": any_rig.working(layout.BID),
        "asks": any_rig.working(layout.ASK),
        "published": (any_rig.published(layout.BID), any_rig.published(layout.ASK)),
        "tape": any_rig.tape(),
        "events": any_rig.events(),
        "quotes": [tuple(row)[:2] + tuple(row)[4:] for row in memory.quotes.tolist()],
        "counts": {name: int(state[name]) for name in ("applied", "refused", "dropped", "trades", "depth_entries")},
        "live": int(state["state"]),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="ptrace is Linux's")
@pytest.mark.parametrize("where", ["record", "cell", "slot", "tape", "event"])
@pytest.mark.parametrize("turn", range(3))
def test_killed_inside_recovers_exactly(where: str, turn: int) -> None:
    seed = SEED * 100 + turn
    print(f"SHARDBOOK_SEED={SEED}, turn {turn}")
    rng = random.Random(f"{seed} {where}")
    shared, whole = SharedRig(), rig.Rig(ring_bytes=1 << 16, max_depth=128, rows=256, batch=4)
    for each in (shared, whole):
        each.configure()
        each.send(rig.snapshot())
        each.engine.publish()
    whole.drain()
    pid = shared.fork()
    ring = shared.memory.ring
    wait_for(lambda: ring[layout.PARKED] == 1 and ring[layout.HEAD] == ring[layout.TAIL], 60, "the worker sleeps")
    stepper = Stepper(pid)
    inside = _marks(shared)[where]
    reached = False
    seen_sequence = 0
    for message in _messages(rng, 20):
        for each in (shared, whole):
            _feed(each, message)
            each.engine.publish()
        whole.drain()
        if stepper.step_until(inside, 150_000):
            reached = True
            for _ in range(rng.randrange(40)):
                if not inside():
                    break
                stepper.step()
            break
    seen_sequence = int(shared.state["sequence"])
    stepper.kill()
    assert reached, f"the worker was never seen inside a {where}"
    shared.restart()
    assert int(shared.state["sequence"]) >= seen_sequence, "a reader saw the book go back"
    for message in _messages(rng, 20):
        for each in (shared, whole):
            _feed(each, message)
            each.drain()
        assert int(shared.state["sequence"]) >= seen_sequence
        seen_sequence = int(shared.state["sequence"])
    assert _outcome(shared) == _outcome(whole)
    assert not _marks(shared)["cell"]() or where == "cell"
    pump.checkpoint(shared.memory)
    assert not any(mark() for name, mark in _marks(shared).items() if name in ("record", "tape", "event"))
