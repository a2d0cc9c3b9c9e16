"""The reading side of the two broadcast rings: trades, and changes of the best bid and ask.

How rows are copied and believed is in broadcast.py; here is what makes values of them, waits for them, and goes on
with a new generation.
"""

from typing import TypeVar

import numpy as np

from . import layout
from .broadcast import Broadcast
from .follow import Follower, boottime_ns
from .layout import Rows
from .news import News
from .page import Page
from .values import PRICED_QUOTE, PRICED_TRADE, Quote, Scale, Trade
from .wake import Word

Row = TypeVar("Row", Trade, Quote)

_ROWS_A_TURN = 256  # the iterator copies so many rows at once and hands them out one by one


class Stream(News[Row]):
    """Rows of one broadcast ring, from the moment it was opened on. `for` blocks, `async for` awaits; `read`,
    `read_ticks` and `last` do neither. All raise WriterGone when the engine has ended and none takes its place, and
    UnknownSymbol when the instrument was removed.

    `lost` counts rows that were overwritten before they were read, `restarts` how often the engine was started, or
    the instrument made, anew: each time this goes on at the first row of the new segment.
    """

    _region: str
    _intent: int

    def __init__(self, follower: Follower) -> None:
        super().__init__()
        follower.presence.require_open()
        self.restarts = 0
        self._follower = follower
        self._page = follower.page
        self._ring = self._open(self._page)
        self._lost_before = 0  # in the generations before this one

    @property
    def lost(self) -> int:
        return self._lost_before + self._ring.lost

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
        follower.presence.require_open()
        now_ns = boottime_ns()
        if follower.quiet(now_ns):
            follower.follow(now_ns)
        page = follower.page
        scale = page.newest(levels=False).scale
        if not scale.known:  # nothing was published yet: the rows of the first batch have no prices
            count = 0
        return self._priced(self._open(page).last(count), scale)

    def read(self, max_rows: int = 65536) -> Rows:
        """New rows since the last call, priced as those of `last`; none if there are none. Never blocks.

        Rows that come before the first publication have no price yet: they are returned after it. Raises
        UnknownSymbol, LayoutError or WriterGone when the data is old and a look at the registry says so.
        """
        rows = self.read_ticks(max_rows)
        scale = self._page.newest(levels=False).scale
        if not scale.known:
            self._ring.next -= len(rows)
            rows = rows[:0]
        return self._priced(rows, scale)

    def read_ticks(self, max_rows: int = 65536) -> Rows:
        """As `read`, but the rows as the memory holds them: prices in ticks, sizes in units. The quickest way."""
        self._follower.presence.require_open()
        self._ring.next -= len(self._ready)  # what the iterator had copied ahead and did not hand out
        self._ready.clear()
        rows = self._ring.take(max_rows)
        if len(rows) > 0:
            return rows
        now_ns = boottime_ns()
        if self._follower.quiet(now_ns):
            self._follower.follow(now_ns)
        if self._follower.page is not self._page:
            rows = self._ring.take(max_rows)  # what was written to the old one until it ended
            if len(rows) == 0:
                self._move()
                rows = self._ring.take(max_rows)
        return rows

    def _word(self) -> Word:
        self._follower.presence.require_open()
        return self._page.wake_word()

    def _after_silence(self) -> None:
        self._follower.follow(boottime_ns())
        if self._follower.page is not self._page:
            self._fill()  # what was written to the old one until it ended
            if not self._ready:
                self._move()

    def _fill(self) -> None:
        scale = self._page.newest(levels=False).scale
        if scale.known:
            self._ready.extend(self._values(self._ring.take(_ROWS_A_TURN), scale))

    def _move(self) -> None:
        """Go on at the first row of the new segment; what the old one still holds is counted as lost."""
        self._lost_before += self._ring.lost + self._ring.left
        self._page = self._follower.page
        self._ring = self._open(self._page)
        self._ring.next = 0
        self.restarts += 1

    def _open(self, page: Page) -> Broadcast:
        name = f"the {self._region} of {page.symbol}"
        return Broadcast(name, page.memory, page.segment.regions[self._region], self._intent)

    def _priced(self, raw: Rows, scale: Scale) -> Rows:
        raise NotImplementedError

    def _values(self, raw: Rows, scale: Scale) -> list[Row]:
        raise NotImplementedError


class Tape(Stream[Trade]):
    """Trades. `last` and `read` give PRICED_TRADE rows, `read_ticks` layout.TRADE rows, iterating gives Trade."""

    _region = "tape"
    _intent = layout.TAPE_INTENT

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
    """Changes of the best bid and ask, and of the state. `last` and `read` give PRICED_QUOTE rows, `read_ticks`
    layout.QUOTE rows, iterating gives Quote."""

    _region = "quotes"
    _intent = layout.QUOTE_INTENT

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
