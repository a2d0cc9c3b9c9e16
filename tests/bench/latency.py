"""How long from the engine's receive stamp until another process has seen it, at 5,000 records/s.

Three processes: one puts records into a ring at a steady pace, a worker with the shipped settings publishes them, and
a reader sleeps in `wait`, reads the best prices and looks at the clock. Beside it, in turns and with the same pace
and sleeps, two bare futex hops: a process wakes another, and that one a third. All sleep between records, so most of
both numbers is the time that the machine takes to wake a process.
"""

import mmap
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from shm import attach, layout
from shm.layout import Words
from tests.waiting import wait_for
from tests.workers import rig
from workers import worker

from . import hops, records, stage
from .forked import forked
from .row import Promise, Row

RECORDS_A_S = 5000
SKIPPED = 200  # of the first samples: nothing is warm yet
P50, P99 = Promise(2.5, "ratio"), Promise(4.0, "ratio")


def rows(quick: bool) -> Iterator[Row]:
    count, rounds = (2000, 1) if quick else (10_000, 3)
    worker.warm()
    _warm_hops()
    bare = Samples(count * rounds)
    ours = Samples(count * rounds)
    for _ in range(rounds):
        _hop(bare, count)
        _engine(ours, count)
    for name, share, promise in (("p50", 50, P50), ("p99", 99, P99)):
        floor_us, our_us = bare.quantile_us(share), ours.quantile_us(share)
        compared = f"two bare futex hops: {floor_us:.3g} us"
        yield Row("latency", f"receive to visible, {name}", our_us, "us", compared, floor_us, promise)


class Samples:
    """Nanoseconds in memory that forks share: one process adds, another reads at the end."""

    def __init__(self, most: int) -> None:
        memory: Any = mmap.mmap(-1, (most + 1) * 8)
        self._words = np.frombuffer(memory, np.int64)

    @property
    def count(self) -> int:
        return int(self._words[0])

    def add(self, value_ns: int) -> None:
        at = self.count + 1
        if at < len(self._words):
            self._words[at] = value_ns
            self._words[0] = at

    def quantile_us(self, share: int) -> float:
        return float(np.percentile(self._words[1 + SKIPPED : 1 + self.count], share)) / 1e3


def _pace(count: int, act: Callable[[int], None]) -> None:
    """Call `act` at each beat of a steady clock; late ones at once, because a market does not wait either."""
    start_s = time.monotonic()
    for n in range(count):
        left_s = start_s + n / RECORDS_A_S - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)
        act(n)


def _engine(samples: Samples, count: int) -> None:
    updates = records.depths(2000, records.ENTRIES)
    with stage.staged() as staged:
        writer = staged.writer()
        writer.configure(rig.config())
        writer.push(records.snapshot())
        writer.publish()
        first = samples.count
        with forked(partial(_work, staged)), forked(partial(_read, staged, samples)):
            _until_live(staged)

            def put(n: int) -> None:
                writer.push(updates[n % len(updates)])
                writer.publish()

            _pace(count, put)
            wait_for(lambda: samples.count > first, 5, "a sample of the reader")
        assert writer.dropped == 0


def _work(staged: stage.Stage) -> None:
    staged.worker().run()


def _read(staged: stage.Stage, samples: Samples) -> None:
    with attach(stage.NAME, root=staged.root) as market:
        instrument = market[stage.SYMBOL]
        while True:
            if instrument.wait(0.1):
                recv_ns = instrument.quote(allow_stale=True).recv_ns
                samples.add(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - recv_ns)


def _until_live(staged: stage.Stage) -> None:
    with attach(stage.NAME, root=staged.root) as market:
        wait_for(lambda: market[stage.SYMBOL].status().live, 10, "the first book")


def _scratch() -> Words:
    return np.zeros(4, np.int64)


def _shared_words() -> Words:
    memory: Any = mmap.mmap(-1, 4096)
    words: Words = np.frombuffer(memory, np.int64)
    return words


def _warm_hops() -> None:
    words, scratch = _shared_words(), _scratch()
    hops.start_hop(words, scratch)
    hops.pass_on(words, 0, scratch)
    hops.end_hop(words, 0, scratch)


def _hop(samples: Samples, count: int) -> None:
    words = _shared_words()
    scratch = _scratch()
    first = samples.count
    with forked(partial(_pass_on, words)), forked(partial(_end, words, samples)):

        def arrived() -> bool:
            hops.start_hop(words, scratch)
            return samples.count > first

        wait_for(arrived, 10, "the first hop")
        _pace(count, lambda n: hops.start_hop(words, scratch))


def _pass_on(words: Words) -> None:
    scratch = _scratch()
    seen = int(words[hops.FIRST])
    while True:
        seen = hops.pass_on(words, seen, scratch)


def _end(words: Words, samples: Samples) -> None:
    scratch = _scratch()
    while True:
        passed_ns = hops.end_hop(words, int(words[hops.SECOND]), scratch)
        if passed_ns:
            samples.add(passed_ns)


assert layout.WORDS_A_LINE * 3 * 8 <= 4096
