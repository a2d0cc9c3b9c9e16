"""The ring against a plain model of it: any order of pushes, gaps, publishing, taking, releasing and new producers."""

import os
from collections import deque
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shm import layout
from shm.layout import MIN_RING_BYTES, Reason, Record
from shm.ring import RingWriter
from tests.shm.consumer import Consumer, Seen, ring_words

SEED = int(os.environ.get("SHARDBOOK_SEED", "20261122"))
GENERATION = 5
FIRST = GENERATION << 40
CAPACITY = MIN_RING_BYTES
EIGHTH = CAPACITY // 8
RESERVE = 256

Entry = tuple[Record, int, Any]


class Model:
    """What the ring promises, in lists and numbers: no words, no lines, no orders of stores."""

    def __init__(self) -> None:
        self.head = self.tail = 0
        self.next = FIRST
        self.delivered = self.dropped = 0
        self.owed: list[int] = []  # sequences of drops that no gap has told
        self.reason = Reason.NONE  # of the gap that is owed
        self.entries: deque[tuple[int, list[Entry]]] = deque()  # published: where it ends, and what it is
        self.pending: list[tuple[int, Entry]] = []
        self._remember()

    def _remember(self) -> None:
        self.told = (self.tail, self.next, self.delivered, self.dropped, list(self.owed))

    def _fit(self, sizes: list[int], reserve: int) -> bool:
        tail = self.tail
        for size in sizes:
            need = 40 + (size // 8 + 1) * 8
            left = CAPACITY - tail % CAPACITY
            tail += need + (left if need > left else 0)
            if tail + reserve - self.head > CAPACITY:
                return False
        self.tail = tail
        return True

    def _enter(self, kind: Record, payload: Any) -> None:
        self.pending.append((self.tail, (kind, self.next, payload)))
        self.next += 1

    def settle(self) -> bool:
        """Put the owed gap in, if there is one and there is room."""
        if not self.reason:
            return True
        if not self._fit([32], 0):
            return False
        first = self.owed[0] if self.owed else 0
        self._enter(Record.GAP, (int(self.reason), len(self.owed), self.dropped, first))
        self.owed, self.reason = [], Reason.NONE
        return True

    def _drop(self, reason: Reason) -> bool:
        if self.reason in (Reason.NONE, Reason.ENGINE_PAUSED):
            self.reason = reason
        self.owed.append(self.next)
        self.next += 1
        self.dropped += 1
        return False

    def push(self, payload: bytes) -> bool:
        self.delivered += 1
        settled = self.settle()
        if len(payload) > CAPACITY // 2:
            return self._drop(Reason.OVERSIZE)
        each = EIGHTH - 48
        whole, rest = divmod(len(payload), each)
        parts = [each] * whole + ([rest] if rest else [])
        if not settled or not self._fit([len(payload)] if len(payload) <= EIGHTH else parts, RESERVE):
            return self._drop(Reason.DROPPED)
        self._enter(Record.DATA if len(payload) <= EIGHTH else Record.CHUNK, payload)
        return True

    def plain(self, kind: Record, payload: bytes) -> bool:
        if not self.settle() or not self._fit([len(payload)], RESERVE):
            return False
        self._enter(kind, payload)
        return True

    def gap(self, reason: Reason) -> None:
        if self.reason in (Reason.NONE, Reason.ENGINE_PAUSED) or reason == Reason.CLOSED:
            self.reason = reason
        self.settle()

    def publish(self) -> None:
        self.settle()
        if not self.pending:
            return
        self.entries.append((self.tail, [entry for _, entry in self.pending]))
        self.pending = []
        self._remember()

    def take(self) -> list[Entry]:
        taken = [entry for _, batch in self.entries for entry in batch]
        self.entries.clear()
        return taken

    def restart(self) -> None:
        """Records that were never published are gone; drops are not, though their sequences move up."""
        tail, following, delivered, dropped, owed = self.told
        since = self.dropped - dropped if tail else 0
        self.tail, self.pending = tail, []
        self.dropped = dropped + since
        self.delivered = delivered + since
        self.owed = owed + [following + i for i in range(since)]
        self.next = following + since
        self.reason = Reason.DROPPED if self.owed else Reason.NONE


class RingMachine(RuleBasedStateMachine):
    """Both, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.words = ring_words(CAPACITY)
        self.writer = RingWriter(self.words, GENERATION)
        self.consumer = Consumer(self.words, FIRST)
        self.model = Model()

    @rule(
        size=st.one_of(st.integers(0, 64), st.integers(0, EIGHTH), st.integers(EIGHTH, CAPACITY // 2 + 9)),
        fill=st.binary(min_size=1, max_size=3),
    )
    def push(self, size: int, fill: bytes) -> None:
        payload = (fill * size)[:size]
        assert self.writer.push(payload) == self.model.push(payload)

    @rule(size=st.integers(0, 200), times=st.integers(1, 80))
    def push_many(self, size: int, times: int) -> None:
        for _ in range(times):
            self.push(size, b"many")

    @rule(reason=st.sampled_from([Reason.ENGINE_PAUSED, Reason.RECONNECTED, Reason.RESYNC, Reason.CLOSED]))
    def gap(self, reason: Reason) -> None:
        self.writer.gap(reason)
        self.model.gap(reason)

    @rule()
    def clock(self) -> None:
        assert self.writer.clock() == self.model.plain(Record.CLOCK, b"")

    @rule()
    def configure(self) -> None:
        config = bytes(layout.CONFIG.itemsize)
        assert self.writer.configure(config) == self.model.plain(Record.CONFIG, config)

    @rule()
    def publish(self) -> None:
        self.writer.publish()
        self.model.publish()

    @rule(release=st.booleans())
    def take(self, release: bool) -> None:
        assert self.consumer.take() == [Seen(*entry) for entry in self.model.take()]
        if release:
            self.consumer.release()
            self.model.head = self.consumer.position

    @rule()
    def restart(self) -> None:
        self.writer = RingWriter(self.words, GENERATION)
        self.model.restart()

    @invariant()
    def counts_agree(self) -> None:
        assert (self.writer.delivered, self.writer.dropped) == (self.model.delivered, self.model.dropped)
        assert self.writer.pending == len(self.model.pending)
        assert int(self.words[layout.TAIL_PRIVATE]) == self.model.tail
        assert int(self.words[layout.NEXT_SEQUENCE]) == self.model.next

    def teardown(self) -> None:
        """At a quiet moment delivered = seen + dropped, and every drop was told."""
        for _ in range(2):
            self.publish()
            self.take(True)
        assert self.writer.delivered == self.consumer.messages + self.writer.dropped
        assert self.consumer.told == self.writer.dropped


def test_the_ring_does_what_its_model_does() -> None:
    print(f"SHARDBOOK_SEED={SEED}")
    rules = settings(
        max_examples=150,
        stateful_step_count=40,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(SEED)(RingMachine), settings=rules)
