"""Several instruments in one process: each has the book that it has alone, none waits for more than one batch."""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shm import bell, layout, segment
from shm.layout import Kind, Reason, State
from shm.registry import generation_folder
from shm.ring import RingWriter
from tests.waiting import wait_for
from tests.workers import rig
from tests.workers.bar_rig import SECOND, TICKS, BarRig
from tests.workers.rig import Rig, depth, snapshot, trades
from workers import pump, shared, worker
from workers.decode.projectx import decode
from workers.job import Job, Task
from workers.shared import Shared
from workers.worker import Worker

LIMIT_S = 20
BATCH = 8
SPIN_US = 20_000_000


class Together:
    """Rigs whose workers live in one process, and the loop of that."""

    def __init__(self, count: int = 3, spin_us: int = 0, **settings: Any) -> None:
        self.bell: Any = np.zeros(layout.WORDS_A_LINE, np.int64)
        self.notes: Any = np.zeros((count, pump.NOTES), np.int64)
        self.rigs = [Rig(batch=BATCH, **settings) for _ in range(count)]
        for each, noted in zip(self.rigs, self.notes, strict=True):
            each.engine = RingWriter(each.ring.array("words"), 1, bell=self.bell)
            task = Task("MNQ", BATCH, 1_000_000, spin_us if each is self.rigs[0] else 0, ())
            each.worker = Worker(each.mapped()._replace(notes=noted), task, rig.NOWHERE)
        self.loop = Shared([each.worker for each in self.rigs], self.notes, self.bell)
        for each in self.rigs:
            each.configure()
            each.send(snapshot())
            each.engine.publish()

    def drain(self) -> None:
        while self.loop.take_turns():
            pass

    def words(self, at: int) -> list[int]:
        """A word of each ring."""
        return [int(each.memory.ring[at]) for each in self.rigs]

    @contextmanager
    def running(self) -> Iterator[None]:
        """The loop in a thread of its own; stopped at the end."""
        thread = threading.Thread(target=self.loop.run)
        thread.start()
        try:
            yield
        finally:
            self.loop.stop()
            thread.join(LIMIT_S)
            assert not thread.is_alive()


def await_size(of: Rig, size: int) -> None:
    """Wait until the best bid is shown with this size."""
    wait_for(lambda: of.published(layout.BID)[0][1] == size, LIMIT_S, "what was sent")


@pytest.fixture
def together() -> Together:
    made = Together()
    made.drain()
    return made


def outcome(of: Rig) -> dict[str, Any]:
    """All that must not depend on who else lives in the process."""
    state = of.memory.state[0]
    names = ("applied", "refused", "dropped", "trades", "depth_entries", "slow_records", "resyncs", "state", "reason")
    return {
        "counts": {name: int(state[name]) for name in names},
        "bids": (of.working(layout.BID), of.published(layout.BID)),
        "asks": (of.working(layout.ASK), of.published(layout.ASK)),
        "tape": of.tape(),
        "quotes": [tuple(row)[:2] + tuple(row)[4:] for row in of.memory.quotes.tolist()],
    }


def some_action(rng: random.Random, n: int) -> Callable[[Rig], object]:
    """Something that an engine puts into a ring: for the kernel, for Python in its place, in chunks, or no data."""
    dice = rng.random()
    if dice < 0.05:
        return lambda on: on.engine.gap(Reason.RECONNECTED)
    if dice < 0.1:
        return lambda on: on.engine.clock()
    if dice < 0.15:
        return lambda on: on.configure()
    if dice < 0.2:
        message = snapshot(300, 300, n=n)  # more than an eighth of the ring
    elif dice < 0.4:
        message = depth([(2, 20999.0, rng.randrange(1, 9))], n).replace('"price"', '"pr\\u0069ce"')  # the slow path's
    elif dice < 0.45:
        message = '{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",7]}'
    elif dice < 0.7:
        message = trades([(21000 + rng.randrange(9) / 4, rng.randrange(1, 9), 0) for _ in range(3)], n)
    else:
        message = depth([(2, 20990.0 + rng.randrange(40) / 4, rng.randrange(9)) for _ in range(rng.randrange(1, 9))], n)
    return lambda on: on.send(message)


@pytest.mark.parametrize("turn", range(3))
def test_each_has_the_book_that_it_has_alone(seed: int, turn: int) -> None:
    rng = random.Random(f"{seed} {turn}")
    size: dict[str, Any] = {"ring_bytes": 1 << 16, "max_depth": 512, "rows": 4096}
    shared = Together(**size)
    alone = [Rig(**size) for _ in shared.rigs]
    for each in alone:
        each.configure()
        each.send(snapshot())
    for n in range(2, 400):
        i = rng.choice((0, 0, 0, 1, 2))
        action = some_action(rng, n)
        for each in (shared.rigs[i], alone[i]):
            action(each)
            each.engine.publish()
        alone[i].drain()
        if rng.random() < 0.3 or n % 20 == 0:
            for _ in range(rng.randrange(1, 4)):
                shared.loop.take_turns()
                assert shared.words(layout.BEGUN) == [0, 0, 0], "a death now would be laid at a record's door"
        if n % 20 == 0:
            shared.drain()
    shared.drain()
    assert [outcome(each) for each in shared.rigs] == [outcome(each) for each in alone]
    assert all(each.memory.state["slow_records"][0] > 0 for each in shared.rigs)


def test_a_busy_instrument_delays_another_by_one_batch(together: Together) -> None:
    busy, quiet, _ = together.rigs
    before = [int(each.memory.state["applied"][0]) for each in together.rigs]
    for n in range(10 * BATCH):
        busy.send(depth([(2, 20999.75, n + 1)], n + 2))
    quiet.send(depth([(2, 20999.75, 77)], 2))
    busy.engine.publish()
    quiet.engine.publish()
    assert together.loop.take_turns()
    applied = [int(each.memory.state["applied"][0]) for each in together.rigs]
    assert [now - then for now, then in zip(applied, before, strict=True)] == [BATCH, 1, 0]
    assert quiet.published(layout.BID)[0][1] == 77, "and it is shown"
    assert busy.published(layout.BID)[0][1] == BATCH


def test_one_that_waits_for_the_keeper_lets_the_others_go_on(tmp_path: Path) -> None:
    waiting, other = BarRig(tmp_path, "1s", hot_rows=256), Rig()
    notes: Any = np.zeros((2, pump.NOTES), np.int64)
    for each, noted in zip((waiting, other), notes, strict=True):
        memory = each.mapped()._replace(notes=noted)
        each.worker = Worker(memory, rig.task(batch=BATCH), rig.NOWHERE, each.hot, replay=True)
    loop = Shared([waiting.worker, other.worker], notes, np.zeros(layout.WORDS_A_LINE, np.int64))
    waiting.snapshot()
    for _ in range(250):
        waiting.trades([(waiting.wall_ns, TICKS, 1, 0)])
        waiting.later(2 * SECOND)
        waiting.clock()
    other.configure()
    other.send(snapshot())
    for n in range(900):
        other.send(depth([(2, 20999.75, n + 1)], n + 2))
    for each in (waiting, other):
        each.engine.publish()
    while other.memory.state["applied"][0] < 901:
        assert loop.take_turns()
    assert int(waiting.slot(0)["count"]) == 205
    waiting.hot.array("control")[layout.sealed_line(0)] = 128  # type: ignore[union-attr]
    while loop.take_turns():
        pass
    assert (int(waiting.slot(0)["count"]), int(waiting.slot(0)["lost"])) == (250, 0)


def test_a_record_that_python_takes_is_shown_in_its_own_turn(together: Together) -> None:
    slow = together.rigs[1]
    slow.send(depth([(2, 20999.75, 77)], 2).replace('"price"', '"pr\\u0069ce"'))
    slow.engine.publish()
    assert together.loop.take_turns()
    assert slow.published(layout.BID)[0][1] == 77
    assert slow.state["slow_records"] == 1


def test_every_heartbeat_moves_though_only_one_instrument_has_anything_to_do(together: Together) -> None:
    together.rigs[1].send(depth([(2, 20999.75, 1)], 2))
    together.rigs[1].engine.publish()
    before = together.words(layout.HEARTBEAT)
    together.loop.take_turns()
    together.drain()
    assert all(now > then for now, then in zip(together.words(layout.HEARTBEAT), before, strict=True))


def test_each_ring_gets_its_space_back_when_its_checkpoint_is_due(together: Together) -> None:
    def released() -> bool:
        together.loop.rest()
        together.loop.take_turns()
        return together.words(layout.HEAD) == together.words(layout.TAIL)

    wait_for(released, LIMIT_S, "checkpoints of all")


def test_wake_ups_that_are_owed_to_readers_are_made_before_the_sleep(together: Together) -> None:
    for each in together.rigs:
        each.memory.control[layout.WAKE_OWED] = 1
    together.loop.rest()
    assert [int(each.memory.control[layout.WAKE_OWED]) for each in together.rigs] == [0, 0, 0]


def test_on_a_stop_every_ring_is_emptied_and_checkpointed() -> None:
    together = Together()
    for each in together.rigs:
        for n in range(5 * BATCH):
            each.send(depth([(2, 20999.75, n + 1)], n + 2))
        each.engine.publish()
    together.loop.stop()
    together.loop.run()
    assert together.words(layout.HEAD) == together.words(layout.TAIL)
    for each in together.rigs:
        assert (each.state["state"], each.published(layout.BID)[0][1]) == (State.LIVE, 5 * BATCH)


def test_any_ring_wakes_the_sleeping_loop() -> None:
    together = Together()
    together.drain()
    with together.running():
        for n in range(2, 12):
            for each in together.rigs:
                wait_for(lambda: together.words(layout.PARKED) == [1, 1, 1], LIMIT_S, "the sleep")
                each.send(depth([(2, 20999.75, n)], n))
                each.engine.publish()
                await_size(each, n)
    assert int(together.bell[0]) > 0
    assert together.words(layout.PARKED) == [0, 0, 0]


def test_the_spin_of_one_instrument_looks_at_all_rings() -> None:
    """While it spins nobody has to be woken."""
    together = Together(spin_us=SPIN_US)
    together.drain()
    woken: list[bool] = []
    with together.running():
        for n in range(2, 12):
            for each in together.rigs[1:]:
                each.send(depth([(2, 20999.75, n)], n))
                woken.append(each.engine.publish())
                await_size(each, n)
        together.loop.stop()
        together.rigs[0].engine.gap(Reason.CLOSED)  # ends the last spin
        together.rigs[0].engine.publish()
    assert not any(woken)


def test_a_worker_process_compiles_nothing_that_the_fork_server_has_not(shm_root: Path) -> None:
    """It could not: compiling takes seconds, and it would begin with all that a fork shares."""
    place = generation_folder(shm_root, 1)
    place.mkdir()
    regions = layout.ring_regions(layout.MIN_RING_BYTES), layout.book_regions(8, 16)
    for symbol in "AB":
        segment.create(place / f"{symbol}.ring", Kind.RING, regions[0], generation=1, symbol=symbol)
        segment.create(place / f"{symbol}.book", Kind.BOOK, regions[1], generation=1, symbol=symbol)
    segment.create(place / "changed", Kind.CHANGED, layout.changed_regions(), generation=1)
    rung: Any = segment.create(place / "both.bell", Kind.BELL, layout.bell_regions(), generation=1).array("words")
    ring: Any = segment.attach(place / "B.ring", Kind.RING, writable=True, generation=1, symbol="B").array("words")
    writer = RingWriter(ring, 1, bell=rung)
    job = Job("both", -1, False, True, str(shm_root), 1, str(shm_root), 0, tuple(Task(s, 8, 1000, 0, ()) for s in "AB"))
    kernels: list[Any] = [bell.park, shared.look, shared.rest, pump.pump, pump.end_turn, pump.checkpoint]
    kernels += [decode, pump.finish_rows, pump.finish_refused]
    in_pieces = snapshot(20, 20).encode()
    assert layout.MIN_RING_BYTES // 8 < len(in_pieces) < layout.MIN_RING_BYTES // 2

    def act() -> None:
        """What the engine and the supervisor do meanwhile."""
        wait_for(lambda: ring[layout.PARKED] != 0, LIMIT_S, "the sleep")
        writer.configure(rig.config())
        writer.push(depth([(2, 21000.0, 1)], 2).replace('"price"', '"pr\\u0069ce"').encode())
        writer.push(in_pieces)
        writer.push(b"{")
        writer.publish()
        wait_for(lambda: ring[layout.HEAD] == ring[layout.TAIL], LIMIT_S, "the checkpoint")
        os.kill(os.getpid(), signal.SIGTERM)

    worker.warm()
    known = [kernel.signatures for kernel in kernels]
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    other = threading.Thread(target=act)
    other.start()
    try:
        assert worker.run(job) == 0
    finally:
        other.join(LIMIT_S)
        for number, handler in before.items():
            signal.signal(number, handler)
    assert [kernel.signatures for kernel in kernels] == known
