"""The way in for every other process: attach by name, read-only, and see the same memory as the workers.

    with attach() as market:
        print(market["MNQ"].book().best_bid)

A reader registers nowhere and writes nothing, so it cannot slow the feed, and it may be killed at any moment.
Handles outlive the engine: when data is old they look at the registry, and go on with the next generation. So they do
when an instrument is made anew because its file changed; one that was removed raises UnknownSymbol.
One Market belongs to one thread, or to the tasks of one event loop.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from . import book as books
from . import session as sessions
from .account import AccountView
from .account_values import Account
from .bars import Bars
from .errors import NotRecorded, Overrun, Stale, WriterGone
from .events import Events
from .follow import Follower, boottime_ns, find
from .layout import CELL, CELLS, LEVEL, SLOT, Rows, State
from .page import PUBLISHED, QUOTE_FIELDS, TOP_FIELDS, Glimpse, fence, integer_fields
from .past import Past
from .presence import CLOSED, Presence
from .status import build
from .stream import Quotes, Tape
from .values import Book, Latency, Quote, Session, Status, Top
from .verdict import Verdict, complaint, judge
from .wake import Word, until_news
from .watch import Watch

_LIVE = int(State.LIVE)
_LAST_CELL = CELLS - 1
_REPLAY = "replay"  # the venue in the registry of one
_MAP_TRIES = 10  # the supervisor replaces two files and then says so: a millisecond, on a busy machine some
_MAP_PAUSE_S = 0.002

# Bound once, because these are looked up in every read of best bid and ask.
_clock_ns = time.clock_gettime_ns
_BOOTTIME = time.CLOCK_BOOTTIME
_quote_values = QUOTE_FIELDS.unpack
_top_values = TOP_FIELDS.unpack
_new_tuple = tuple.__new__

_JUDGED = integer_fields(CELL, "state.state", "state.reason")
_COUNTS = integer_fields(CELL, "n_bids", "n_asks")
_CELL_STATE = integer_fields(CELL, *(f"state.{name}" for name in books.STATE_FIELDS))
_SLOT_STATE = integer_fields(SLOT, *(f"state.{name}" for name in books.STATE_FIELDS))


def attach(name: str = "default", *, root: Path | None = None) -> "Market":
    """The engine `name` of this user. `root`: where engines lie, else SHARDBOOK_SHM, else /dev/shm.

    Raises NoEngine when none runs, LayoutError when what is there is damaged, foreign or of another layout
    version, ValueError for a name that can be none, and TypeError for what is no text.
    """
    if not isinstance(name, str):
        raise TypeError(f'an engine is attached to by its name, as in attach("default"), and not by {name!r}')
    return Market(Presence(name, root))


class Market:
    """A running engine and its instruments."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._instruments: dict[str, Instrument] = {}
        self._account: AccountView | None = None
        self._past: Past | None = None

    def __enter__(self) -> "Market":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def symbols(self) -> tuple[str, ...]:
        """What the engine carries now, in its own order. Raises LayoutError if its registry cannot be read."""
        self._presence.look(boottime_ns())
        return self._presence.symbols

    def __iter__(self) -> Iterator[str]:
        return iter(self.symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self.symbols

    def __getitem__(self, symbol: str) -> "Instrument":
        """The handle of one instrument, always the same. Raises UnknownSymbol (with near names), LayoutError, and
        TypeError for what is no text."""
        if not isinstance(symbol, str):
            raise TypeError(f'an instrument is asked for by its symbol, as in market["MNQ"], and not by {symbol!r}')
        self._presence.require_open()
        handle = self._instruments.get(symbol)
        if handle is None:
            if symbol not in self._presence.symbols:  # it may have come since the last look
                self._presence.look(boottime_ns())
                find(self._presence, symbol)
            handle = self._instruments[symbol] = Instrument(self._map(symbol), self._journal)
        return handle

    def __repr__(self) -> str:
        registry = self._presence.registry
        return f"Market({self._presence.name!r}, generation {registry.generation}, {', '.join(self.symbols)})"

    def watch(self, symbols: str | Sequence[str] | None = None, *, timeout_s: float | None = None) -> Watch:
        """Block until something is published and yield a Change for each instrument that changed, for ever.

        That a book is no longer live, because its engine or worker has fallen silent, is a change too: `live` says it.
        What changes more often than it is read is seen as one change. All instruments are waited for at once,
        and all that the engine carries at the time are meant if `symbols` (one, or several) is None. The iterator ends
        when nothing changed for `timeout_s`. It goes on with a new generation by itself. An instrument that is removed
        is seen as one no longer live, and the others go on; it is watched again when the engine carries it again.
        Raises UnknownSymbol when one of `symbols` is not there at first, or none of them is left; WriterGone if the
        engine has ended and none takes its place within 10 s. `async for` awaits instead.
        """
        try:
            return Watch(self._presence, self._follower, _several(symbols), timeout_s)
        except FileNotFoundError:
            raise self._ended() from None

    def account(self, *, allow_stale: bool = False) -> Account:
        """The account: balance, working orders, open positions, fills. Raises Stale unless live or `allow_stale`.

        Live means: it is level with the venue as of the last event, and the engine was heard of within a second.
        Raises NoAccount when the engine runs without `account = true`.
        """
        return self._viewed().read(allow_stale=allow_stale)

    def wait_account(self, timeout_s: float) -> bool:
        """Block until the account was published anew since the last such wait; False after `timeout_s`.

        The first call counts from the first look at the account. Goes on with a new generation; raises NoAccount,
        and WriterGone when the engine has ended and none takes its place.
        """
        return self._viewed().wait(timeout_s)

    async def wait_account_async(self, timeout_s: float) -> bool:
        """As `wait_account`, awaited: the event loop goes on."""
        return await self._viewed().wait_async(timeout_s)

    def events(self, symbols: str | Sequence[str] | None = None) -> Events:
        """What happens to the books and the processes from now on, and `last(n)` of before; see events.py.

        `symbols`: only events of this one or these, and of the engine as a whole; if it is None, of all instruments,
        also of those that are added later. Raises UnknownSymbol if one is not there now; later its `removed` is handed
        out, and the loop goes on. Raises WriterGone if the engine ended just now.
        """
        try:
            return Events(self._presence, self._follower, _several(symbols))
        except FileNotFoundError:
            raise self._ended() from None

    def close(self) -> None:
        """Unmap everything. Later reads, of handles and streams too, raise ValueError; values that were read stay."""
        self._presence.close()
        if self._account is not None:
            self._account.close()
        if self._past is not None:
            self._past.close()
        for instrument in self._instruments.values():
            instrument._follower.page.close(CLOSED)
        self._instruments.clear()

    def _journal(self) -> Past:
        """The present engine's journal, looked into by one process for all instruments."""
        self._presence.require_open()
        folder = Path(self._presence.registry.data_folder) / "journal"
        if self._past is None or self._past.folder != folder:
            if self._past is not None:
                self._past.close()
            self._past = Past(folder)
        return self._past

    def _viewed(self) -> AccountView:
        self._presence.require_open()
        if self._account is None:
            try:
                self._account = AccountView(self._presence)
            except FileNotFoundError:
                self._presence.look(boottime_ns())  # its file is gone: perhaps there is a new generation
                try:
                    self._account = AccountView(self._presence)
                except FileNotFoundError:
                    raise self._ended() from None
        return self._account

    def _follower(self, symbol: str) -> Follower:
        return self[symbol]._follower

    def _map(self, symbol: str) -> Follower:
        for _ in range(_MAP_TRIES):
            try:
                return Follower(self._presence, symbol)
            except FileNotFoundError:  # there is a new generation, or these are made anew and it is about to be said
                time.sleep(_MAP_PAUSE_S)
                self._presence.look(boottime_ns())
        raise self._ended()

    def _ended(self) -> WriterGone:
        return WriterGone(f"the engine {self._presence.name!r} has just ended; attach again when it has restarted")


class Instrument:
    """One instrument, read-only. Every read that gives prices raises Stale unless the data is live.

    Live means: the worker's last publication says so, and the engine was heard of within `max_lag_ms`.
    """

    __slots__ = ("_follower", "_journal", "_waited")

    def __init__(self, follower: Follower, journal: Callable[[], Past]) -> None:
        self._follower = follower
        self._journal = journal
        self._waited = self._publication()

    def __repr__(self) -> str:
        return f"Instrument({self.symbol!r})"

    @property
    def symbol(self) -> str:
        return self._follower.symbol

    @property
    def contract(self) -> str:
        """The venue's name of the contract; empty before the first publication."""
        cell = np.frombuffer(self._follower.page.newest(levels=False).cell, CELL)
        return bytes(cell["state"]["contract"][0]).decode(errors="replace")

    @property
    def tick_size(self) -> float:
        """The price increment. Raises Stale before the first publication, when nobody has said it yet."""
        scale = self._follower.page.newest(levels=False).scale
        if not scale.known:
            raise Stale(f"the tick size of {self.symbol} is not known before its first publication", "syncing")
        return scale.tick_size

    def quote(self, allow_stale: bool = False) -> Quote:
        """Best bid and ask of the newest publication. Raises Stale when it is not live, unless `allow_stale`."""
        # The common case with nothing called that is not C, and no keyword-only argument, whose default costs 20 ns.
        # Order as in Page.newest, whose stamp vouches for the engine; all else goes there.
        page = self._follower.page
        words = page.words
        published = words[PUBLISHED]
        begin, cell = page.cells[published & _LAST_CELL]
        values = _quote_values(cell)
        if words[begin] == published and values[2] == _LIVE and _clock_ns(_BOOTTIME) <= page.fresh_until_ns:
            return _new_tuple(Quote, values)
        glimpse, _ = self._newest(allow_stale, levels=False)
        return Quote._make(_quote_values(glimpse.cell))

    def session(self, *, allow_stale: bool = False) -> Session:
        """The venue's merged quote, its own summary of the day. Raises Stale as `quote` does."""
        glimpse, _ = self._newest(allow_stale, levels=False)
        return sessions.build(glimpse)

    def top(self, count: int = 10, *, allow_stale: bool = False) -> Top:
        """The first `count` levels of both sides, in ticks and size units. Raises Stale as `quote` does.

        ValueError if the instrument publishes fewer than `count` levels.
        """
        page = self._follower.page
        first_levels = page.first_levels[count]
        words = page.words
        published = words[PUBLISHED]
        i = published & _LAST_CELL
        begin, cell = page.cells[i]
        n_bids, n_asks, sequence, state, venue_ns = _top_values(cell)
        levels = first_levels[i].copy()
        if words[begin] == published and state == _LIVE and _clock_ns(_BOOTTIME) <= page.fresh_until_ns:
            return _new_tuple(Top, (n_bids, n_asks, sequence, state, venue_ns, levels))
        glimpse, _ = self._newest(allow_stale)
        sides = np.frombuffer(glimpse.levels, np.int64).reshape(2, -1, 2)
        return Top._make((*_top_values(glimpse.cell), sides[:, :count].copy()))

    def book(self, *, allow_stale: bool = False) -> Book:
        """A private copy of the best levels that are published. Raises Stale unless live or `allow_stale`."""
        glimpse, verdict = self._newest(allow_stale)
        bids, asks = (n * LEVEL.itemsize for n in _COUNTS.unpack(glimpse.cell))
        levels = glimpse.levels
        middle = len(levels) // 2
        state = _CELL_STATE.unpack(glimpse.cell)
        return books.build(
            self.symbol, levels[:bids], levels[middle : middle + asks], state, verdict, glimpse.published
        )

    def depth(self, *, allow_stale: bool = False) -> Book:
        """All levels: the newest checkpoint, at most 10 ms and one batch older than `book`.

        Raises Stale unless the instrument is live and was so at the checkpoint, or `allow_stale`.
        """
        glimpse, verdict = self._newest(allow_stale, levels=False)
        checkpoint = self._follower.page.newest_checkpoint()
        state = _SLOT_STATE.unpack(checkpoint.slot)
        then = judge(checkpoint.number, state[2], state[3], 0, 0)
        if verdict.live and not then.live:
            verdict = Verdict(then.state, then.reason or "the newest checkpoint is older than that")
            if not allow_stale:
                raise self._stale(verdict, boottime_ns() - glimpse.through_ns)
        bids, asks = books.best_first(checkpoint.bids), books.best_first(checkpoint.asks)
        return books.build(self.symbol, bids, asks, state, verdict, checkpoint.number)

    def book_at(self, time: datetime | int, *, by: Literal["receive", "venue"] = "receive") -> Book:
        """The book as it was, all levels, from the journal: see `shm.Past.book_at`. It raises Stale for none.

        The first question starts a process, which takes seconds; it ends with the Market. What the recorder gathers,
        the last tenth of a second, is not there yet.
        """
        presence = self._follower.presence
        presence.require_open()
        if presence.registry.venue == _REPLAY:
            raise NotRecorded("a replay records no journal: ask Past(FOLDER) of the one that is played")
        return self._journal().book_at(self.symbol, time, by=by, max_lag_ns=self._follower.page.max_lag_ns)

    def book_view(self, *, allow_stale: bool = False) -> "BookView":
        """The published cell itself, in integers and without a copy, for the length of a `with`."""
        return BookView(self, allow_stale)

    def tape(self) -> Tape:
        """The trades from now on, `last(n)` of those before, and `since(time)` with those of the journal."""
        return Tape(self._follower, self._journal)

    def quotes(self) -> Quotes:
        """The changes of best bid and ask from now on, `last(n)` of those before, and `since(time)` with those of the
        journal."""
        return Quotes(self._follower, self._journal)

    def bars(self, timeframe: str) -> Bars:
        """Bars by any name of their timeframe: "1m", "1min", "4hr", "1day", "100tick". Raises UnknownTimeframe."""
        return Bars(Path(self._follower.presence.registry.data_folder), self.symbol, timeframe)

    def status(self) -> Status:
        """All that is known without asking for a price. Raises LayoutError or UnknownSymbol after a restart into
        another layout or without this instrument, and never for data that is old."""
        presence = self._follower.presence
        now_ns = boottime_ns()
        presence.look(now_ns)
        self._follower.catch_up()
        glimpse = self._follower.page.newest(levels=False)
        verdict, age_ns = self._judge(glimpse)
        if presence.gone_since_ns is not None and not verdict.live:
            verdict = Verdict("stale", "the engine has ended")
        page = self._follower.page
        listed = find(presence, self.symbol, known_before=True)
        return build(glimpse, verdict, listed, page.generation, page.delivered(), page.latency_counts(), age_ns)

    def latency(self) -> Latency:
        """How long records took from receive to publish, counted since the generation began: `status` has its
        quantiles. Those of the recent past are in the difference of two: `instrument.latency().since(before)`, and
        `shm.status.quantile_ns(latency.counts, 0.99)`."""
        return Latency(tuple(self._follower.page.latency_counts()))

    def wait(self, timeout_s: float) -> bool:
        """Block until something is published that was not there at the last `wait`; False after `timeout_s`.

        That a live book has become stale, because nothing was heard for `max_lag_ms`, ends it as well. The first call
        counts from when the handle was made. Goes on with a new generation; raises WriterGone when the engine has
        ended and none takes its place, UnknownSymbol when the instrument was removed.
        """
        return until_news(self._look_for_news, self._after_silence, timeout_s)

    async def wait_async(self, timeout_s: float) -> bool:
        """As `wait`, awaited: the event loop goes on. The two share what was there at the last of them."""
        from . import sleeper  # here, because asyncio would be a good part of the time that `import shm` takes

        return await sleeper.until_news(self._look_for_news, self._after_silence, timeout_s)

    def _look_for_news(self) -> Word | None:
        """The wake-up word as it was before looking, if nothing was published since the last wait; None if it was."""
        word = self._follower.page.wake_word()  # before looking: see wake.py
        fence()
        before, self._waited = self._waited, self._publication()
        return word if self._waited == before else None

    def _after_silence(self) -> None:
        self._follower.follow(boottime_ns())

    def _publication(self) -> tuple[int, ...]:
        page = self._follower.page
        return (*self._follower.making, page.words[PUBLISHED], page.live(boottime_ns()))

    def _newest(self, allow_stale: bool, levels: bool = True) -> tuple[Glimpse, Verdict]:
        """The newest publication, of new segments if there are some; raises Stale, WriterGone or UnknownSymbol."""
        glimpse = self._follower.page.newest(levels)
        verdict, age_ns = self._judge(glimpse)
        if not verdict.live:
            now_ns = boottime_ns()
            if self._follower.quiet(now_ns) and self._follow(now_ns, allow_stale):
                glimpse = self._follower.page.newest(levels)
                verdict, age_ns = self._judge(glimpse)
            if not verdict.live and not allow_stale:
                raise self._stale(verdict, age_ns)
        return glimpse, verdict

    def _follow(self, now_ns: int, allow_stale: bool) -> bool:
        try:
            return self._follower.follow(now_ns)
        except WriterGone:
            if allow_stale:
                return False
            raise

    def _judge(self, glimpse: Glimpse) -> tuple[Verdict, int]:
        """Judge what was read, now; and how old it is."""
        age_ns = boottime_ns() - glimpse.through_ns
        state, reason = _JUDGED.unpack(glimpse.cell)
        verdict = judge(glimpse.published, state, reason, age_ns, self._follower.page.max_lag_ns)
        return verdict, age_ns if glimpse.through_ns else 0

    def _stale(self, verdict: Verdict, age_ns: int) -> Stale:
        sentence = complaint(self.symbol, verdict, age_ns, self._follower.page.max_lag_ns)
        return Stale(sentence, verdict.state, verdict.reason)


class BookView:
    """One publication in place. Right while the writer is fewer than CELLS - 1 publications ahead.

    Inside the `with`: `bids` and `asks` are read-only LEVEL arrays (ticks, size units) best first, `state` is the
    STATE row, `published` the number of the publication. Overrun is raised at the end if the writer has begun to
    write the cell again; an error from inside goes first.
    """

    bids: Rows
    asks: Rows
    state: np.void
    published: int

    def __init__(self, instrument: Instrument, allow_stale: bool) -> None:
        self._instrument = instrument
        self._allow_stale = allow_stale

    def __enter__(self) -> "BookView":
        glimpse, _ = self._instrument._newest(self._allow_stale, levels=False)
        self._page = page = self._instrument._follower.page
        self.published = glimpse.published
        i = glimpse.published % CELLS
        self._begin = page.cells[i][0]
        n_bids, n_asks = _COUNTS.unpack(glimpse.cell)
        levels = page.segment.array("cell_levels")[i]
        self.bids = levels[0, :n_bids]
        self.asks = levels[1, :n_asks]
        self.state = page.segment.array("cells")[i]["state"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and not self.whole:
            raise Overrun(
                f"{self._page.symbol}: the view of publication {self.published} was written over while in use;"
                " take a new one, do less in it, or use book()"
            )

    @property
    def whole(self) -> bool:
        """Whether all that was read through the view so far was one state."""
        fence()
        begin: int = self._page.words[self._begin]
        return begin == self.published


def _several(symbols: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """One symbol is itself a sequence of texts: its letters are not meant."""
    return symbols if symbols is None else (symbols,) if isinstance(symbols, str) else tuple(symbols)
