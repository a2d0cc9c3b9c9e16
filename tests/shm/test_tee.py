"""What goes to the recorder: put together it is byte for byte what the ring was given, whatever happens to either."""

from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.layout import MIN_RING_BYTES, Reason, Record
from shm.pieces import Piece, Pieces
from shm.ring import RingWriter
from tests.shm.consumer import Consumer, ring_words
from tests.shm.test_refill import recorded

GENERATION = 5
RECORDER_BYTES = 4 * MIN_RING_BYTES


class Taped:
    """An instrument's ring, the recorder's, and all bytes that were ever published in the first."""

    def __init__(self, recorder_bytes: int = RECORDER_BYTES) -> None:
        self.words, self.recorder = ring_words(), ring_words(recorder_bytes)
        self.engine()
        self.consumer = Consumer(self.words, GENERATION << 40)
        self.pieces = Pieces(self.recorder)
        self.bytes = b""
        self.taken: list[Piece] = []

    def engine(self) -> None:
        """A (new) producer of both."""
        RingWriter(self.recorder, GENERATION)
        self.writer = RingWriter(self.words, GENERATION)
        self.writer.record(self.recorder, "MNQ", 1)

    def publish(self) -> None:
        before = int(self.words[layout.TAIL])
        self.writer.publish()
        self.bytes += recorded(self.words, before, int(self.words[layout.TAIL]))

    def consume(self) -> None:
        self.consumer.take()
        self.consumer.release()

    def take(self) -> None:
        self.taken += self.pieces.take(1 << 30)
        self.pieces.done()

    @property
    def stretches(self) -> list[Piece]:
        return [piece for piece in self.taken if piece.kind is Record.PIECE]


def together(pieces: list[Piece]) -> tuple[bytearray, list[tuple[int, int]]]:
    """The bytes of pieces, what came twice left out; and the stretches that are missing."""
    data, through, holes = bytearray(), 0, []
    for piece in pieces:
        assert len(piece.data) == piece.to_position - piece.from_position
        if piece.from_position > through:
            holes.append((through, piece.from_position))
            data += bytes(piece.from_position - through)
            through = piece.from_position
        data += piece.data[through - piece.from_position :]
        through = max(through, piece.to_position)
    return data, holes


def check_all_right_or_lost(pieces: list[Piece], truth: bytes) -> int:
    """What was recorded is what went into the ring; how many bytes are missing."""
    data, holes = together([piece for piece in pieces if piece.kind is Record.PIECE])
    for begin, end in holes:
        data[begin:end] = truth[begin:end]
    assert data == truth
    return sum(end - begin for begin, end in holes)


def push_any(rng: np.random.Generator, taped: Taped) -> None:
    what = int(rng.integers(10))
    if what == 0:
        taped.writer.clock()
    elif what == 1:
        taped.writer.gap(Reason.DISCONNECTED)
    elif what == 2:
        taped.writer.push(rng.bytes(int(rng.integers(MIN_RING_BYTES // 8, MIN_RING_BYTES // 3))))
    else:
        taped.writer.push(rng.bytes(int(rng.integers(0, 900))))


def test_the_pieces_are_the_ring(seed: int) -> None:
    rng = np.random.default_rng(seed)
    taped = Taped()
    for _ in range(2000):
        push_any(rng, taped)
        if rng.integers(3) == 0:
            taped.publish()
        if rng.integers(4) == 0:
            taped.consume()
        if rng.integers(5) == 0:
            taped.take()
    taped.publish()
    taped.take()
    data, holes = together(taped.stretches)
    assert not holes
    assert data == taped.bytes
    assert {(piece.symbol, piece.generation, piece.made) for piece in taped.taken} == {("MNQ", GENERATION, 1)}
    assert taped.words[layout.UNRECORDED_BYTES] == 0


def test_dropped_messages_are_recorded_with_their_sequences() -> None:
    taped = Taped()
    taped.writer.push(b"first")
    taped.publish()
    taped.consume()
    sequence = int(taped.words[layout.NEXT_SEQUENCE])
    assert not taped.writer.push(bytes(MIN_RING_BYTES // 2 + 1))
    taped.publish()
    taped.take()
    (dropped,) = (piece for piece in taped.taken if piece.kind is Record.DROPPED)
    assert (dropped.from_position, len(dropped.data)) == (sequence, MIN_RING_BYTES // 2 + 1)
    assert dropped.recv_ns > 0
    assert taped.words[layout.UNRECORDED_MESSAGES] == 0


def test_a_recorder_that_stalls_for_a_while_loses_nothing(seed: int) -> None:
    """The instruments' own rings are room as well: what found none comes with a later piece."""
    rng = np.random.default_rng(seed)
    taped = Taped()
    for turn in range(400):
        taped.writer.push(rng.bytes(400))
        taped.publish()
        taped.consume()
        waits = int(taped.words[layout.TAIL] - taped.words[layout.RECORDED])
        if waits > MIN_RING_BYTES // 4 or turn % 150 == 149:
            taped.take()
    taped.publish()
    taped.take()
    taped.writer.clock()
    taped.publish()
    taped.take()
    data, holes = together(taped.stretches)
    assert not holes
    assert data == taped.bytes
    assert len(taped.stretches) < 402


def test_a_recorder_that_is_away_loses_what_is_counted_and_seen_as_a_jump(seed: int) -> None:
    rng = np.random.default_rng(seed)
    taped = Taped()
    for _ in range(1000):
        taped.writer.push(rng.bytes(int(rng.integers(900))))
        taped.publish()
        taped.consume()
    lost = int(taped.words[layout.UNRECORDED_BYTES])
    assert lost > 0
    taped.take()
    taped.writer.push(b"again")
    taped.publish()
    taped.take()
    assert check_all_right_or_lost(taped.taken, taped.bytes) == lost


def lagging() -> Taped:
    """The recorder's ring is full, the worker has taken all, and less than half of the ring waits for the recorder."""
    taped = Taped(2 * RECORDER_BYTES)
    while int(taped.words[layout.TAIL] - taped.words[layout.RECORDED]) < MIN_RING_BYTES // 3:
        taped.writer.push(b"\xaa" * 400)
        taped.publish()
        taped.consume()
    assert taped.words[layout.UNRECORDED_BYTES] == 0
    return taped


def check_all_right_or_counted(taped: Taped) -> None:
    for _ in range(20):
        taped.take()
        taped.writer.clock()
        taped.publish()
        taped.consume()
    taped.take()
    assert check_all_right_or_lost(taped.taken, taped.bytes) == taped.words[layout.UNRECORDED_BYTES]


def test_a_message_taken_back_has_not_overwritten_what_waits() -> None:
    taped = lagging()
    while int(taped.words[layout.TAIL_PRIVATE] - taped.words[layout.TAIL]) < MIN_RING_BYTES // 2:
        assert taped.writer.push(b"\xee" * 700)
    assert not taped.writer.push(b"\xdd" * (MIN_RING_BYTES // 2))  # its first chunks found room
    taped.take()
    taped.publish()
    check_all_right_or_counted(taped)


def test_a_kill_has_not_overwritten_what_waits() -> None:
    taped = lagging()
    for _ in range(18):
        assert taped.writer.push(b"\xee" * 800)  # never published
    taped.take()
    taped.engine()
    check_all_right_or_counted(taped)


def test_a_record_above_an_eighth_of_the_recorders_ring_goes_alone() -> None:
    taped = Taped(MIN_RING_BYTES)
    taped.words = ring_words(8 * MIN_RING_BYTES)
    taped.consumer = Consumer(taped.words, GENERATION << 40)
    taped.engine()
    for size in (10, MIN_RING_BYTES // 3, 10):
        taped.writer.push(bytes(size))
        taped.publish()
        taped.take()
    data, holes = together(taped.stretches)
    assert not holes
    assert data == taped.bytes


def test_a_message_no_recorder_has_room_for_is_counted() -> None:
    taped = Taped(MIN_RING_BYTES)
    assert not taped.writer.push(bytes(MIN_RING_BYTES // 2 + 1))
    assert taped.words[layout.UNRECORDED_MESSAGES] == 1


@pytest.mark.parametrize("stale", [0, 1, 2])
def test_a_new_engine_puts_what_its_predecessor_did_not(stale: int) -> None:
    """Killed after `tail`, after the recorder's ring was published, after `recorded`."""
    taped = Taped()
    taped.writer.push(b"one")
    taped.publish()
    before = int(taped.words[layout.RECORDED])
    published, tail = int(taped.recorder[layout.TAIL]), int(taped.words[layout.TAIL])
    taped.writer.push(b"two")
    taped.publish()
    if stale < 2:
        taped.words[layout.RECORDED] = before
    if stale < 1:
        slots = taped.recorder[layout.COMMIT :: layout.WORDS_A_LINE][:2]
        assert published in slots
        taped.recorder[layout.TAIL] = published
    assert int(taped.words[layout.TAIL]) > tail
    taped.engine()
    taped.writer.push(b"three")
    taped.publish()
    taped.take()
    data, holes = together(taped.stretches)
    assert not holes
    assert data == taped.bytes
    assert len(taped.stretches) == (4 if stale == 1 else 3)


@pytest.mark.parametrize("publishes", [False, True])
def test_after_an_engine_that_does_not_record_nothing_wrong_is_recorded(publishes: bool) -> None:
    taped = lagging()
    taped.writer = RingWriter(taped.words, GENERATION)
    for _ in range(60):
        taped.writer.push(b"\xee" * 800)
        if publishes:
            taped.publish()
            taped.consume()
    taped.take()
    taped.engine()
    for _ in range(3):
        taped.writer.push(b"again")
        taped.publish()
        taped.take()
    assert check_all_right_or_lost(taped.taken, taped.bytes) > 0


def test_without_a_recorder_nothing_is_recorded_and_an_old_address_is_forgotten() -> None:
    taped = Taped()
    taped.words[layout.RECORDER_AT] = 12345  # of an engine that is gone
    writer = RingWriter(taped.words, GENERATION)
    writer.push(b"one")
    writer.publish()
    assert taped.words[layout.RECORDED] == taped.words[layout.TAIL]
    assert taped.recorder[layout.TAIL] == 0


def test_several_rings_share_a_recorder(seed: int) -> None:
    rng = np.random.default_rng(seed)
    recorder = ring_words(1 << 20)
    RingWriter(recorder, GENERATION)
    rings: dict[str, Any] = {}
    for symbol in ("MNQ", "MES", "GC"):
        words = ring_words(MIN_RING_BYTES * 8)
        rings[symbol] = (words, RingWriter(words, GENERATION))
        rings[symbol][1].record(recorder, symbol, 1)
    for _ in range(300):
        words, writer = rings[list(rings)[int(rng.integers(3))]]
        writer.push(rng.bytes(int(rng.integers(200))))
        writer.publish()
    taken = list(Pieces(recorder).take(1 << 30))
    for symbol, (words, _) in rings.items():
        data, holes = together([piece for piece in taken if piece.symbol == symbol])
        assert not holes
        assert data == recorded(words, 0, int(words[layout.TAIL]))


def test_taking_ends_where_it_is_told_and_goes_on_there() -> None:
    taped = Taped()
    for n in range(9):
        taped.writer.push(bytes(100 + n))
        taped.publish()
    first = list(taped.pieces.take(300))
    assert 0 < len(first) < 9
    again = Pieces(taped.recorder)  # a successor: nothing was given back
    assert list(again.take(1 << 30))[: len(first)] == first
    assert len(first) + len(list(taped.pieces.take(1 << 30))) == 9
    assert taped.pieces.wait(1) is False
