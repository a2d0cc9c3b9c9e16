"""One wait on many instruments: whoever changes any of them bumps one word, and that is what is slept on."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from . import page as pages
from .errors import UnknownSymbol, WriterGone
from .follow import Follower, boottime_ns, find
from .layout import QUOTE_COUNT, TAPE_COUNT, Kind
from .page import CONTROL, Page, fence
from .presence import Presence
from .values import Change
from .wake import MAX_SLEEP_NS, Word, load, wait

_WAIT_S = MAX_SLEEP_NS / 1e9
_LOOK_EVERY_NS = MAX_SLEEP_NS  # others may keep this busy while one instrument comes, goes, or is made anew


class Watch:
    """A Change for each instrument that changed since this was made; see `Market.watch`. `for` and `async for`."""

    def __init__(
        self,
        presence: Presence,
        follow: Callable[[str], Follower],
        symbols: Sequence[str] | None,
        timeout_s: float | None,
    ) -> None:
        """`follow` gives an instrument's follower. Raises UnknownSymbol if one of `symbols` is not there now, and
        FileNotFoundError if the generation ended just now."""
        self._presence = presence
        self._follow_symbol = follow
        self._symbols = symbols
        self._followers = self._chosen() if symbols is None else [follow(symbol) for symbol in symbols]
        self._gone: deque[Change] = deque()  # last words on those that are watched no more
        self._timeout_s = timeout_s
        self._now_ns = boottime_ns()  # when the present round began
        self._before: dict[str, Change | None] = {
            each.symbol: _change(each.page, self._now_ns) for each in self._followers
        }
        self._changed = presence.attach("changed", Kind.CHANGED)
        self._word = self._load()
        self._engine = presence.registry.engine
        self._looked_ns = boottime_ns()
        self._place = len(self._followers)  # how far the present round over the instruments has come
        self._ended = False

    def __iter__(self) -> "Watch":
        return self

    def __aiter__(self) -> "Watch":
        return self

    def __next__(self) -> Change:
        """The next change; blocks for it. Raises as `Market.watch` says."""
        begun_s = time.monotonic()
        while (change := self._look()) is None:
            left_s = self._left_s(begun_s)
            if left_s <= 0:
                raise StopIteration
            if not wait(*self._word, left_s):
                self._follow()
        return change

    async def __anext__(self) -> Change:
        """The next change; awaits it. Raises as `Market.watch` says."""
        from . import sleeper  # here, because asyncio would be a good part of the time that `import shm` takes

        begun_s = time.monotonic()
        if (change := self._go_on()) is not None:
            return change
        await sleeper.let_others_run()  # between rounds, for who finds a change in every one of them
        while (change := self._look()) is None:
            left_s = self._left_s(begun_s)
            if left_s <= 0:
                raise StopAsyncIteration
            if not await sleeper.wait(*self._word, left_s):
                self._follow()
        return change

    def _load(self) -> Word:
        return load(self._changed.memory, self._changed.regions["words"].offset)

    def _look(self) -> Change | None:
        """The next change of this round, or of a new one if this is at its end; None if a whole round found none."""
        change = self._go_on()
        if change is None and not self._ended:
            self._presence.require_open()
            if boottime_ns() - self._looked_ns > _LOOK_EVERY_NS:
                self._follow()
            self._word = self._load()  # first: see wake.py
            fence()
            self._place = 0
            self._now_ns = boottime_ns()
            change = self._go_on()
        return change

    def _chosen(self) -> list[Follower]:
        """Whom to watch by the newest registry; one that is just being removed or made anew may be left out."""
        listed = self._presence.symbols
        found = []
        for symbol in listed if self._symbols is None else self._symbols:
            if symbol in listed:
                with suppress(UnknownSymbol, WriterGone):
                    found.append(self._follow_symbol(symbol))
        return found

    def _go_on(self) -> Change | None:
        if self._gone:
            return self._gone.popleft()
        while self._place < len(self._followers):
            follower = self._followers[self._place]
            self._place += 1
            change = _change(follower.page, self._now_ns)
            if change != self._before[follower.symbol]:
                self._before[follower.symbol] = change
                return change
        return None

    def _left_s(self, begun_s: float) -> float:
        """How long to sleep now; 0 when the time limit is over, once for all."""
        left_s = _WAIT_S
        if self._timeout_s is not None:
            left_s = min(begun_s + self._timeout_s - time.monotonic(), _WAIT_S)
            self._ended = self._ended or left_s <= 0
        return 0.0 if self._ended else left_s

    def _follow(self) -> None:
        """Look whether there is a new generation, or an instrument came, went or was made anew, and go on with that."""
        self._looked_ns = now_ns = boottime_ns()
        self._presence.look(now_ns)
        before, self._followers = self._followers, self._chosen()
        kept = {each.symbol for each in self._followers}
        for each in before:
            said = self._before[each.symbol]
            if each.symbol not in kept and said is not None and said.live:
                self._gone.append(said._replace(live=False))
        self._before = {symbol: self._before.get(symbol) for symbol in kept}
        self._place = len(self._followers)
        for follower in self._followers:
            with suppress(UnknownSymbol):  # a look at the registry on the way: it has just gone
                follower.catch_up()
        if self._symbols and not self._followers and not self._gone:
            find(self._presence, self._symbols[0], known_before=True)
        self._presence.require(now_ns)
        if self._engine != self._presence.registry.engine:
            with suppress(FileNotFoundError):  # it ended while we looked; the registry will say what comes next
                self._changed = self._presence.attach("changed", Kind.CHANGED)
                self._engine = self._presence.registry.engine


def _change(page: Page, now_ns: int) -> Change:
    words = page.words
    published = words[pages.PUBLISHED]
    tape_count, quote_count = words[CONTROL + TAPE_COUNT], words[CONTROL + QUOTE_COUNT]
    return Change(page.symbol, published, tape_count, quote_count, page.generation, page.live(now_ns))
