"""What happened to an engine's books and processes, when, why, and from where to where: `market.events()`.

Each worker writes the events of its book beside it, the supervisor those of the processes in a segment of its own;
here they are merged. Order is that of the wall stamps, among all events that are there at one look: rings are not
written in step, so an event may still come that is older, by milliseconds, than one that was handed out.

An instrument that is removed does not end it: its `removed` is handed out, and it is followed again when the engine
carries it again.

One thing no ring can say: that a worker is stopped or the engine dead. By age the reader sees it itself; `Market.watch`
tells it at once. As an event it shows when somebody is there to write it, with where it began.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from . import layout
from .broadcast import Broadcast
from .errors import UnknownSymbol
from .follow import Follower, boottime_ns
from .layout import EventKind, Kind, Rows
from .news import News
from .page import Page
from .presence import Presence
from .segment import Segment
from .verdict import reason_text
from .wake import Word, load

_ROWS_A_TURN = 256  # of each ring
_KIND_TEXT = {int(kind): kind.name.lower() for kind in EventKind}
_LISTED = frozenset({"added", "changed", "removed"})


class Event(NamedTuple):
    """One event. It reaches from where the last good thing was known to where the event was noticed."""

    symbol: str  # empty: of the engine as a whole
    kind: str  # gap, resync, stale, live, roll, restart, quarantine, parked, added, changed, removed
    reason: str  # why; empty for a book that became live
    wall_ns: int  # CLOCK_REALTIME at which it was noticed: the end of its time
    sequence: int  # of the ring record it came with; 0 if it is the supervisor's and names none
    from_wall_ns: int  # where its time begins; 0: not known, or nothing was before
    from_sequence: int
    lost: int  # gap: records known lost in it
    restarts: int  # restart: how often so far
    pid: int  # of the process that it is about; 0: none
    detail: str  # roll: both contracts; of a process: which part it is
    generation: int

    def __str__(self) -> str:
        """A line for people, stamps in UTC."""
        span_s = (self.wall_ns - self.from_wall_ns) / 1e9
        parts = [
            time.strftime("%H:%M:%S", time.gmtime(self.wall_ns // 10**9)),
            self.symbol,
            self.detail if self.kind in ("restart", "parked") else "",
            self.kind,
            f"of {self.lost:,} records" if self.lost else "",
            f"after {span_s:,.1f} s" if self.from_wall_ns else "",
            f"({self.detail})" if self.kind == "roll" else "",
        ]
        said = " ".join(part for part in parts if part)
        return f"{said}: {self.reason}" if self.reason else said


class _Source:
    """The events of one instrument, in one mapping of it, or those of the supervisor (`follower` is None)."""

    def __init__(self, follower: Follower | None, page: Page | Segment) -> None:
        self.follower = follower
        self.page = page
        self.symbol = page.symbol
        self.generation = page.generation
        regions = page.segment.regions if isinstance(page, Page) else page.regions
        name = f"the ring of events of {self.symbol or 'the supervisor'}"
        self.ring = Broadcast(name, page.memory, regions["events"], layout.EVENT_INTENT)

    def values(self, rows: Rows) -> Iterator[Event]:
        return (_event(row, self.symbol, self.generation) for row in rows.tolist())


class Events(News[Event]):
    """Events from the moment this was made on. `for` blocks, `async for` awaits, and both raise WriterGone when the
    engine has ended and none takes its place; `last` does neither.

    `lost` counts events that were overwritten before they were read, `restarts` how often the engine as a whole was
    started anew: each time this goes on at the first event of the new generation.
    """

    def __init__(self, presence: Presence, follow: Callable[[str], Follower], symbols: Sequence[str] | None) -> None:
        """`follow` gives an instrument's follower. Raises UnknownSymbol if one of `symbols` is not there now, and
        FileNotFoundError if the generation ended just now."""
        super().__init__()
        self.restarts = 0
        self._presence = presence
        self._follow_symbol = follow
        self._symbols = symbols
        self._lost_before = 0  # in rings that were left
        self._engine = presence.registry.engine
        self._changed = presence.attach("changed", Kind.CHANGED)
        self._supervisor = _Source(None, presence.attach("events", Kind.EVENTS))
        self._books = {symbol: self._source(symbol) for symbol in (presence.symbols if symbols is None else symbols)}

    @property
    def lost(self) -> int:
        return self._lost_before + sum(source.ring.lost for source in self._sources())

    def last(self, count: int) -> list[Event]:
        """The newest events, oldest first, at most `count` and at most what the rings still hold; moves no cursor.

        Raises Overrun if a ring was overwritten from end to end during every one of MAX_TRIES copies.
        """
        if count < 0:
            raise ValueError(f"the number of events wanted is {count}; it cannot be negative")
        self._presence.require_open()
        found = [event for source in self._sources() for event in source.values(source.ring.last(count))]
        wanted = [event for event in found if self._wants(event)]
        wanted.sort(key=_wall_ns)
        return wanted[max(len(wanted) - count, 0) :]

    def _sources(self) -> list[_Source]:
        return [self._supervisor, *self._books.values()]

    def _chosen(self) -> Sequence[str]:
        """Those of the newest registry that are wanted."""
        listed = self._presence.symbols
        return listed if self._symbols is None else [symbol for symbol in self._symbols if symbol in listed]

    def _source(self, symbol: str) -> _Source:
        follower = self._follow_symbol(symbol)
        return _Source(follower, follower.page)

    def _wants(self, event: Event) -> bool:
        return self._symbols is None or not event.symbol or event.symbol in self._symbols

    def _word(self) -> Word:
        self._presence.require_open()
        return load(self._changed.memory, self._changed.regions["words"].offset)

    def _fill(self) -> None:
        found = [event for source in self._sources() for event in source.values(source.ring.take(_ROWS_A_TURN))]
        if any(event.kind in _LISTED for event in found):
            self._presence.look(boottime_ns())
            found += self._move()
        found.sort(key=_wall_ns)
        self._ready.extend(event for event in found if self._wants(event))

    def _after_silence(self) -> None:
        """Look whether there is a new generation, and go on with that."""
        now_ns = boottime_ns()
        self._presence.look(now_ns)
        if self._engine != self._presence.registry.engine:
            found = sorted(self._move(), key=_wall_ns)
            self._ready.extend(event for event in found if self._wants(event))
        else:
            self._presence.require(now_ns)

    def _move(self) -> list[Event]:
        """Follow the registry: another generation, and the instruments that it lists now. What is left of those that
        are not followed any more."""
        left: list[Event] = []
        with suppress(FileNotFoundError):  # it ended while we looked; the registry will say what comes next
            if self._engine != self._presence.registry.engine:
                changed = self._presence.attach("changed", Kind.CHANGED)
                supervisor = _Source(None, self._presence.attach("events", Kind.EVENTS))
                left += self._leave(self._supervisor)
                self._changed, self._supervisor = changed, supervisor
                self._supervisor.ring.next = 0
                self._engine = self._presence.registry.engine
                self.restarts += 1
            chosen = self._chosen()
            for symbol in set(self._books) - set(chosen):
                left += self._leave(self._books.pop(symbol))
            for symbol in chosen:
                with suppress(UnknownSymbol):  # a look at the registry on the way: it has just gone
                    left += self._follow(symbol)
        return left

    def _follow(self, symbol: str) -> list[Event]:
        """Go on with the mapping of now, from its first event on, if it is another than before; what is left there."""
        before = self._books.get(symbol)
        follower = self._follow_symbol(symbol)
        follower.catch_up()
        if before is not None and before.page is follower.page:
            return []
        self._books[symbol] = source = _Source(follower, follower.page)
        source.ring.next = 0
        return [] if before is None else self._leave(before)

    def _leave(self, source: _Source) -> list[Event]:
        """All that a ring still holds; what was overwritten in it is counted."""
        events = list(source.values(source.ring.take(source.ring.left)))
        self._lost_before += source.ring.lost + source.ring.left
        return events


def _wall_ns(event: Event) -> int:
    return event.wall_ns


def _event(row: tuple[Any, ...], symbol: str, generation: int) -> Event:
    """An Event out of one layout.EVENT row."""
    sequence, _, kind, reason, wall_ns, _, from_sequence, from_wall_ns, count, pid, *texts = row
    named, subject, text = (bytes(each).decode(errors="replace") for each in texts)
    name = _KIND_TEXT.get(kind, f"kind {kind}, which this program does not know")
    rolled = kind == EventKind.ROLL
    return Event(
        symbol=symbol or named,
        kind=name,
        reason=reason_text(reason) if reason else "" if rolled else text,
        wall_ns=wall_ns,
        sequence=sequence if symbol else from_sequence,
        from_wall_ns=from_wall_ns,
        from_sequence=from_sequence,
        lost=count if kind == EventKind.GAP else 0,
        restarts=count if kind == EventKind.RESTART else 0,
        pid=pid,
        detail=f"{subject} → {text}" if rolled else subject,
        generation=generation,
    )
