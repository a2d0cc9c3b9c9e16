"""The reading side of the two broadcast rings: trades, and changes of the best bid and ask.

How rows are copied and believed is in broadcast.py; here is what makes values of them, waits for them, and goes on
with a new generation.
"""

from collections.abc import Callable
from datetime import datetime
from time import sleep as pause
from time import time_ns as wall_clock_ns
from typing import TYPE_CHECKING, TypeVar

from . import layout
from .broadcast import Broadcast
from .follow import Follower, boottime_ns
from .layout import CELL, Rows
from .moments import nanoseconds
from .news import News
from .page import Page, integer_fields
from .past import Past
from .presence import PATIENCE_NS
from .values import Quote, Scale, Trade, priced_quotes, priced_trades
from .wake import Word

if TYPE_CHECKING:
    import polars

    from .past_rows import PastRows
    from .seam import Kept

Row = TypeVar("Row", Trade, Quote)

_ROWS_A_TURN = 256  # the iterator copies so many rows at once and hands them out one by one
_JOURNAL_PAUSE_S = 0.05  # between two looks whether the recorder has written more
_LOOK_BACK_NS = 60_000_000_000  # which clocks may have been set back meanwhile: what is told twice is seen by its key
_CLOCKS = integer_fields(CELL, "state.recv_ns", "state.wall_ns")


class Stream(News[Row]):
    """Rows of one broadcast ring, from the moment it was opened on. `for` blocks, `async for` awaits; `read`,
    `read_ticks` and `last` do neither. All raise WriterGone when the engine has ended and none takes its place, and
    UnknownSymbol when the instrument was removed.

    `lost` counts rows that were overwritten before they were read, `restarts` how often the engine was started, or
    the instrument made, anew: each time this goes on at the first row of the new segment.
    """

    _region: str
    _intent: int

    def __init__(self, follower: Follower, history: Callable[[], Past]) -> None:
        """`history`: gives the journal of the engine that writes this."""
        super().__init__()
        follower.presence.require_open()
        self.restarts = 0
        self._follower = follower
        self._history = history
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

    def since(self, time: datetime | int, *, allow_holes: bool = False) -> "polars.DataFrame":
        """Every row since `time` (of receipt), each once: of the journal, and behind it those of memory. It goes on
        behind the last one: `read` and the iterator give the next row, and none of these again.

            tape = market["MNQ"].tape()
            frame = tape.since(datetime(2026, 3, 2, 13, 30))
            for trade in tape: ...

        Columns and times are those of `shm.Past.trades` and `quotes`. Of a row that is in memory only, `wall_ns` is
        reckoned from `recv_ns`. The first question starts a process, which takes seconds; and if memory was
        overwritten meanwhile, the journal is asked again, and waited for up to 10 s.

        Raises Incomplete, unless `allow_holes`, where rows are missing: because they are not in the journal, or because
        it does not reach up to what memory still holds; and what `Past.trades` and `read` raise. Then it goes on where
        it was.
        """
        from . import past_rows, seam  # here, because few readers want them

        start_ns = nanoseconds(time)
        past, symbol = self._history(), self._follower.symbol
        found: PastRows = past.rows(symbol, self._region, start_ns)
        limit_ns = boottime_ns() + PATIENCE_NS
        while True:
            page, ring, kept = self._keep()
            if kept.meets(found.through) or boottime_ns() > limit_ns:
                break
            pause(_JOURNAL_PAUSE_S)
            since_ns = max(start_ns, found.through.wall_ns - _LOOK_BACK_NS)
            found = seam.longer(found, past.rows(symbol, self._region, since_ns))
        if not allow_holes:
            past_rows.require_whole(symbol, kept.holes(found, start_ns, wall_clock_ns()))
        self._go_on(page, ring)
        return past_rows.frame(self._region, [*found.parts, kept.part(found.through, start_ns)])

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

    def _keep(self) -> tuple[Page, Broadcast, "Kept"]:
        """All rows that are in memory now; with it the page, and the ring at the row behind them."""
        from .seam import Kept

        follower = self._follower
        follower.presence.require_open()
        now_ns = boottime_ns()
        if follower.quiet(now_ns):
            follower.follow(now_ns)
        page = follower.page
        ring = self._open(page)
        ring.next = 0
        rows = ring.take(page.segment.regions[self._region].shape[0])
        glimpse = page.newest(levels=False)
        if not glimpse.scale.known:  # nothing was published yet: the rows of the first batch have no prices
            ring.next -= len(rows)
            rows = rows[:0]
        recv_ns, wall_ns = _CLOCKS.unpack(glimpse.cell)
        stream = page.generation, page.made
        return page, ring, Kept(stream, self._region, rows, ring.lost, glimpse.scale, wall_ns - recv_ns)

    def _go_on(self, page: Page, ring: Broadcast) -> None:
        """Read on where `ring` is; what was overwritten before is not lost, because it was read elsewhere."""
        self._ready.clear()
        self._lost_before += self._ring.lost - ring.lost
        self.restarts += page is not self._page
        self._page, self._ring = page, ring

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
        return priced_trades(raw, scale)

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
        return priced_quotes(raw, scale)

    def _values(self, raw: Rows, scale: Scale) -> list[Quote]:
        return [
            Quote(sequence, recv_ns, state, venue_ns, bid, bid_size, ask, ask_size, *scale)
            for sequence, state, venue_ns, recv_ns, bid, bid_size, ask, ask_size in raw.tolist()
        ]
