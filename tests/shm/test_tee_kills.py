"""The engine killed between any two stores while it records: its successor's recorder has every byte, or counts it."""

from typing import Any

import pytest

from shm import layout
from shm.layout import Record
from shm.pieces import Piece, Pieces
from shm.ring import RingWriter
from tests.shm.consumer import ring_words
from tests.shm.interpreted import StoredWords
from tests.shm.test_refill import recorded
from tests.shm.test_ring_kills import (
    EIGHTH,
    FIRST,
    GENERATION,
    VENUE,
    Life,
    check_successor,
    ordinary,
    overrun,
    restarted,
)
from tests.shm.test_tee import check_all_right_or_lost

SYMBOL, MADE = "MNQ", 1


class RecordedLife(Life):
    """A producer whose ring is recorded. The recorder takes what there is whenever the worker releases."""

    def __init__(self) -> None:
        self.tape = ring_words()
        self.pieces = Pieces(self.tape)
        self.taken: list[Piece] = []
        self.tapes: list[tuple[Any, int]] = []  # of each moment: the recorder's ring, and how much was taken of it
        self.bytes = b""  # all that was ever published
        super().__init__()

    def remember(self) -> None:
        super().remember()
        self.tapes.append((self.tape.copy(), len(self.taken)))

    def resume(self) -> None:
        tape = StoredWords(self.tape, self.words.moments)
        self.ring.resume(tape, FIRST, VENUE)
        super().resume()
        self.ring.bind(self.words, tape, SYMBOL, GENERATION, MADE)

    def publish(self) -> None:
        before = int(self.array[layout.TAIL])
        super().publish()
        self.bytes += recorded(self.array, before, int(self.array[layout.TAIL]))

    def take(self) -> None:
        self.taken += self.pieces.take(1 << 30)
        self.pieces.done()

    def release(self) -> None:
        super().release()
        self.take()


def fall_behind(life: RecordedLife, publications: int) -> None:
    """The worker takes all, the recorder nothing."""
    for _ in range(publications):
        assert life.push(EIGHTH)
        life.publish()
        life.consumer.release()


def behind(life: RecordedLife) -> None:
    """The recorder's ring is full; bytes wait in the instrument's and come later, or are given up."""
    for publications in (9, 30):
        fall_behind(life, publications)
        assert life.push(3 * EIGHTH)  # in chunks
        life.take()
        life.publish()
        life.release()


def never_published(life: RecordedLife) -> None:
    """While bytes wait for the recorder a producer, and one who found them waiting, write what is never published."""
    for found in (False, True):
        fall_behind(life, 9)
        if found:
            life.resume()
        for _ in range(5):
            assert life.push(EIGHTH - 100)
        life.push(4 * EIGHTH)  # its first chunks find room
        life.resume()
        assert life.push(20)
        life.take()
        life.publish()
        life.release()


@pytest.mark.parametrize("scenario", [ordinary, overrun, restarted, behind, never_published])
def test_a_successor_records_what_was_not(scenario: Any) -> None:
    life = RecordedLife()
    scenario(life)
    life.publish()
    life.take()
    assert check_all_right_or_lost(life.taken, life.bytes) == life.array[layout.UNRECORDED_BYTES]
    assert len(life.moments) > 100
    for words, (tape, taken) in zip(life.moments, life.tapes, strict=True):
        check_successor(words.copy(), life.seen)
        _check_records(life, words, tape, life.taken[:taken])


def test_the_scenarios_reach_what_they_are_for() -> None:
    lives = {}
    for scenario in (overrun, behind, never_published):
        lives[scenario] = life = RecordedLife()
        scenario(life)
        life.take()
    assert any(piece.kind is Record.DROPPED for piece in lives[overrun].taken)
    assert lives[behind].array[layout.UNRECORDED_BYTES] > 0
    assert lives[never_published].array[layout.UNRECORDED_BYTES] > 0


def _check_records(life: RecordedLife, words: Any, tape: Any, taken: list[Piece]) -> None:
    """What the dead producer left, and what the recorder had taken by then."""
    tail = int(words[layout.TAIL])
    truth = life.bytes[:tail]
    RingWriter(tape, GENERATION)
    writer = RingWriter(words, GENERATION)
    writer.record(tape, SYMBOL, MADE)
    words[layout.HEAD] = tail
    pieces = Pieces(tape)
    for payload in (b"first", b"second", b"third"):
        assert writer.push(payload)
        before = int(words[layout.TAIL])
        writer.publish()
        truth += recorded(words, before, int(words[layout.TAIL]))
        taken = [*taken, *pieces.take(1 << 30)]
        pieces.done()
    # Killed between the two stores of giving up, what was counted is put by the successor all the same.
    assert check_all_right_or_lost(taken, truth) <= words[layout.UNRECORDED_BYTES]
    dropped = [piece for piece in taken if piece.kind is Record.DROPPED]
    assert [(piece.from_position, piece.data) for piece in dropped] == [
        (piece.from_position, piece.data) for piece in life.taken if piece.kind is Record.DROPPED
    ][: len(dropped)]
