"""One worker of several rings, asleep on one word: it is woken by any of them, and by no clock frame."""

import os
import threading
from typing import Any

import numpy as np
import pytest
from numba import types

from shm import bell, layout, ring
from shm.layout import MIN_RING_BYTES, Kind, Reason
from shm.ring import RingWriter
from shm.segment import attach, create
from tests.shm.consumer import ring_words
from tests.shm.emitted import PUBLICATION, atomic_operations, publications
from tests.shm.stress import bell as stress
from tests.shm.stress.processes import GENERATION, GO, make_flags, running, shared_folder
from tests.waiting import wait_for

ROUNDS = 60_000
LONG_NS = 60_000_000_000  # a test that sleeps so long runs into its limit
WORDS = types.Array(types.int64, 1, "C")
TABLE = types.Array(types.int64, 2, "C")


class Rings:
    """Some rings with one bell, both ends in this process."""

    def __init__(self, count: int = 3) -> None:
        self.bell: Any = np.zeros(layout.WORDS_A_LINE, np.int64)
        self.words = [ring_words() for _ in range(count)]
        self.writers = [RingWriter(words, GENERATION, bell=self.bell) for words in self.words]
        self.table = stress.table_of(self.words)
        self.positions: Any = np.zeros(count, np.int64)
        self.scratch: Any = np.zeros(4, np.int64)

    def park(self, timeout_ns: int) -> bool:
        return bell.park(self.bell, self.table, self.positions, timeout_ns, self.scratch)

    def parked(self) -> list[int]:
        return [int(words[layout.PARKED]) for words in self.words]

    def set_parked(self, value: int) -> None:
        for words in self.words:
            words[layout.PARKED] = value


@pytest.mark.parametrize("moved", range(3))
def test_parking_returns_at_once_when_any_ring_has_more_and_takes_all_flags_down(moved: int) -> None:
    rings = Rings()
    rings.writers[moved].push(b"data")
    assert not rings.writers[moved].publish(), "nobody slept"
    assert rings.park(LONG_NS)
    assert rings.parked() == [0, 0, 0]
    rings.positions[moved] = rings.words[moved][layout.TAIL]
    assert not rings.park(1_000)
    assert rings.parked() == [0, 0, 0]
    assert int(rings.bell[0]) == 0


@pytest.mark.parametrize("moved", range(3))
def test_a_sleeping_worker_is_woken_by_whichever_ring_moves(moved: int) -> None:
    rings = Rings()
    rings.park(1)  # compiled before anybody waits for it
    woken: list[bool] = []
    sleeper = threading.Thread(target=lambda: woken.append(rings.park(LONG_NS)))
    sleeper.start()
    wait_for(lambda: rings.parked() == [1, 1, 1], 20, "the worker parked")
    rings.writers[moved].push(b"data")
    assert rings.writers[moved].publish()
    sleeper.join(20)
    assert woken == [True]
    assert int(rings.bell[0]) == 1
    assert [int(words[layout.SIGNAL]) for words in rings.words] == [0, 0, 0], "who has a bell is not signalled"


def test_only_more_than_clock_frames_rings() -> None:
    rings = Rings()
    rings.set_parked(1)
    assert rings.writers[1].clock()
    assert not rings.writers[1].publish()
    rings.writers[1].gap(Reason.RESYNC)
    assert rings.writers[1].publish()
    rings.writers[2].push(b"data")
    assert rings.writers[2].publish()
    rings.set_parked(0)
    rings.writers[2].push(b"data")
    assert not rings.writers[2].publish()
    assert int(rings.bell[0]) == 2


def test_the_worker_has_stored_every_flag_before_the_fence_and_looks_at_no_tail_before_it() -> None:
    found = atomic_operations(bell.park, WORDS, TABLE, WORDS, types.int64, WORDS)
    assert found.count("fence seq_cst") == 1
    at = found.index("fence seq_cst")
    assert set(found[:at]) == {"load acquire", "store monotonic"}
    assert found[:at].count("load acquire") == 1, "of the bell"
    assert "load acquire" in found[at:]


def test_ringing_raises_the_tail_and_fences_before_it_looks_at_parked() -> None:
    assert publications(atomic_operations(ring.publish_and_ring, WORDS, WORDS)) == 2 * PUBLICATION


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two processors must race")
def test_no_wake_up_is_lost_between_two_processes() -> None:
    with shared_folder() as folder:
        create(folder / stress.BELL, Kind.BELL, layout.bell_regions(), generation=GENERATION).close()
        bell_words: Any = attach(folder / stress.BELL, Kind.BELL, generation=GENERATION).array("words")
        rings: list[Any] = [
            create(
                folder / stress.name_of(i), Kind.RING, layout.ring_regions(MIN_RING_BYTES), generation=GENERATION
            ).array("words")
            for i in range(stress.RINGS)
        ]
        table, positions = stress.table_of(rings), np.zeros(stress.RINGS, np.int64)
        counts, scratch = np.zeros(stress.COUNTS, np.int64), np.zeros(4, np.int64)
        flags = make_flags(folder)
        with running("bell", folder, flags, ROUNDS) as engine:
            stress.worker_side(table, bell_words, positions, counts, scratch, 0)  # compiled before the race begins
            flags[GO] = 1
            allowed = os.sched_getaffinity(0)
            try:
                first, second = sorted(allowed)[:2]
                os.sched_setaffinity(0, {first})
                os.sched_setaffinity(engine.pid, {second})
                stress.worker_side(table, bell_words, positions, counts, scratch, ROUNDS)
            finally:
                os.sched_setaffinity(0, allowed)
        print(f"{ROUNDS:,} rounds, {int(bell_words[0]):,} with the bell rung, {int(counts[stress.WAITS]):,} waits")
    assert counts[stress.LOST] == 0
    assert counts[stress.TAKEN] == ROUNDS
    assert 0 < int(bell_words[0]) <= ROUNDS, "the two never met: nothing was tested"
