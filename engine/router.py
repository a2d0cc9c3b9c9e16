"""From a message to its instrument's ring: a look-up and a copy, no parse.

Most websocket frames are one record that begins in the usual way of its venue: `take` handles those by one call of
the kernel in fan.py. Any other frame it leaves alone, for the feed to cut up and `route` message by message.

Messages become visible together: the first one of a loop turn schedules a publication behind all callbacks that
are ready now (`call_soon`), so an idle feed adds no delay and a busy one gets large batches. The turn can be long,
because a websocket whose buffer is full is read without giving up the loop; `batch_max_frames` and `batch_max_us`
bound what may wait.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

import numpy as np

from shm.layout import Reason, Words

from . import fan
from .config import MAX_SYMBOLS, SymbolSettings

LOOK_AT_CLOCK_EACH: Final = 16  # messages of a batch: a look costs as much as a message or two

assert MAX_SYMBOLS <= fan.MAX_LANES


class Ring(Protocol):
    """The engine's end of a ring, as shm.ring.RingWriter is."""

    def push(self, payload: bytes) -> bool: ...
    def publish(self) -> bool: ...
    def gap(self, reason: Reason) -> None: ...
    def clock(self) -> bool: ...
    def configure(self, config: bytes) -> bool: ...
    @property
    def words(self) -> Words | None: ...
    @property
    def resync_wanted(self) -> int: ...
    @property
    def delivered(self) -> int: ...
    @property
    def fresh(self) -> bool: ...


class Lane:
    """An instrument's way to its worker: its ring, and its row of the fan's table, where a batch is counted."""

    def __init__(self, settings: SymbolSettings, ring: Ring) -> None:
        self.settings = settings
        self.ring = ring
        self.push: Callable[[bytes], bool] = ring.push
        self.answered = True  # no snapshot is waited for
        self._opened_ns = 0  # when the first message of the batch came
        self._row = np.zeros(fan.LANE_WORDS, np.int64).data  # until a router gives it one
        self._is_snapshot: Callable[[bytes], bool] = _never

    def enter(self, row: fan.Table) -> None:
        """Use `row` of a fan's table from now on; the fan may push into the ring by itself."""
        self._row = row.data  # a memoryview: its words are Python's ints, in half the time
        self._let_in()

    def leave(self) -> None:
        """Out of the router: what waits becomes visible, and the fan pushes nothing more."""
        self.publish()
        row, self._row = self._row, np.zeros(fan.LANE_WORDS, np.int64).data
        for word in range(fan.LANE_WORDS):
            row[word] = 0

    def say(self, *reasons: Reason) -> None:
        """Put gap records in and make them visible now."""
        for reason in reasons:
            self.ring.gap(reason)
        self.ring.publish()

    def await_snapshot(self, is_snapshot: Callable[[bytes], bool]) -> None:
        """Look at each message until one is a snapshot; `answered` tells. Meanwhile the fan leaves them to `push`."""
        self.answered = False
        self._is_snapshot = is_snapshot
        self.push = self._push_and_look
        self._row[fan.ADDRESS] = 0

    def stop_awaiting(self) -> None:
        """The snapshot is there, or a new connection will bring another."""
        self.answered = True
        self.push = self.ring.push
        self._let_in()

    def begin(self, now_ns: int) -> None:
        """Open a batch."""
        self._opened_ns = now_ns
        self._row[fan.OPEN] = 1
        self._row[fan.WAITING] = 0
        self._row[fan.LOOK_AT] = min(LOOK_AT_CLOCK_EACH, self.settings.batch_max_frames)

    def publish(self) -> None:
        """End the batch: all that waits becomes visible."""
        self._row[fan.OPEN] = 0
        self.ring.publish()

    @property
    def is_open(self) -> bool:
        """Whether a message waits for publication."""
        return bool(self._row[fan.OPEN])

    def count(self) -> bool:
        """One more message waits; True when a bound is to be looked at. What the fan does for those it pushes."""
        waiting = self._row[fan.WAITING] + 1
        self._row[fan.WAITING] = waiting
        return waiting >= self._row[fan.LOOK_AT]

    def look(self, now_ns: int) -> None:
        """Publish if the batch is long enough; else look again later."""
        waiting, most = self._row[fan.WAITING], self.settings.batch_max_frames
        if waiting >= most or now_ns - self._opened_ns >= self.settings.batch_max_us * 1000:
            self.publish()
        else:
            self._row[fan.LOOK_AT] = min(waiting + LOOK_AT_CLOCK_EACH, most)

    def _push_and_look(self, message: bytes) -> bool:
        if self._is_snapshot(message):
            self.stop_awaiting()
        return self.ring.push(message)

    def _let_in(self) -> None:
        words = self.ring.words
        if words is not None:
            self._row[fan.RING_WORDS] = len(words)
            self._row[fan.ADDRESS] = words.ctypes.data


def _never(message: bytes) -> bool:
    return False


class KeyPlace(NamedTuple):
    """Where a venue's records end, and where a usual one has its key: from its beginning to a quote not before
    `quote_from` and before `quote_to`."""

    separator: bytes
    quote_from: int
    quote_to: int


class Router:
    """Finds the lane of a message by its key: how it begins when it is usual, or the bare contract."""

    def __init__(
        self,
        place: KeyPlace,
        call_soon: Callable[[Callable[[], None]], object],
        now_ns: Callable[[], int],
        notice: Callable[[int], None],
    ) -> None:
        """`notice` is told the time before the first message of a batch, see clock.py."""
        self._place = place
        self._table = fan.new_table(*place)
        self.fan = fan.bind(self._table)  # the first half of `take`, for who cannot spare the call of that
        self._lanes: list[Lane | None] = []  # by number; that of one who left is the next one's
        self._routes: dict[bytes, Lane] = {}
        self._open: list[Lane] = []
        self._call_soon = call_soon
        self._now_ns = now_ns
        self._notice = notice

    def add(self, lane: Lane, keys: Iterable[bytes]) -> None:
        """Send messages with these keys down `lane`, which is in no router yet. Raises ValueError above MAX_SYMBOLS."""
        number = self._lanes.index(None) if None in self._lanes else len(self._lanes)
        if number >= MAX_SYMBOLS:
            raise ValueError(f"a router has at most {MAX_SYMBOLS} lanes")
        self._lanes[number : number + 1] = [lane]
        first = fan.LANES + number * fan.LANE_WORDS
        lane.enter(self._table[first : first + fan.LANE_WORDS])
        self.rename(lane, keys)

    def rename(self, lane: Lane, keys: Iterable[bytes]) -> None:
        """Send messages with these keys down `lane`, and with none of those that it had."""
        self._routes = {key: other for key, other in self._routes.items() if other is not lane}
        self._routes |= dict.fromkeys(keys, lane)
        fan.forget_keys(self._table)
        for key, each in self._routes.items():
            fan.add_key(self._table, key, self._lanes.index(each))  # one that finds no room still has its route

    def remove(self, lane: Lane) -> None:
        """Send nothing more down `lane`; what waits in it is published."""
        self.rename(lane, ())
        lane.leave()
        self._lanes[self._lanes.index(lane)] = None
        self._open = [each for each in self._open if each is not lane]

    def take(self, frame: bytes) -> bool:
        """Push the message of a frame that is one whole usual record of ours; False, and nothing done, if it is not."""
        said = self.fan(frame)
        return said == fan.TAKEN or self.follow(said, frame)

    def follow(self, said: int, frame: bytes) -> bool:
        """The rest of `take`, when the fan said anything but TAKEN."""
        if said == fan.NOT_OURS:
            return False
        lane = self._lanes[said >> fan.LANE_SHIFT]
        assert lane is not None, "the fan pushes into no lane that left"
        if said & fan.LOOK == fan.LOOK:
            lane.look(self._now_ns())
            return True
        self._begin(lane)
        return self.take(frame)

    def taken(self) -> tuple[int, int]:
        """How many frames, and bytes of them, `take` has pushed since this was last asked."""
        frames, size = int(self._table[fan.FRAMES]), int(self._table[fan.BYTES])
        self._table[fan.FRAMES] = self._table[fan.BYTES] = 0
        return frames, size

    def route(self, message: bytes, key: bytes | None = None) -> bool:
        """Push a message, of a usual kind or with a `key` found elsewhere; False if it is not ours."""
        _, quote_from, quote_to = self._place
        lane = self._routes.get(key or message[: message.find(b'"', quote_from, quote_to)])
        if lane is None:
            return False
        if not lane.is_open:
            self._begin(lane)
        lane.push(message)  # a drop is the ring's to count
        if lane.count():
            lane.look(self._now_ns())
        return True

    def publish(self) -> None:
        """Make all that waits visible."""
        lanes, self._open = self._open, []
        for lane in lanes:
            lane.publish()

    def _begin(self, lane: Lane) -> None:
        now_ns = self._now_ns()
        self._notice(now_ns)
        lane.begin(now_ns)
        if lane not in self._open:
            self._open.append(lane)
            if len(self._open) == 1:
                self._call_soon(self.publish)
