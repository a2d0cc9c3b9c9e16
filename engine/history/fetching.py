"""History asked of the venue: a few pages at once, at a pace that leaves others room, checked, kept, all or nothing.

Tries again are the pool's (http.py), and so is the venue's limit; the pace here is a part of it, because a running
engine asks for bars too (silence.py), and because a request that would wait too long for its budget fails. Pages of
times long past never change: they are kept as market data is. Newer ones are asked for each time; who asks for the
same at the same moment gets one answer.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from shm.layout import BAR
from shm.timeframe import Timeframe

from ..budget import Limit, Spent, spend, wait_s
from ..cache import Caches
from ..flight import Flights
from ..http import Times, VenueError
from .page import Page, Rows, read
from .planning import MAX_BARS, HistoryRefusal, Window, asked, length_of, rest, windows

AT_ONCE: Final = 4  # pages under way
ALONE: Final = Limit(24, 30.0)  # of the 30 that budget.py allows, if nobody else asks for bars; the rest is for tries
BESIDE_A_FEED: Final = Limit(8, 30.0)  # silence.py may take 20
SETTLED_NS: Final = 3600 * 1_000_000_000  # older than this nothing changes: a practice account's bars may come late
MAX_REQUESTS: Final = 16  # for one window whose pages come full
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Progress = Callable[[int, int], None]


class Venue(Protocol):
    """What history needs of feeds/gateway.py."""

    caches: Caches

    async def bars(self, body: dict[str, object], limit: int) -> list[Any]: ...


class Fetched(NamedTuple):
    """`rows`: layout.BAR, in order of time, each start once; see page.py for what is in them. `refused`: rows of the
    venue's that are not in it, by reason."""

    rows: Rows
    refused: Counter[str]


class History:
    """The bars of a venue's contracts. Everybody who shares one shares its pace, and what is under way."""

    def __init__(
        self,
        venue: Venue,
        limit: Limit = BESIDE_A_FEED,
        *,
        page_bars: int = MAX_BARS,
        now_ns: Callable[[], int] = time.time_ns,
        times: Times | None = None,
    ) -> None:
        """limit: the pace. page_bars: asked for in a page. now_ns: CLOCK_REALTIME: what ends later is not over yet."""
        self._venue = venue
        self._limit = limit
        self._page_bars = page_bars
        self._now_ns = now_ns
        self._times = times or Times()
        self._spent = Spent()
        self._turn = asyncio.Lock()
        self._under_way = asyncio.Semaphore(AT_ONCE)
        self._flights: Flights[list[Any]] = Flights()

    @property
    def joined(self) -> int:
        """Pages that were not asked for, because the same one was under way; those of the cache it counts itself."""
        return self._flights.joined

    @property
    def settled_ns(self) -> int:
        """What is over by then changes no more, and comes no more."""
        return self._now_ns() - SETTLED_NS

    async def fetch(
        self,
        contract_id: str,
        price_increment: int,
        timeframe: Timeframe,
        ranges: Iterable[tuple[int, int]],
        on_page: Progress = lambda done, planned: None,
    ) -> Fetched:
        """All bars that begin in `ranges` (ns, UTC, half-open, widened to whole bars) and are over.

        price_increment: the contract's tick in 10^-9. on_page: told after each page how many are done, of how many.
        What the venue has not is not there: `stitching.holes` finds it; its newest bars may come late. At most
        planning.MAX_WINDOWS pages, all of them in memory; cancelled, it asks for nothing more.

        Raises HistoryRefusal, VenueError, VenueRefusal if the venue has no such contract.
        """
        length_ns = length_of(timeframe)
        now_ns = self._now_ns()
        over_ns = now_ns // length_ns * length_ns  # what begins here or later is not over
        planned = windows(((start, min(end, over_ns)) for start, end in ranges), length_ns, self._page_bars)
        pages: list[Page | None] = [None] * len(planned)
        done = 0

        async def one(place: int, window: Window) -> None:
            nonlocal done
            pages[place] = await self._window(contract_id, price_increment, timeframe, window, now_ns)
            done += 1
            on_page(done, len(planned))

        try:
            async with asyncio.TaskGroup() as group:
                for place, window in enumerate(planned):
                    group.create_task(one(place, window))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the others were cancelled for it, or failed of the same
        return _together([page for page in reversed(pages) if page is not None])

    async def _window(
        self, contract_id: str, price_increment: int, timeframe: Timeframe, window: Window, now_ns: int
    ) -> Page:
        """All of a window, in more pages than one if they come full; kept if nothing of it can change any more."""
        key = ("bars", contract_id, price_increment, timeframe.name, self._page_bars, *window)

        async def packed() -> list[Any]:
            rows, refused = await self._pages(contract_id, price_increment, timeframe, window, now_ns)
            return [rows.tobytes(), dict(refused)]

        is_settled = window.end_ns <= now_ns - SETTLED_NS
        market_data = self._venue.caches.market_data
        data, refused = await (market_data.fetch(key, packed) if is_settled else self._flights.join(key, packed))
        return Page(np.frombuffer(data, BAR), Counter(refused), None)

    async def _pages(
        self, contract_id: str, price_increment: int, timeframe: Timeframe, window: Window, now_ns: int
    ) -> Fetched:
        length_ns = length_of(timeframe)
        waiting, pages = [window], list[Page]()
        while waiting:
            if len(pages) == MAX_REQUESTS:
                raise VenueError(f"the venue sent {MAX_REQUESTS} full pages for the time of one")
            part = waiting.pop()
            sent = await self._ask(contract_id, timeframe, asked(part, length_ns))
            page = await asyncio.to_thread(read, sent, part, length_ns, price_increment, now_ns)
            pages.append(page)
            if len(sent) == self._page_bars:
                if page.extent is None:
                    raise VenueError("the venue sent a full page, and no bar of it is of the time that was asked for")
                waiting += rest(part, *page.extent, length_ns)
        return _together(pages)

    async def _ask(self, contract_id: str, timeframe: Timeframe, window: Window) -> list[Any]:
        start, end = (_stamp(at_ns) for at_ns in window)
        body: dict[str, object] = {
            **{"contractId": contract_id, "live": False, "startTime": start, "endTime": end},
            **{"unit": int(timeframe.unit), "unitNumber": timeframe.amount, "limit": self._page_bars},
            "includePartialBar": False,
        }
        async with self._under_way:
            async with self._turn:
                while (pause_s := wait_s(self._limit, self._spent, now_s := self._times.now_s())) > 0.0:
                    await self._times.sleep(pause_s)
                self._spent = spend(self._limit, self._spent, now_s)
            return await self._venue.bars(body, self._page_bars)


def _together(pages: Iterable[Page | Fetched]) -> Fetched:
    """Pages as one. Windows do not overlap, so neither do their rows."""
    refused: Counter[str] = Counter()
    parts = [np.empty(0, BAR)]
    for page in pages:
        refused.update(page.refused)
        parts.append(page.rows)
    rows = np.concatenate(parts)
    return Fetched(rows[np.argsort(rows["start_ns"])], refused)


def _stamp(at_ns: int) -> str:
    """As the venue reads it. Raises HistoryRefusal for a time that has no year of four digits."""
    try:
        return (_EPOCH + timedelta(microseconds=at_ns // 1000)).isoformat()
    except OverflowError:
        raise HistoryRefusal("that is a time that no calendar has: ask for years from 1970 on") from None
