"""The reading side of the two broadcast rings: trades, and changes of the best bid and ask.

A reader joins anywhere and the writer knows nothing of it. Row n lies at n mod rows; before the writer puts row
n + rows there it raises `intent` above n + rows. So a reader copies rows, then loads `intent`, and of what it
copied believes only rows that are at least `intent` - rows. What it was too slow for is not an error: it is
counted in `lost`, exactly, because rows are numbered without a hole.
"""

from collections import deque
from typing import Generic, TypeVar

import numpy as np

from . import layout
from . import page as pages
from .errors import Overrun
from .follow import Follower, boottime_ns
from .layout import QUOTE, TRADE, Rows
from .page import CONTROL, MAX_TRIES, Page, fence
from .values import PRICED_QUOTE, PRICED_TRADE, Quote, Scale, Trade
from .wake import MAX_SLEEP_NS, wait

Row = TypeVar("Row", Trade, Quote)

_ROWS_A_TURN = 256  # the iterator copies so many rows at once and hands them out one by one
_WAIT_S = MAX_SLEEP_NS / 1e9


class Stream(Generic[Row]):
    """Rows of one broadcast ring, from the moment it was opened on. `for` blocks, `async for` awaits; `read` and
    `last` do neither.

    `lost` counts rows that were overwritten before they were read, `restarts` how often the engine was started, or
    the instrument made, anew: each time this goes on at the first row of the new segment.
    """

    _region: str
    _intent: int
    _count: int
    _dtype: np.dtype[np.void]

    def __init__(self, follower: Follower) -> None:
        self.lost = 0
        self.restarts = 0
        self._follower = follower
        self._page = follower.page
        self._next: int = self._page.words[self._count]
        self._ready: deque[Row] = deque()
        self._closed = False

    def close(self) -> None:
        """End it: a loop over it, also one that waits in another thread, stops within 100 ms."""
        self._closed = True

    @property
    def made(self) -> int:
        """Which making of the instrument's segments this reads; it skips those that it slept through."""
        return self._page.made

    def last(self, count: int) -> Rows:
        """The newest rows, oldest first, at most `count` and at most what the ring still holds; moves no cursor.

        Raises Overrun if the ring was overwritten from end to end during every one of MAX_TRIES copies.
        """
        if count < 0:
            raise ValueError(f"the number of rows wanted is {count}; it cannot be negative")
        follower = self._follower
        now_ns = boottime_ns()
        if follower.quiet(now_ns):
            follower.follow(now_ns)
        page = follower.page
        scale = page.newest(levels=False).scale
        if not scale.known:  # nothing was published yet: the rows of the first batch have no prices
            count = 0
        for _ in range(MAX_TRIES):
            end = page.words[self._count]
            fence()
            first = max(end - min(count, self._rows(page)), 0)
            raw, lapped = self._copy(page, first, end)
            if lapped == 0 or lapped < end - first:
                return self._priced(raw, scale)
        raise Overrun(f"{page.symbol}: its {self._region} is overwritten faster than it can be copied; try again")

    def read(self, max_rows: int = 65536) -> Rows:
        """New rows since the last call, as the memory holds them, in integers; none if there are none. Never blocks.

        Raises UnknownSymbol, LayoutError or WriterGone when the data is old and a look at the registry says so.
        """
        self._next -= len(self._ready)  # what the iterator had copied ahead and did not hand out
        self._ready.clear()
        rows = self._take(max_rows)
        if len(rows) > 0:
            return rows
        now_ns = boottime_ns()
        if self._follower.quiet(now_ns):
            self._follower.follow(now_ns)
        if self._follower.page is not self._page:
            rows = self._take(max_rows)  # what was written to the old one until it ended
            if len(rows) == 0:
                self._move()
                rows = self._take(max_rows)
        return rows

    def __iter__(self) -> "Stream[Row]":
        return self

    def __aiter__(self) -> "Stream[Row]":
        return self

    def __next__(self) -> Row:
        """The next row; blocks for it. Raises WriterGone when the engine has ended and none takes its place, and
        UnknownSymbol when the instrument was removed."""
        while not self._ready:
            if self._closed:
                raise StopIteration
            seen = self._look()
            if not self._ready and not wait(self._page.memory, pages.WAKE * 8, seen, _WAIT_S):
                self._follow()
        return self._ready.popleft()

    async def __anext__(self) -> Row:
        """The next row; awaits it, and lets other tasks run before each _ROWS_A_TURN rows. Raises WriterGone too."""
        if not self._ready:
            from . import sleeper  # here, because asyncio would be a good part of the time that `import shm` takes

            await sleeper.let_others_run()
            while not self._ready:
                if self._closed:
                    raise StopAsyncIteration
                seen = self._look()
                if not self._ready and not await sleeper.wait(self._page.memory, pages.WAKE * 8, seen, _WAIT_S):
                    self._follow()
        return self._ready.popleft()

    def _look(self) -> int:
        """Copy new rows if there are any; the wake-up word as it was before: what comes after that ends the sleep."""
        seen: int = self._page.words[pages.WAKE]
        fence()
        self._fill()
        return seen

    def _follow(self) -> None:
        """After a silence: look whether there are new segments, and go on with them."""
        self._follower.follow(boottime_ns())
        if self._follower.page is not self._page:
            self._fill()  # what was written to the old one until it ended
            if not self._ready:
                self._move()

    def _fill(self) -> None:
        scale = self._page.newest(levels=False).scale
        if scale.known:
            self._ready.extend(self._values(self._take(_ROWS_A_TURN), scale))

    def _move(self) -> None:
        """Go on at the first row of the new segment; what the old one still holds is counted as lost."""
        self.lost += self._page.words[self._count] - self._next
        self._page = self._follower.page
        self._next = 0
        self.restarts += 1

    def _take(self, max_rows: int) -> Rows:
        """Rows from the cursor on; moves it, and counts what was lapped."""
        page = self._page
        end: int = page.words[self._count]
        fence()
        first = max(self._next, end - self._rows(page))  # what lies before that is gone for certain
        last = min(end, first + max_rows)
        raw, lapped = self._copy(page, first, last)
        self.lost += first - self._next + lapped
        self._next = last
        return raw

    def _copy(self, page: Page, first: int, last: int) -> tuple[Rows, int]:
        """Rows `first` to `last` that were whole, and how many at the front were not."""
        copied = page.rows(self._region, first, last)
        fence()
        lapped = max(page.words[self._intent] - self._rows(page) - first, 0)
        lapped = min(lapped, last - first)
        return np.frombuffer(copied, self._dtype)[lapped:], lapped

    def _rows(self, page: Page) -> int:
        return page.segment.regions[self._region].shape[0]

    def _priced(self, raw: Rows, scale: Scale) -> Rows:
        raise NotImplementedError

    def _values(self, raw: Rows, scale: Scale) -> list[Row]:
        raise NotImplementedError


class Tape(Stream[Trade]):
    """Trades. `last` gives PRICED_TRADE rows, `read` layout.TRADE rows, iterating gives Trade."""

    _region = "tape"
    _intent = CONTROL + layout.TAPE_INTENT
    _count = CONTROL + layout.TAPE_COUNT
    _dtype = TRADE

    def _priced(self, raw: Rows, scale: Scale) -> Rows:
        priced = np.empty(len(raw), PRICED_TRADE)
        for name in ("side", "venue_ns", "recv_ns", "sequence", "place"):
            priced[name] = raw[name]
        priced["price_ticks"] = raw["price"]
        priced["size_units"] = raw["size"]
        priced["price"] = scale.prices(raw["price"])
        priced["size"] = scale.sizes(raw["size"])
        return priced

    def _values(self, raw: Rows, scale: Scale) -> list[Trade]:
        return [
            Trade(scale.price(price), scale.size(size), side, venue_ns, recv_ns, sequence, place, price, size)
            for sequence, place, venue_ns, recv_ns, price, size, side, _ in raw.tolist()
        ]


class Quotes(Stream[Quote]):
    """Changes of the best bid and ask, and of the state. `last` gives PRICED_QUOTE rows, iterating gives Quote."""

    _region = "quotes"
    _intent = CONTROL + layout.QUOTE_INTENT
    _count = CONTROL + layout.QUOTE_COUNT
    _dtype = QUOTE

    def _priced(self, raw: Rows, scale: Scale) -> Rows:
        priced = np.empty(len(raw), PRICED_QUOTE)
        for name in ("state", "venue_ns", "recv_ns", "sequence"):
            priced[name] = raw[name]
        for side in ("bid", "ask"):
            units = raw[f"{side}_size"]
            priced[f"{side}_ticks"] = raw[side]
            priced[f"{side}_units"] = units
            priced[side] = np.where(units > 0, scale.prices(raw[side]), np.nan)
            priced[f"{side}_size"] = scale.sizes(units)
        return priced

    def _values(self, raw: Rows, scale: Scale) -> list[Quote]:
        return [
            Quote(sequence, recv_ns, state, venue_ns, bid, bid_size, ask, ask_size, *scale)
            for sequence, state, venue_ns, recv_ns, bid, bid_size, ask, ask_size in raw.tolist()
        ]
