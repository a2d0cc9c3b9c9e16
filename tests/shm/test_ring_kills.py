"""The engine killed between any two stores of every ring operation: its successor loses and doubles nothing it said."""

from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.layout import MIN_RING_BYTES, Reason, Record
from shm.ring import RingWriter
from tests.shm.consumer import Consumer, Seen, ring_words
from tests.shm.interpreted import Moments, StoredWords, interpret

GENERATION = 2
FIRST = GENERATION << 40
VENUE = int(layout.Venue.PROJECTX)
EIGHTH = MIN_RING_BYTES // 8


class Life:
    """One producer's life, run by the interpreter; what memory was before each of its stores is kept."""

    def __init__(self) -> None:
        self.array = ring_words()
        self.moments: list[Any] = []
        self.consumer = Consumer(self.array, FIRST)
        self.seen: list[Seen] = []
        note = Moments(self.remember)
        self.ring = interpret("ring", note)
        self.words = StoredWords(self.array, note)
        self.resume()

    def remember(self) -> None:
        self.moments.append(self.array.copy())

    def resume(self) -> None:
        self.ring.resume(self.words, FIRST, VENUE)

    def push(self, size: int) -> bool:
        return bool(self.ring.push(self.words, bytes((len(self.moments) + i) % 255 + 1 for i in range(size))))

    def gap(self, reason: Reason) -> None:
        self.ring.put_gap(self.words, int(reason))

    def clock(self) -> bool:
        return bool(self.ring.put_plain(self.words, b"", int(Record.CLOCK)))

    def publish(self) -> None:
        self.ring.publish(self.words)
        self.seen += self.consumer.take()

    def release(self) -> None:
        self.consumer.release()


def ordinary(life: Life) -> None:
    """Batches of all kinds, several around the end of the ring; nothing is dropped."""
    for lap in range(3):
        assert life.clock()
        assert life.push(10 + lap)
        life.publish()
        assert life.push(EIGHTH + 300)
        life.gap(Reason.RECONNECTED)
        life.publish()
        life.release()
        assert life.push(EIGHTH)
        assert life.push(EIGHTH - 40)
        life.publish()
        life.release()


def overrun(life: Life) -> None:
    """A worker that stands still: drops, gaps while there is room, gaps that stay owed, oversize; then it goes on."""
    for _ in range(2):
        for _ in range(7):
            assert life.push(EIGHTH)
        while life.push(7):  # the reserve alone is left: it holds three gap records
            pass
        life.publish()
        for size in (7, 7, MIN_RING_BYTES, 7, 7):
            life.push(size)
        life.clock()
        life.publish()
        life.push(7)
        life.publish()
        life.release()
        life.publish()
        assert life.push(20)
        life.publish()
        life.release()


def restarted(life: Life) -> None:
    """A second producer after the first, with records and drops that the first never published."""
    assert life.clock()
    life.publish()
    assert life.push(30)
    life.push(MIN_RING_BYTES)
    life.resume()
    assert life.push(7)
    life.publish()
    life.push(MIN_RING_BYTES)
    assert life.push(9)
    life.resume()
    assert life.push(7)
    life.publish()
    life.resume()


@pytest.mark.parametrize("scenario", [ordinary, overrun, restarted])
def test_a_successor_goes_on_from_any_store(scenario: Any) -> None:
    life = Life()
    scenario(life)
    life.publish()
    assert len(life.moments) > 100
    for moment in life.moments:
        check_successor(moment, life.seen)


def check_successor(words: Any, seen: list[Seen]) -> None:
    """`words`: what the dead producer left; `seen`: all that its life had published in the end."""
    consumer = Consumer(words, FIRST)
    # What was released was seen before; the worker's checkpoint says which sequence and which counts that was.
    before = _taken_before(words, seen)
    consumer.expected = before[-1].sequence + 1 if before else FIRST
    consumer.messages = sum(each.kind in (Record.DATA, Record.CHUNK) for each in before)
    consumer.told = sum(each.payload[1] for each in before if each.kind == Record.GAP)
    found = consumer.take()
    assert before + found == seen[: len(before) + len(found)]

    consumer.release()
    for payload in (b"first", b"second"):  # each by a producer of its own
        writer = RingWriter(words, GENERATION)
        assert writer.push(payload)
        writer.publish()
        assert [each.payload for each in consumer.take() if each.kind == Record.DATA] == [payload]
        assert writer.delivered == consumer.messages + writer.dropped
        assert consumer.told == writer.dropped


def _taken_before(words: Any, seen: list[Seen]) -> list[Seen]:
    """The records below `head`: those whose sequence is below that of the first record that is still there."""
    if int(words[layout.HEAD]) == 0:
        return []
    probe = _first_sequence(words)
    return [each for each in seen if each.sequence < probe]


def _first_sequence(words: Any) -> int:
    """Of the oldest published record that was not released; of the next one if all were."""
    signed = words.view(np.int64)
    position, tail = int(signed[layout.HEAD]), int(signed[layout.TAIL])
    while position < tail:
        word = layout.DATA_WORD + (position % MIN_RING_BYTES) // 8
        first = int(signed[word]) & (1 << 64) - 1
        if first >> 32 != Record.PAD:
            return int(signed[word + 1])
        position += first & 0xFFFFFFFF
    slots = [layout.COMMIT, layout.COMMIT + layout.WORDS_A_LINE]
    return int(next(signed[slot + 1] for slot in slots if int(signed[slot]) == tail))
