"""The ring from the engine to one worker: one producer, one consumer, no lock; the memory is drawn in layout.py.

Producer (engine): records go in behind a private tail and become visible together at `publish`: the commit slot
first, then `tail` (release), then a full fence, then a look at `parked`, and a futex wake only if it is set.
A full ring drops: the record is counted, and a gap record goes in before anything else does. GAP_RESERVE bytes
are never used for data, so the first gap always finds room; a clock frame never passes an owed gap.

Consumer (worker): `peek` walks records from its own position; `release` gives space back, which it does only
after a checkpoint. It sleeps in `park`: parked = 1, a full fence, one more look at `tail`, then the futex.
"""

from . import layout
from .atomics import (
    copy_bytes,
    fence_seq_cst,
    futex_wait,
    futex_wake,
    load_acquire,
    load_relaxed,
    store_relaxed,
    store_release,
)
from .compiled import kernel, kernel_part
from .layout import Reason, Record, Rows, Venue, Words
from .records import OWED_FIRST, PENDING, TURN, UNPUBLISHED, VENUE_WORD, place, put_head, record_bytes, show
from .tee import bind, record, record_dropped

_CAPACITY = layout.CAPACITY
_TAIL = layout.TAIL
_PRIVATE = layout.TAIL_PRIVATE
_CACHED = layout.HEAD_CACHED
_NEXT = layout.NEXT_SEQUENCE
_DELIVERED = layout.DELIVERED
_DROPPED = layout.DROPPED
_OWED_GAP = layout.OWED_GAP
_OWED_COUNT = layout.OWED_COUNT
_SIGNAL = layout.SIGNAL
_COMMIT = layout.COMMIT
_HEAD = layout.HEAD
_PARKED = layout.PARKED
_LINE = layout.WORDS_A_LINE
_HEADER = layout.RECORD_BYTES
_RESERVE = layout.GAP_RESERVE

_RECORD_DATA = int(Record.DATA)
_RECORD_CHUNK = int(Record.CHUNK)
_RECORD_CLOCK = int(Record.CLOCK)
_RECORD_GAP = int(Record.GAP)
_RECORD_CONFIG = int(Record.CONFIG)
_RECORD_SESSIONS = int(Record.SESSIONS)

_REASON_DROPPED = int(Reason.DROPPED)
_REASON_OVERSIZE = int(Reason.OVERSIZE)
_REASON_PAUSED = int(Reason.ENGINE_PAUSED)
_REASON_CLOSED = int(Reason.CLOSED)

_GAP_BYTES = layout.GAP.itemsize


@kernel
def _put_owed(words: Words) -> bool:
    """Write the gap record that is owed, if one is; False while it finds no room."""
    if words[_OWED_GAP] == 0:
        return True
    tail = place(words, record_bytes(_GAP_BYTES), 0)
    if tail < 0:
        return False
    sequence = words[_NEXT]
    words[_NEXT] = sequence + 1
    word = put_head(words, tail, _GAP_BYTES, _RECORD_GAP, sequence, 1, 0)
    words[word] = words[_OWED_GAP]
    words[word + 1] = words[_OWED_COUNT]
    words[word + 2] = words[_DROPPED]
    words[word + 3] = words[OWED_FIRST]
    words[_OWED_GAP] = 0
    words[_OWED_COUNT] = 0
    words[OWED_FIRST] = 0
    words[UNPUBLISHED] += 1
    words[PENDING] += 1
    return True


@kernel
def _drop(words: Words, reason: int, sequence: int) -> None:
    if words[_OWED_GAP] == 0 or words[_OWED_GAP] == _REASON_PAUSED:
        words[_OWED_GAP] = reason
    if words[_OWED_COUNT] == 0:
        words[OWED_FIRST] = sequence
    words[_OWED_COUNT] += 1
    words[_DROPPED] += 1


@kernel
def _drop_message(words: Words, reason: int, sequence: int, payload: bytes, size: int) -> None:
    """Count it, owe a gap, and let the recorder have it all the same."""
    _drop(words, reason, sequence)
    record_dropped(words, sequence, payload, size)


@kernel
def push(words: Words, payload: bytes) -> bool:
    """Put one delivered hub message in; False when it was dropped, which is counted and owed a gap record."""
    return push_first(words, payload, len(payload))


@kernel
def push_first(words: Words, payload: bytes, size: int) -> bool:
    """`push` of the first `size` bytes of `payload`."""
    words[_DELIVERED] += 1
    fits = _put_owed(words)
    sequence = words[_NEXT]
    words[_NEXT] = sequence + 1
    capacity = words[_CAPACITY]
    if size > capacity // 2:
        _drop_message(words, _REASON_OVERSIZE, sequence, payload, size)
        return False
    if not fits:
        _drop_message(words, _REASON_DROPPED, sequence, payload, size)
        return False
    if size <= capacity // 8:
        tail = place(words, record_bytes(size), _RESERVE)
        if tail < 0:
            _drop_message(words, _REASON_DROPPED, sequence, payload, size)
            return False
        word = put_head(words, tail, size, _RECORD_DATA, sequence, 1, 0)
        copy_bytes(words, word * 8, payload, 0, size)
    else:
        each = capacity // 8 - _HEADER - 8
        chunks = (size + each - 1) // each
        before = words[_PRIVATE]
        for chunk in range(chunks):
            start = chunk * each
            part = min(each, size - start)
            tail = place(words, record_bytes(part), _RESERVE)
            if tail < 0:  # all or nothing: what was written is behind the private tail, so nobody saw it
                words[_PRIVATE] = before
                words[_NEXT] = sequence + 1
                _drop_message(words, _REASON_DROPPED, sequence, payload, size)
                return False
            word = put_head(words, tail, part, _RECORD_CHUNK, sequence, chunks, chunk)
            copy_bytes(words, word * 8, payload, start, part)
    words[UNPUBLISHED] += 1
    words[PENDING] += 1
    return True


@kernel
def put_plain(words: Words, payload: bytes, kind: int) -> bool:
    """Put a clock or config record in, never ahead of an owed gap; False when there was no room."""
    if not _put_owed(words):
        return False
    size = len(payload)
    tail = place(words, record_bytes(size), _RESERVE)
    if tail < 0:
        return False
    sequence = words[_NEXT]
    words[_NEXT] = sequence + 1
    word = put_head(words, tail, size, kind, sequence, 1, 0)
    copy_bytes(words, word * 8, payload, 0, size)
    words[PENDING] += 1
    if kind != _RECORD_CLOCK:
        words[UNPUBLISHED] += 1
    return True


@kernel
def put_gap(words: Words, reason: int) -> None:
    """Put a gap record in, or owe it; an owed gap that already asks for a snapshot keeps its reason, but for CLOSED."""
    if words[_OWED_GAP] == 0 or words[_OWED_GAP] == _REASON_PAUSED or reason == _REASON_CLOSED:
        words[_OWED_GAP] = reason
    _put_owed(words)


@kernel_part
def _publish(words: Words, bell: Words, at: int) -> bool:
    """`publish`, where the worker sleeps on word `at` of `bell`."""
    _put_owed(words)
    if words[PENDING] == 0:
        return False
    woken = False
    if show(words):
        fence_seq_cst()  # SYNC parking: tail before parked, here and in `park`
        if load_relaxed(words, _PARKED) != 0:
            store_release(bell, at, bell[at] + 1)
            futex_wake(bell, at)
            woken = True
    record(words)  # last: the worker must not wait for the recorder's copy
    return woken


@kernel
def publish(words: Words) -> bool:
    """Make all that was put in visible, and wake the worker if it sleeps and there is more than a clock frame."""
    return _publish(words, words, _SIGNAL)


@kernel
def publish_and_ring(words: Words, bell: Words) -> bool:
    """`publish`, for a worker that sleeps on a bell: see bell.py."""
    return _publish(words, bell, 0)


@kernel
def resume(words: Words, first_sequence: int, venue: int) -> None:
    """Make a (new) producer's private words from what is published; records never published are gone.

    The commit slot whose tail is the published tail tells what was true then. Drops that were counted but whose
    gap never went in are kept, with their sequences, so that delivered = applied + refused + dropped +
    quarantined stays exact.
    """
    tail = load_acquire(words, _TAIL)
    owed = 0
    first_owed = 0
    if tail == 0:
        words[_NEXT] = first_sequence
        words[_DELIVERED] = 0
        words[_DROPPED] = 0
        words[TURN] = 0  # a slot that was written and never published is the first to be written again
    else:
        slot = _COMMIT
        if words[slot] != tail:
            slot += _LINE
        since = words[_DROPPED] - words[slot + 3]
        owed = words[slot + 4] + since
        first_owed = words[slot + 5] if words[slot + 4] > 0 else words[slot + 1]
        words[_NEXT] = words[slot + 1] + since
        words[_DELIVERED] = words[slot + 2] + since
        words[TURN] = 1 if slot == _COMMIT else 0
    words[VENUE_WORD] = venue
    words[layout.RECORDER_AT] = 0  # a predecessor's address is none of ours
    words[_PRIVATE] = tail
    words[_CACHED] = min(load_acquire(words, _HEAD), words[layout.RECORDED])  # what a predecessor's recorder lacks
    words[_OWED_COUNT] = owed
    words[OWED_FIRST] = first_owed if owed > 0 else 0
    words[_OWED_GAP] = _REASON_DROPPED if owed > 0 else 0
    words[PENDING] = 0
    words[UNPUBLISHED] = 0


@kernel
def release(words: Words, position: int) -> None:
    """Give the space below `position` back to the engine."""
    store_release(words, _HEAD, position)


@kernel
def park(words: Words, position: int, timeout_ns: int, scratch: Words) -> bool:
    """Sleep until the engine publishes more than clock frames, or `timeout_ns` is over; True when there is more."""
    seen = load_acquire(words, _SIGNAL)
    store_relaxed(words, _PARKED, 1)
    fence_seq_cst()  # SYNC parking
    if load_acquire(words, _TAIL) == position:
        futex_wait(words, _SIGNAL, seen, timeout_ns, scratch)
    store_relaxed(words, _PARKED, 0)
    return load_acquire(words, _TAIL) != position


class RingWriter:
    """The engine's end of one ring. Its only writer; on a ring that is not fresh it goes on where it was left."""

    __slots__ = ("_bell", "_generation", "_recorder", "_words", "fresh")

    def __init__(
        self, words: Words, generation: int, venue: Venue = Venue.PROJECTX, *, bell: Words | None = None
    ) -> None:
        """`words`: the region of that name of a writable Kind.RING segment. `bell`: of its worker's Kind.BELL segment.

        Who has no bell sleeps on the ring's own signal.
        """
        self._words = words
        self._generation = generation
        self._bell = bell
        self._recorder: Words | None = None
        self.fresh = int(self._words[_TAIL]) == 0
        first = max(generation << layout.GENERATION_SHIFT, int(words[layout.FIRST_SEQUENCE]))
        resume(self._words, first, int(venue))

    def record(self, recorder: Words, symbol: str, made: int) -> None:
        """Give `recorder` all that is published from now on, and what a predecessor left; see tee.py."""
        self._recorder = recorder  # its address is in our words: mapped for as long as anything is published here
        bind(self._words, recorder, symbol, self._generation, made)

    def push(self, payload: bytes) -> bool:
        """Put one hub message in, visible after `publish`; False when it was dropped (counted, a gap is owed)."""
        return push(self._words, payload)

    def publish(self) -> bool:
        """Make what was put in visible; True when a sleeping worker was woken. Clock frames alone wake nobody."""
        if self._bell is None:
            return publish(self._words)
        return publish_and_ring(self._words, self._bell)

    def gap(self, reason: Reason) -> None:
        """Say that the stream is not whole from here on; goes in before anything pushed after it."""
        put_gap(self._words, int(reason))

    def clock(self) -> bool:
        """A clock frame; left out, uncounted, when there is no room."""
        return put_plain(self._words, b"", _RECORD_CLOCK)

    def configure(self, config: bytes) -> bool:
        """The instrument's contract and increments: the bytes of one layout.CONFIG row. False: no room, try again."""
        if len(config) != layout.CONFIG.itemsize:
            raise ValueError(f"a config record has {layout.CONFIG.itemsize} bytes, not {len(config)}")
        return put_plain(self._words, config, _RECORD_CONFIG)

    def sessions(self, rows: Rows) -> bool:
        """Trading hours, layout.SESSION rows by open_ns; they replace what was known of their time. False: no room."""
        if not 1 <= len(rows) <= layout.MAX_SESSION_ROWS:
            raise ValueError(f"a sessions record has 1 to {layout.MAX_SESSION_ROWS} rows, not {len(rows)}")
        return put_plain(self._words, rows.astype(layout.SESSION, copy=False).tobytes(), _RECORD_SESSIONS)

    @property
    def words(self) -> Words:
        """The ring itself, for a kernel of the engine that pushes into many of them."""
        return self._words

    @property
    def resync_wanted(self) -> int:
        """How often the worker has asked for a snapshot."""
        return int(self._words[layout.RESYNC_WANTED])

    @property
    def delivered(self) -> int:
        """Hub messages that were handed to this ring, dropped ones too."""
        return int(self._words[_DELIVERED])

    @property
    def dropped(self) -> int:
        return int(self._words[_DROPPED])

    @property
    def pending(self) -> int:
        """Records put in and not yet published."""
        return int(self._words[PENDING])

    @property
    def backlog_bytes(self) -> int:
        """Bytes published and not yet released by the worker."""
        return int(self._words[_TAIL] - self._words[_HEAD])
