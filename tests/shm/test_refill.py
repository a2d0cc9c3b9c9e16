"""Recorded ring bytes put into another ring: the same records, whatever the room, and nothing that is none of ours."""

from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.layout import MIN_RING_BYTES, Reason, Record, Source
from shm.records import AFTER, KIND, PEEK_WORDS, SEQUENCE, peek
from shm.refill import (
    FOREIGN,
    SEQUENCE_WORD,
    WALL_WORD,
    first_from,
    gap_before,
    put_present,
    refill,
    take_back,
    words_of,
)
from shm.ring import RingWriter
from tests.shm.consumer import Consumer, ring_words

GENERATION = 3
FIRST = GENERATION << 40


def recorded(words: Any, begin: int, end: int) -> bytes:
    """The bytes of a ring between two positions, as they lie, round its end."""
    data, capacity = words.view(np.uint8)[layout.CONTROL_BYTES :], int(words[layout.CAPACITY])
    places = np.arange(begin, end) & (capacity - 1)
    return bytes(data[places])


class Live:
    """A ring as an engine fills it, and all of its bytes that were ever published."""

    def __init__(self) -> None:
        self.words = ring_words()
        self.writer = RingWriter(self.words, GENERATION)
        self.consumer = Consumer(self.words, FIRST)
        self.bytes = b""
        self.seen: list[Any] = []

    def publish(self, take: bool = True) -> None:
        before = int(self.words[layout.TAIL])
        self.writer.publish()
        self.bytes += recorded(self.words, before, int(self.words[layout.TAIL]))
        if take:
            self.seen += self.consumer.take()
            self.consumer.release()


def config(source: Source = Source.VENUE) -> bytes:
    row = np.zeros(1, layout.CONFIG)
    row["contract"], row["source"] = b"CON.F.US.MNQ.Z26", int(source)
    return row.tobytes()


def busy(rng: np.random.Generator, records: int) -> Live:
    """A ring with all kinds of records in it, laps, chunks, and drops while nobody takes."""
    live = Live()
    live.writer.configure(config())
    for n in range(records):
        what = rng.integers(12)
        if what == 0:
            live.writer.clock()
        elif what == 1:
            live.writer.gap(Reason.DISCONNECTED)
        elif what == 2:
            live.writer.push(rng.bytes(int(rng.integers(MIN_RING_BYTES // 8, MIN_RING_BYTES // 2))))
        else:
            live.writer.push(rng.bytes(int(rng.integers(0, 900))))
        if rng.integers(3) == 0:
            live.publish(take=rng.integers(4) != 0)
        assert n < records
    live.publish()
    return live


def replayed(rng: np.random.Generator, data: bytes, words: Any = None) -> tuple[Any, list[Any]]:
    """All of `data` through another ring, whose taker takes when it likes; its words, and what came out."""
    words = ring_words() if words is None else words
    writer = RingWriter(words, 1)
    consumer = Consumer(words, int(words[layout.NEXT_SEQUENCE]))
    consumer.expected = FIRST
    seen: list[Any] = []
    source, at = words_of(data), 0
    while at < len(source):
        at = refill(words, source, at, len(source))
        assert at >= 0
        writer.publish()
        if rng.integers(2) == 0 or at < len(source):
            seen += consumer.take()
            consumer.release()
    return words, seen + consumer.take()


def alike(seen: list[Any]) -> list[Any]:
    """Records with config records as a replay's."""
    return [each._replace(payload=config(Source.REPLAY)) if each.kind is Record.CONFIG else each for each in seen]


def test_all_records_come_out_as_they_came_out_then(seed: int) -> None:
    rng = np.random.default_rng(seed)
    live = busy(rng, 600)
    words, seen = replayed(rng, live.bytes)
    assert seen == alike(live.seen)
    assert words[layout.DELIVERED] == live.writer.delivered
    assert words[layout.DROPPED] == live.writer.dropped > 0


def test_receive_times_stay(seed: int) -> None:
    live = busy(np.random.default_rng(seed), 3)
    source = words_of(live.bytes)
    words = ring_words()
    RingWriter(words, 1)
    assert refill(words, source, 0, len(source)) == len(source)
    first = words[layout.DATA_WORD : layout.DATA_WORD + 4]
    assert list(first) == list(source[:4])


def test_what_is_in_the_ring_is_not_put_twice(seed: int) -> None:
    """A successor begins anywhere before what its predecessor had put."""
    rng = np.random.default_rng(seed)
    live = busy(rng, 200)
    source = words_of(live.bytes)
    words = ring_words()
    writer = RingWriter(words, 1)
    consumer = Consumer(words, FIRST)
    seen: list[Any] = []
    at = 0
    while at < len(source):
        at = refill(words, source, at, len(source))
        writer.publish()
        seen += consumer.take()
        consumer.release()
        if rng.integers(3) == 0:
            writer = RingWriter(words, 1)
            at = 0
            consumer._parts.clear()  # of a message in chunks all come again, as a worker expects it
    assert seen == alike(live.seen)


def test_time_that_is_present_takes_no_sequence() -> None:
    words = ring_words()
    writer = RingWriter(words, 1)
    before = int(words[layout.NEXT_SEQUENCE])
    assert put_present(words)
    assert writer.pending == 1
    assert words[layout.NEXT_SEQUENCE] == before
    assert int(words[layout.DATA_WORD]) >> 32 == Record.PRESENT


def test_a_full_ring_takes_none_and_says_so() -> None:
    live = Live()
    live.writer.push(bytes(MIN_RING_BYTES // 8))
    live.publish()
    source, words = words_of(live.bytes), ring_words()
    writer = RingWriter(words, 1)
    for _ in range(100):
        words[layout.NEXT_SEQUENCE] = 0
        if (at := refill(words, source, 0, len(source))) == 0:
            break
    assert at == 0
    assert writer.dropped == 0
    while put_present(words):
        pass
    assert refill(words, source, 0, len(source)) == 0


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda words: words.__setitem__(0, (77 << 32) | 8), id="kind"),
        pytest.param(lambda words: words.__setitem__(0, (1 << 32) | (1 << 30)), id="larger than the ring"),
        pytest.param(lambda words: words.__setitem__(0, (1 << 32) | 4096), id="longer than what is there"),
        pytest.param(lambda words: words.__setitem__(0, (0xFFFFFFFF << 32) - (1 << 64)), id="padding of nothing"),
        pytest.param(lambda words: words.__setitem__(0, (4 << 32) | 8), id="gap of another size"),
        pytest.param(lambda words: words.put((0, 4), ((2 << 32) | 8, (1 << 16) | 1)), id="chunk behind the last"),
        pytest.param(lambda words: words.__setitem__(0, (10 << 32) | 8), id="present of another day"),
    ],
)
def test_what_is_no_record_of_ours_is_refused(spoil: Any) -> None:
    live = Live()
    live.writer.push(b"12345678")
    live.publish()
    data = words_of(live.bytes).copy()
    spoil(data)
    data.flags.writeable = False
    words = ring_words()
    writer = RingWriter(words, 1)
    assert refill(words, data, 0, len(data)) == FOREIGN
    assert writer.pending == 0


def test_every_cut_is_refused_or_a_prefix(seed: int) -> None:
    live = busy(np.random.default_rng(seed), 20)
    for end in range(0, len(live.bytes), 8):
        words = ring_words()
        writer = RingWriter(words, 1)
        consumer = Consumer(words, FIRST)
        source = words_of(live.bytes[:end])
        assert refill(words, source, 0, len(source)) in (FOREIGN, *range(len(source) + 1))
        writer.publish()
        seen = consumer.take()
        assert seen == alike(live.seen)[: len(seen)]


def test_bytes_that_are_no_words_are_refused() -> None:
    with pytest.raises(ValueError, match="whole words"):
        words_of(b"1234567")


def places_of(source: Any) -> list[int]:
    """The word of each record."""
    places, at = [], 0
    while (at := first_from(source, at, len(source), SEQUENCE_WORD, 0)) < len(source):
        places.append(at)
        at += (layout.RECORD_BYTES + ((int(source[at]) & 0xFFFFFFFF) + 8 & ~7)) // 8
    return places


def test_the_first_record_from_a_sequence_or_a_time_on_is_found(seed: int) -> None:
    source = words_of(busy(np.random.default_rng(seed), 60).bytes)
    end, places = len(source), places_of(source)
    assert len(places) >= 30
    for column in (SEQUENCE_WORD, WALL_WORD):
        for place in places:
            least = int(source[place + column])
            first = next(each for each in places if source[each + column] >= least)
            assert first_from(source, 0, end, column, least) == first
    assert first_from(source, 0, end, SEQUENCE_WORD, 1 << 62) == end
    assert first_from(source, 0, end - 1, SEQUENCE_WORD, 1 << 62) == FOREIGN
    assert first_from(words_of(bytes(80)), 0, 10, SEQUENCE_WORD, 1 << 62) in (10, FOREIGN)


def test_a_gap_goes_in_before_a_record_that_does_not_follow_and_only_there() -> None:
    live = Live()
    for n in range(6):
        live.writer.push(b"%d" % n)
    live.publish()
    source, words = words_of(live.bytes), ring_words()
    places = [n * len(source) // 6 for n in range(6)]
    writer = RingWriter(words, 1)
    refill(words, source, 0, places[2])
    for place in (places[2], places[4]):  # nothing is missing before the first, two messages are before the second
        gap = gap_before(words, source, place)
        assert refill(words, gap, 0, len(gap)) == len(gap)
    refill(words, source, places[4], len(source))
    writer.publish()
    assert all_of(words) == [
        *((Record.DATA, FIRST + n) for n in (0, 1)),
        (Record.GAP, FIRST + 3),
        *((Record.DATA, FIRST + n) for n in (4, 5)),
    ]


def all_of(words: Any) -> list[tuple[int, int]]:
    """Kind and sequence of all that is published."""
    row, found, at = np.zeros(PEEK_WORDS, np.int64), [], 0
    while peek(words, at, int(words[layout.TAIL]), row):
        found.append((int(row[KIND]), int(row[SEQUENCE])))
        at = int(row[AFTER])
    return found


def test_drops_that_were_not_published_are_owed_by_no_successor() -> None:
    live = Live()
    while live.writer.push(bytes(900)):
        pass
    live.publish()
    live.writer.push(b"2")
    live.publish()
    source, words = words_of(live.bytes), ring_words(1 << 18)
    (gap,) = (at for at in places_of(source) if source[at] >> 32 == Record.GAP)
    writer = RingWriter(words, 1)
    assert refill(words, source, 0, gap) == gap
    writer.publish()
    assert refill(words, source, gap, len(source)) == len(source)  # and its player is killed
    take_back(words)
    writer = RingWriter(words, 1)
    assert (words[layout.OWED_GAP], words[layout.OWED_COUNT]) == (0, 0)
    assert refill(words, source, gap, len(source)) == len(source)
    writer.publish()
    assert len(all_of(words)) == len(places_of(source))
    assert words[layout.DROPPED] == 1
