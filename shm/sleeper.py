"""Sleeping on a word of shared memory inside an asyncio event loop, which must not sleep itself.

A thread sleeps in its place, one for each word and loop, however many tasks wait for that word; it wakes their loop
when the word changes. It is started by the first wait, sleeps on the word only while somebody waits, stays LINGER_S
for the next wait, because starting a thread costs more than most waits last, and then ends. A wait that is cancelled
cannot end the thread's sleep, but no sleep is longer than MAX_SLEEP_NS: so none outlives its last wait by more than
that.

The order that loses no wake-up is the one of wake.py: a task loads the word, looks for news, and waits with the
value it loaded. `_join` compares under the lock; after that every change ends the thread's sleep, because the
thread loads the value it sleeps with under the same lock.

A wait may end anywhere: one that was left behind with its closed loop ends when the garbage collector finds it, and
that may be in the middle of our own code with the lock held. So the end of a wait takes no lock.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable

from .wake import MAX_SLEEP_NS, Word, sleep_s
from .wake import wait as wait_in_thread

LINGER_S = 0.05
_SLEEP_S = MAX_SLEEP_NS / 1e9
_LOW_HALF = 0xFFFFFFFF

_Key = tuple[asyncio.AbstractEventLoop, int, int]

_lock = threading.Lock()  # over all that follows, and over every sleeper; held for a few microseconds
_sleepers: dict[_Key, "_Sleeper"] = {}


async def wait(memory: memoryview, byte_offset: int, seen: int, timeout_s: float) -> bool:
    """As `wake.wait`, for tasks: suspend until the 8-byte word is no longer `seen`; False after `timeout_s`.

    Only the low half of the word is looked at. It may return True though nothing changed; look again.
    """
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[bool] = loop.create_future()
    sleeper = _join(loop, memory, byte_offset, woken, seen)
    if sleeper is None:
        await let_others_run()  # a word that never rests must not keep the loop from its other tasks
        return True
    timer = loop.call_later(timeout_s, _settle, [woken], False)
    try:
        return await woken
    finally:
        timer.cancel()
        sleeper.leave(woken)


async def until_news(look: Callable[[], Word | None], after_silence: Callable[[], object], timeout_s: float) -> bool:
    """As `wake.until_news`, for tasks."""
    end_s = time.monotonic() + timeout_s
    while (word := look()) is not None:
        limit_s = sleep_s(end_s)
        if limit_s <= 0:
            return False
        if not await wait(*word, limit_s):
            after_silence()
    return True


async def let_others_run() -> None:
    """One turn of the loop, for who would otherwise go from news to news without ever suspending."""
    await asyncio.sleep(0)


def _join(
    loop: asyncio.AbstractEventLoop, memory: memoryview, byte_offset: int, woken: asyncio.Future[bool], seen: int
) -> "_Sleeper | None":
    """Have the word's thread settle `woken` once the word is not `seen`; None if it is not so already."""
    key = loop, id(memory), byte_offset  # the sleeper keeps `memory`, so that no other gets its id
    with _lock:
        sleeper = _sleepers.get(key) or _Sleeper(key, memory)
        if sleeper.value() != seen & _LOW_HALF:
            return None
        if key not in _sleepers:
            sleeper.thread.start()
            _sleepers[key] = sleeper
        sleeper.waiting[woken] = seen & _LOW_HALF
        sleeper.arrival.notify()
        return sleeper


def _settle(waiting: list[asyncio.Future[bool]], result: bool) -> None:
    for woken in waiting:
        if not woken.done():
            woken.set_result(result)


class _Sleeper:
    """The thread of one word and loop. All but `leave`, `_run` and `_tell` is called with the lock held."""

    def __init__(self, key: _Key, memory: memoryview) -> None:
        self._key = key
        self._loop, _, byte_offset = key
        self._memory = memory
        self._bytes = memory[byte_offset : byte_offset + 8]  # valid though the reader closes while the thread sleeps
        self._word = self._bytes.cast("q")
        self._idle_since_s = time.monotonic()
        self.waiting: dict[asyncio.Future[bool], int] = {}  # and the low half of what each has seen
        self._left: deque[asyncio.Future[bool]] = deque()  # waits that are over, and still in `waiting`
        self.arrival = threading.Condition(_lock)
        self.thread = threading.Thread(target=self._run, name="shm sleeper", daemon=True)

    def value(self) -> int:
        return self._word[0] & _LOW_HALF

    def leave(self, woken: asyncio.Future[bool]) -> None:
        """A wait is over, in whatever way; its thread forgets it at its next turn. No lock: see the file's head."""
        self._left.append(woken)

    def _run(self) -> None:
        while True:
            with _lock:
                if not self._wanted():
                    del _sleepers[self._key]
                    return
                value = self.value()
                woken = [each for each, seen in self.waiting.items() if seen != value]
                for each in woken:
                    del self.waiting[each]
                self._idle_since_s = time.monotonic()
            if not woken:
                wait_in_thread(self._bytes, 0, value, _SLEEP_S)
            elif not self._loop.is_closed():
                self._tell(woken)

    def _wanted(self) -> bool:
        """Whether anybody waits; lets go of the lock for up to LINGER_S to see whether somebody comes."""
        while self._left:
            if self.waiting.pop(self._left.popleft(), None) is not None:
                self._idle_since_s = time.monotonic()
        while not self.waiting:
            left_s = self._idle_since_s + LINGER_S - time.monotonic()
            if left_s <= 0:
                return False
            self.arrival.wait(left_s)
        return not self._loop.is_closed()

    def _tell(self, woken: list[asyncio.Future[bool]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, woken, True)
        except RuntimeError:
            if not self._loop.is_closed():  # it may have been closed just now; then there is nobody to tell
                raise
