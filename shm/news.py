"""What comes into a ring, handed out one by one: the iterator that tape, quotes and events are.

A look takes many at once, because it costs more than the handing out; there is no look, and no sleep, before all
of those are handed out. How a sleep loses no wake-up is told in wake.py.
"""

import math
from collections import deque
from typing import Generic, Self, TypeVar

from .page import fence
from .wake import Word, until_news

Item = TypeVar("Item")


class News(Generic[Item]):
    """`for` blocks, `async for` awaits and lets other tasks run before each look; both until `close`."""

    def __init__(self) -> None:
        self._ready: deque[Item] = deque()  # taken and not handed out yet
        self._closed = False

    def close(self) -> None:
        """End it: a loop over it, also one that waits in another thread, stops within 100 ms."""
        self._closed = True

    def __iter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        if not self._ready:
            until_news(self._look, self._after_silence, math.inf)
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    async def __anext__(self) -> Item:
        if not self._ready:
            from . import sleeper  # here, because asyncio would be a good part of the time that `import shm` takes

            await sleeper.let_others_run()
            await sleeper.until_news(self._look, self._after_silence, math.inf)
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    def _look(self) -> Word | None:
        """Take what is new; the word to sleep on if there was nothing. None too when this is closed."""
        if self._closed:
            return None
        word = self._word()  # first: what comes after that ends the sleep
        fence()
        self._fill()
        return None if self._ready else word

    def _word(self) -> Word:
        """What the writer changes after whatever it writes, as it is now. ValueError for a closed market."""
        raise NotImplementedError

    def _fill(self) -> None:
        """Put what is new, if anything is, into `_ready`."""
        raise NotImplementedError

    def _after_silence(self) -> None:
        """A sleep has ended without a change: look whether somebody else writes now, and go on with that."""
        raise NotImplementedError
