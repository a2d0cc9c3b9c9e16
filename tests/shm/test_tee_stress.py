"""Engine and recorder in two processes: what is recorded is what was published, and an engine is killed any time."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.layout import Kind, Record
from shm.pieces import Piece, Pieces
from shm.ring import RingWriter
from shm.segment import create
from tests.bench.forked import forked
from tests.shm.consumer import ring_words
from tests.shm.stress import recording as stress
from tests.shm.stress.parking import LIMIT_NS
from tests.shm.stress.processes import GENERATION, STOP, make_flags, shared_folder
from tests.shm.stress.ring import CAPACITY
from tests.shm.test_atomics import run_pinned, two_processors
from tests.shm.test_tee import check_all_right_or_lost

MESSAGES = 60_000
MOST_MESSAGES_A_LIFE = 3_000
KILLS = int(os.environ.get("SHARDBOOK_ENGINE_KILLS", "50"))
WAITS = 20_000
MOST_BYTES = 1 << 27  # published in one ring; only what is written takes memory


class Rings:
    """The rings of an engine, what its workers took of them, and what the recorder took."""

    def __init__(self, folder: Path, recorder_bytes: int, rng: np.random.Generator) -> None:
        self._folder = folder
        self._rng = rng
        self.noise = rng.integers(0, 256, 1 << 18, np.uint8)
        self.words = [self._ring(symbol, CAPACITY) for symbol in stress.SYMBOLS]
        self.recorder = self._ring("recorder", recorder_bytes)
        self.flags = make_flags(folder)
        self._pieces = Pieces(self.recorder)
        self._kept = [np.empty(MOST_BYTES, np.uint8) for _ in self.words]
        self._through = [0 for _ in self.words]
        self.recorded: list[Piece] = []

    def _ring(self, name: str, capacity: int) -> Any:
        path = self._folder / f"{name}.ring"
        return create(path, Kind.RING, layout.ring_regions(capacity), generation=GENERATION).array("words")

    def sum(self, word: int) -> int:
        return int(sum(words[word] for words in self.words))

    def work(self) -> None:
        for i, words in enumerate(self.words):
            self._through[i] = stress.take(words, self._kept[i], self._through[i])

    def record(self) -> None:
        self.recorded += self._pieces.take(1 << 30)
        self._pieces.done()

    def published(self, symbol: str) -> bytes:
        i = stress.SYMBOLS.index(symbol)
        return self._kept[i][: self._through[i]].tobytes()

    def engine(self, first: int, count: int, waits: bool) -> partial[None]:
        return partial(stress.engine, self.words, self.recorder, self.flags, self.noise, first, count, waits)

    def take_while(self, running: Any, waits: bool) -> None:
        """Both take in time, and lose nothing, where the engine waits for its workers; else now and then."""
        while running():
            if waits or self._rng.integers(60) == 0:
                self.record()
            if waits or self._rng.integers(15) == 0:
                self.work()

    def finish(self) -> None:
        """A last engine puts what its predecessor did not; nothing is taken beside it."""
        self.work()
        self.record()
        self.engine(0, 0, False)()
        self.work()
        self.record()


@pytest.fixture(params=["waits", "drops"])
def way(request: pytest.FixtureRequest, seed: int) -> Iterator[tuple[Rings, bool, np.random.Generator]]:
    """Rings and whether their engine waits for its workers: then no recorder's ring of that size is ever full."""
    rng = np.random.default_rng(seed)
    waits = request.param == "waits"
    with shared_folder() as folder:
        rings = Rings(folder, 1 << 20 if waits else 1 << 17, rng)
        rings.engine(0, 1, waits)()  # compiled before the race begins
        rings.work()
        yield rings, waits, rng


def check(rings: Rings, waits: bool) -> None:
    lost = 0
    for symbol in stress.SYMBOLS:
        pieces = [piece for piece in rings.recorded if piece.symbol == symbol]
        lost += check_all_right_or_lost(pieces, rings.published(symbol))
    dropped = [piece for piece in rings.recorded if piece.kind is Record.DROPPED]
    print(
        f"{len(rings.recorded):,} entries, {rings.sum(layout.TAIL):,} bytes published, {lost:,} of them not recorded, "
        f"{rings.sum(layout.DROPPED):,} messages dropped, {len(dropped):,} of them recorded"
    )
    noise = rings.noise.tobytes()
    assert all(piece.data in noise for piece in dropped[:1000])
    assert lost <= rings.sum(layout.UNRECORDED_BYTES)
    if waits:
        assert (lost, len(dropped)) == (0, 0)
    else:
        assert lost > 0, "the recorder was never too slow: nothing was tested"
        assert len(dropped) > 0, "no worker was ever too slow: nothing was tested"


def test_every_byte_is_recorded_or_counted(way: tuple[Rings, bool, np.random.Generator]) -> None:
    rings, waits, _ = way
    rings.flags[STOP] = 0
    with forked(rings.engine(1, MESSAGES, waits)):
        rings.take_while(lambda: not rings.flags[STOP], waits)
    rings.finish()
    check(rings, waits)
    data, holes = 0, rings.sum(layout.UNRECORDED_BYTES)
    for piece in rings.recorded:
        data += piece.to_position - piece.from_position
    assert data + holes == rings.sum(layout.TAIL)
    dropped = sum(piece.kind is Record.DROPPED for piece in rings.recorded)
    assert dropped + rings.sum(layout.UNRECORDED_MESSAGES) == rings.sum(layout.DROPPED)


def test_engines_killed_at_any_time_lose_nothing_uncounted(way: tuple[Rings, bool, np.random.Generator]) -> None:
    rings, waits, rng = way
    for life in range(KILLS):
        enough = rings.sum(layout.DELIVERED) + int(rng.integers(MOST_MESSAGES_A_LIFE))
        with forked(rings.engine(life * MESSAGES, MESSAGES, waits)):
            rings.take_while(lambda enough=enough: rings.sum(layout.DELIVERED) < enough, waits)
    rings.finish()
    check(rings, waits)
    dropped = sum(piece.kind is Record.DROPPED for piece in rings.recorded)
    known = dropped + rings.sum(layout.UNRECORDED_MESSAGES)
    assert rings.sum(layout.DROPPED) - KILLS <= known <= rings.sum(layout.DROPPED)


@two_processors
def test_the_recorder_is_woken_whenever_a_quarter_waits() -> None:
    words, recorder = (ring_words(CAPACITY).view(np.int64) for _ in range(2))
    RingWriter(recorder, GENERATION)
    RingWriter(words, GENERATION).record(recorder, "MNQ", stress.MADE)
    payload = np.zeros(CAPACITY // 10, np.uint8)
    stress.fill_quarters(words, recorder, payload, 0)  # compiled before the race begins
    ended = []

    def empty() -> None:
        ended.append(stress.empty_quarters(recorder, WAITS, LIMIT_NS))
        recorder[layout.HEAD] = 1 << 62  # the other side need not wait for us any more

    run_pinned([lambda: stress.fill_quarters(words, recorder, payload, WAITS), empty])
    print(f"{WAITS:,} waits, {int(recorder[layout.SIGNAL]):,} ended by a wake-up")
    assert ended == [WAITS]
    assert recorder[layout.SIGNAL] > 0, "the two never met: nothing was tested"
