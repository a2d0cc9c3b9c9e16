"""The ring, one call at a time: what fits, what is dropped, who says so, and what a new producer makes of it."""

from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.layout import MIN_RING_BYTES, Reason, Record
from shm.records import record_bytes
from shm.ring import RingWriter, park
from tests.shm.consumer import Consumer, ring_words

CAPACITY = MIN_RING_BYTES
GENERATION = 3
FIRST = GENERATION << 40
EIGHTH, HALF = CAPACITY // 8, CAPACITY // 2


class Pair:
    """A ring with both its ends."""

    def __init__(self) -> None:
        self.words = ring_words(CAPACITY)
        self.writer = RingWriter(self.words, GENERATION)
        self.consumer = Consumer(self.words, FIRST)

    def take(self, release: bool = True) -> list[Any]:
        """Publish, take, give back."""
        self.writer.publish()
        taken = self.consumer.take()
        if release:
            self.consumer.release()
        return taken

    def advance(self, place: int) -> None:
        """Bring the empty ring to where its tail lies at `place`, a multiple of 8 that is at least 48."""
        while (left := (place - self.tail) % CAPACITY) != 0:
            size = left if left <= EIGHTH - 96 else min(EIGHTH - 96, left - 48) & ~7
            assert self.writer.push(bytes(size - 48))
            self.take()

    @property
    def tail(self) -> int:
        return int(self.words[layout.TAIL_PRIVATE])

    @property
    def free(self) -> int:
        return CAPACITY - self.tail + int(self.words[layout.HEAD])

    def fill(self, leave: int) -> None:
        """Push without publishing until exactly `leave` bytes are free."""
        while (left := self.free - leave) > 0:
            size = left if left <= EIGHTH else min(EIGHTH, left - 48) & ~7
            assert self.writer.push(bytes(size - 48))

    def check_counts(self) -> None:
        """What was delivered was seen or dropped, and every drop was told."""
        assert self.writer.delivered == self.consumer.messages + self.writer.dropped
        assert self.consumer.told == self.writer.dropped


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100, EIGHTH - 1, EIGHTH])
def test_a_record_comes_out_as_it_went_in(pair: Pair, size: int) -> None:
    payload = bytes(i & 0xFF | 1 for i in range(size))
    assert pair.writer.push(payload)
    assert pair.take() == [(Record.DATA, FIRST, payload)]


@pytest.mark.parametrize(("size", "room"), [(0, 48), (7, 48), (8, 56), (15, 56), (16, 64)])
def test_a_record_takes_its_header_its_payload_and_a_zero(size: int, room: int) -> None:
    assert record_bytes(size) == room


def test_nothing_is_seen_before_publish_and_publishing_nothing_is_nothing(pair: Pair) -> None:
    assert pair.writer.push(b"one")
    assert pair.consumer.take() == []
    assert pair.writer.pending == 1
    assert not pair.writer.publish()  # nobody slept
    assert pair.writer.pending == 0
    assert [seen.payload for seen in pair.consumer.take()] == [b"one"]
    tail = int(pair.words[layout.TAIL])
    assert not pair.writer.publish()
    assert int(pair.words[layout.TAIL]) == tail


def test_sequences_start_at_the_generation_and_count_every_record(pair: Pair) -> None:
    assert pair.writer.configure(bytes(layout.CONFIG.itemsize))
    assert pair.writer.push(b"a")
    assert pair.writer.clock()
    pair.writer.gap(Reason.RECONNECTED)
    assert pair.writer.push(b"b")
    taken = pair.take()
    assert [seen.kind for seen in taken] == [Record.CONFIG, Record.DATA, Record.CLOCK, Record.GAP, Record.DATA]
    assert [seen.sequence - FIRST for seen in taken] == [0, 1, 2, 3, 4]
    assert taken[3].payload == (Reason.RECONNECTED, 0, 0, 0)
    assert pair.writer.delivered == 2  # clock, gap and config count nowhere


def test_receive_times_do_not_go_back(pair: Pair) -> None:
    for _ in range(20):
        pair.writer.push(b"tick")
    pair.writer.publish()
    words = pair.words.view(np.int64)
    times = [(words[at + 2], words[at + 3]) for at in range(layout.DATA_WORD, layout.DATA_WORD + 20 * 6, 6)]
    assert times == sorted(times)
    assert all(boot > 0 and wall > 1_600_000_000_000_000_000 for boot, wall in times)


@pytest.mark.parametrize("to_end", range(8, 120, 8))
def test_a_record_that_does_not_fit_before_the_end_goes_to_the_start(pair: Pair, to_end: int) -> None:
    pair.advance(CAPACITY - to_end)
    before = pair.tail
    payload = bytes(range(1, 33))  # 80 bytes in the ring
    assert pair.writer.push(payload)
    assert pair.tail - before == 80 + (to_end if to_end < 80 else 0)
    assert [seen.payload for seen in pair.take()] == [payload]
    assert not pair.words.view(np.uint8)[layout.CONTROL_BYTES + CAPACITY :].any(), "the slack stays zero"


def test_zeros_follow_a_payload_where_something_longer_lay_before(pair: Pair) -> None:
    for lap in range(4):
        for size in range(1, 200):
            assert pair.writer.push(bytes([255 - lap]) * size)
            pair.take()  # asserts the zero byte behind each
        pair.advance(0)


@pytest.mark.parametrize(("leave", "fits"), [(47, False), (48, True), (56, True)])
def test_data_takes_all_but_the_reserve(pair: Pair, leave: int, fits: bool) -> None:
    pair.fill(layout.GAP_RESERVE + (leave & ~7))
    assert pair.writer.push(b"1234567") is fits
    assert pair.writer.dropped == (not fits)
    pair.take()
    pair.check_counts()


@pytest.mark.parametrize("to_end", [8, 16, 40, 72, 80, 88])
def test_the_first_gap_has_room_wherever_the_ring_is_full(pair: Pair, to_end: int) -> None:
    pair.advance(CAPACITY - to_end)
    start = pair.tail
    pair.words[layout.HEAD] = start - CAPACITY + layout.GAP_RESERVE  # all but the reserve is not released
    pair.words[layout.HEAD_CACHED] = pair.words[layout.HEAD]
    assert not pair.writer.push(b"")
    pair.writer.publish()
    assert [seen.payload for seen in pair.consumer.take()] == [(Reason.DROPPED, 1, 1, FIRST + pair.consumer.messages)]


def test_what_is_dropped_is_counted_and_told_before_anything_else_goes_in(pair: Pair) -> None:
    pair.fill(layout.GAP_RESERVE)
    pushed = pair.writer.delivered
    assert not pair.writer.push(b"lost")
    assert pair.writer.push(b"lost") is False
    assert not pair.writer.clock()
    assert not pair.writer.configure(bytes(layout.CONFIG.itemsize))
    taken = pair.take()
    assert pair.writer.dropped == 2
    assert [seen.kind for seen in taken[pushed:]] == [Record.GAP, Record.GAP]
    assert pair.writer.push(b"after")
    assert [seen.payload for seen in pair.take()] == [b"after"]
    pair.check_counts()


def test_a_gap_that_finds_no_room_stays_owed_and_grows(pair: Pair) -> None:
    pair.fill(layout.GAP_RESERVE)
    pushed = pair.writer.delivered
    for _ in range(10):
        assert not pair.writer.push(b"lost")
    taken = pair.take()
    told = [seen.payload[1] for seen in taken[pushed:]]
    assert told == [1, 1, 1]  # the reserve holds three
    assert pair.take()[0].payload[:3] == (Reason.DROPPED, 7, 10)
    pair.check_counts()


def test_a_clock_frame_never_passes_an_owed_gap(pair: Pair) -> None:
    pair.fill(layout.GAP_RESERVE)
    for _ in range(5):
        assert not pair.writer.push(b"lost")
    assert not pair.writer.clock()
    pair.take()
    assert pair.writer.clock()
    assert [seen.kind for seen in pair.take()] == [Record.GAP, Record.CLOCK]
    pair.check_counts()


def test_a_clock_frame_that_finds_no_room_is_left_out_uncounted(pair: Pair) -> None:
    pair.fill(layout.GAP_RESERVE + 40)
    sequence = int(pair.words[layout.NEXT_SEQUENCE])
    assert not pair.writer.clock()
    assert int(pair.words[layout.NEXT_SEQUENCE]) == sequence
    assert (pair.writer.dropped, pair.words[layout.OWED_GAP]) == (0, 0)


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ([Reason.DISCONNECTED], Reason.DROPPED),
        ([Reason.ENGINE_PAUSED], Reason.DROPPED),
        ([Reason.CLOSED], Reason.CLOSED),
        ([Reason.CLOSED, Reason.RECONNECTED], Reason.CLOSED),
    ],
)
def test_an_owed_gap_keeps_its_reason_unless_the_feed_was_closed(
    pair: Pair, reasons: list[Reason], told: Reason
) -> None:
    pair.fill(layout.GAP_RESERVE)
    for _ in range(5):
        assert not pair.writer.push(b"lost")
    for reason in reasons:
        pair.writer.gap(reason)
    pair.take()
    assert [seen.payload[:2] for seen in pair.take()] == [(told, 2)]


def test_an_owed_pause_gives_way_to_a_reason_that_asks_for_a_snapshot(pair: Pair) -> None:
    pair.fill(layout.GAP_RESERVE)
    for _ in range(4):
        pair.writer.gap(Reason.ENGINE_PAUSED)  # the fourth finds no room
    assert int(pair.words[layout.OWED_GAP]) == Reason.ENGINE_PAUSED
    assert not pair.writer.push(b"lost")
    pair.take()
    assert [seen.payload[:2] for seen in pair.take()] == [(Reason.DROPPED, 1)]
    pair.check_counts()


@pytest.mark.parametrize("size", [EIGHTH + 1, 2 * EIGHTH, 3 * EIGHTH + 5, HALF - 1, HALF])
@pytest.mark.parametrize("place", [48, CAPACITY // 3 & ~7, CAPACITY - 48])
def test_a_large_record_goes_as_chunks_and_counts_once(pair: Pair, size: int, place: int) -> None:
    pair.advance(place)
    before = pair.writer.delivered
    payload = np.random.default_rng(size).bytes(size)
    assert pair.writer.push(payload)
    assert [(seen.kind, seen.payload) for seen in pair.take()] == [(Record.CHUNK, payload)]
    assert pair.writer.delivered == before + 1
    pair.check_counts()


def test_chunks_go_in_all_or_none(pair: Pair) -> None:
    for leave in range(layout.GAP_RESERVE + 48, HALF, 648):
        pair.fill(leave & ~7)
        filled = pair.tail
        count = pair.consumer.messages
        assert not pair.writer.push(b"x" * HALF)
        assert pair.tail == filled, "what was written stays behind the private tail"
        assert pair.writer.push(b"") is False or pair.tail > filled
        pair.take()
        pair.take()
        pair.check_counts()
        assert pair.consumer.messages > count


def test_a_record_above_half_the_ring_is_refused_and_counted(pair: Pair) -> None:
    assert not pair.writer.push(bytes(HALF + 1))
    assert pair.writer.push(b"next")
    taken = pair.take()
    assert [seen.kind for seen in taken] == [Record.GAP, Record.DATA]
    assert taken[0].payload == (Reason.OVERSIZE, 1, 1, FIRST)
    pair.check_counts()


def test_a_config_of_another_size_is_refused(pair: Pair) -> None:
    with pytest.raises(ValueError, match="a config record has"):
        pair.writer.configure(b"short")


def test_backlog_is_what_is_published_and_not_released(pair: Pair) -> None:
    pair.writer.push(b"1234567")
    assert pair.writer.backlog_bytes == 0
    pair.writer.publish()
    assert pair.writer.backlog_bytes == 48
    pair.take()
    assert pair.writer.backlog_bytes == 0


def test_the_wish_for_a_snapshot_is_the_workers_word(pair: Pair) -> None:
    pair.words[layout.RESYNC_WANTED] = 4
    assert pair.writer.resync_wanted == 4


def test_only_more_than_clock_frames_wakes_a_parked_worker(pair: Pair) -> None:
    pair.words[layout.PARKED] = 1
    assert pair.writer.clock()
    assert not pair.writer.publish()
    assert int(pair.words[layout.SIGNAL]) == 0
    pair.writer.push(b"data")
    assert pair.writer.publish()
    assert int(pair.words[layout.SIGNAL]) == 1
    pair.writer.gap(Reason.RESYNC)
    assert pair.writer.publish()
    pair.words[layout.PARKED] = 0
    pair.writer.push(b"data")
    assert not pair.writer.publish()
    assert int(pair.words[layout.SIGNAL]) == 2


def test_parking_returns_at_once_when_there_is_more_and_takes_the_flag_down(pair: Pair) -> None:
    words: Any = pair.words.view(np.int64)
    scratch: Any = np.zeros(4, np.int64)
    pair.writer.push(b"data")
    pair.writer.publish()
    assert park(words, 0, 60_000_000_000, scratch)  # would hang until the test's limit
    assert int(words[layout.PARKED]) == 0
    assert not park(words, int(words[layout.TAIL]), 1_000, scratch)


# ── a new producer on the old one's ring ────────────────────────────────────────────────────────────────────


def test_a_successor_goes_on_with_sequences_and_counts(pair: Pair) -> None:
    pair.writer.push(b"one")
    pair.take(release=False)
    assert RingWriter(ring_words(), GENERATION).fresh
    pair.writer = RingWriter(pair.words, GENERATION)
    assert not pair.writer.fresh
    pair.writer.push(b"two")
    assert [seen.sequence for seen in pair.take()] == [FIRST + 1]
    assert pair.writer.delivered == 2
    pair.check_counts()


def test_what_was_never_published_is_gone_and_counted_nowhere(pair: Pair) -> None:
    pair.writer.push(b"one")
    pair.take()
    pair.writer.push(b"never seen")
    pair.writer = RingWriter(pair.words, GENERATION)
    assert (pair.writer.delivered, pair.writer.dropped, pair.writer.pending) == (1, 0, 0)
    pair.writer.push(b"two")
    assert [(seen.sequence, seen.payload) for seen in pair.take()] == [(FIRST + 1, b"two")]
    pair.check_counts()


def test_drops_whose_gap_was_never_published_are_told_by_the_successor(pair: Pair) -> None:
    pair.writer.push(b"one")
    pair.take()
    pair.writer.push(bytes(HALF + 1))
    pair.writer.push(bytes(HALF + 1))
    pair.writer = RingWriter(pair.words, GENERATION)
    pair.writer.push(b"two")
    taken = pair.take()
    assert [seen.kind for seen in taken] == [Record.GAP, Record.DATA]
    assert taken[0].payload == (Reason.DROPPED, 2, 2, FIRST + 1)
    pair.check_counts()


def test_drops_that_were_still_owed_at_the_last_publish_are_told_by_the_successor(pair: Pair) -> None:
    """The reserve holds three gap records; what was dropped after the third was owed when `publish` was called."""
    pair.fill(layout.GAP_RESERVE)
    for _ in range(10):
        assert not pair.writer.push(b"lost")
    pair.take()
    pair.writer = RingWriter(pair.words, GENERATION)
    pair.writer.push(b"two")
    taken = pair.take()
    assert [seen.kind for seen in taken] == [Record.GAP, Record.DATA]
    assert taken[0].payload[:3] == (Reason.DROPPED, 7, 10)
    pair.check_counts()


def test_a_commit_slot_of_a_tail_that_was_never_published_is_not_believed(pair: Pair) -> None:
    """The first producer died between its first commit slot and the tail; the second publishes at the same tail."""
    words = pair.words
    for _ in range(2):
        pair.writer.push(b"1234567")  # two records of 48 bytes
    words[layout.COMMIT + 1] = words[layout.NEXT_SEQUENCE]
    words[layout.COMMIT + 2] = words[layout.DELIVERED]
    words[layout.COMMIT + 3] = words[layout.DROPPED]
    words[layout.COMMIT] = words[layout.TAIL_PRIVATE]
    words[layout.OWED_COUNT + 4] += 1  # its turn
    pair.writer = RingWriter(words, GENERATION)
    assert pair.writer.fresh
    pair.writer.push(bytes(55))  # one of 96
    pair.take()
    pair.writer = RingWriter(words, GENERATION)
    assert pair.writer.delivered == 1
    pair.writer.push(b"next")
    assert [seen.sequence for seen in pair.take()] == [FIRST + 1]
    pair.check_counts()


def test_a_ring_that_is_made_anew_begins_where_the_old_one_ended() -> None:
    words = np.zeros(layout.ring_regions(layout.MIN_RING_BYTES)["words"].shape, layout.WORDS)
    words[layout.CAPACITY] = layout.MIN_RING_BYTES
    words[layout.FIRST_SEQUENCE] = (3 << layout.GENERATION_SHIFT) + 77
    for first in (77, 78):  # a successor of the engine goes on where it was, and not there again
        writer = RingWriter(words, 3)
        assert words[layout.NEXT_SEQUENCE] == (3 << layout.GENERATION_SHIFT) + first
        writer.push(b"{}")
        writer.publish()
