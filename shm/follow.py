"""One instrument's page as it was made last. Whatever was taken from a handle goes on through this."""

import difflib
import time

from . import page as pages
from .errors import UnknownSymbol
from .page import Page
from .presence import Presence
from .registry import Listed


def boottime_ns() -> int:
    """CLOCK_BOOTTIME, which goes on in suspend, as the engine's stamps do."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def find(presence: Presence, symbol: str, *, known_before: bool = False) -> Listed:
    """The instrument as the registry lists it. Raises UnknownSymbol: it offers near names, or says that one that was
    `known_before` was removed."""
    listed = presence.registry.instruments
    for each in listed:
        if each.symbol == symbol:
            return each
    symbols = [each.symbol for each in listed]
    carried = f"it carries {', '.join(symbols) or 'none'}"
    unknown = f"the engine {presence.name!r} carries no instrument {symbol!r}"
    if known_before:
        raise UnknownSymbol(f"{unknown} any more: it was removed; {carried}")
    near = difflib.get_close_matches(symbol.upper(), symbols, n=3, cutoff=0.5)
    raise UnknownSymbol(f"{unknown}: did you mean {' or '.join(near)}?" if near else f"{unknown}: {carried}")


class Follower:
    """Maps an instrument, and maps it anew when there is a new generation, or when its segments were made anew.

    The old mapping is only let go of: views and iterators may still hold it, and it goes with the last of them.
    """

    __slots__ = ("making", "page", "presence", "symbol")

    def __init__(self, presence: Presence, symbol: str) -> None:
        """Raises UnknownSymbol, LayoutError, and FileNotFoundError if the generation ended just now."""
        self.presence = presence
        self.symbol = symbol
        listed = find(presence, symbol)
        # What tells these segments from all others of this name and symbol.
        self.making = (*presence.registry.engine, listed.made)
        self.page = Page.open(presence.folder, presence.registry.generation, listed)

    def age_ns(self, now_ns: int) -> int:
        """How long ago the engine was last heard of through this instrument; 0 if it never was."""
        through_ns: int = self.page.words[pages.THROUGH]
        return now_ns - through_ns if through_ns else 0

    def quiet(self, now_ns: int) -> bool:
        """Whether it is time to look at the registry: nothing was heard for `max_lag_ms`, or never, or its feed was
        closed, as that of an instrument is which is removed or made anew."""
        through_ns: int = self.page.words[pages.THROUGH]
        return now_ns - through_ns > self.page.max_lag_ns or self.page.seems_closed

    def catch_up(self) -> bool:
        """Map the segments that the registry speaks of, if they are others; True if that was done.

        Raises UnknownSymbol if the engine no longer carries the instrument, LayoutError if its segments are not ours.
        """
        found = self.presence.registry
        listed = find(self.presence, self.symbol, known_before=True)
        making = (*found.engine, listed.made)
        if making == self.making:
            return False
        try:
            self.page = Page.open(self.presence.folder, found.generation, listed)
        except FileNotFoundError:  # it ended while we looked; the registry will say what comes next
            return False
        self.making = making
        return True

    def follow(self, now_ns: int) -> bool:
        """Look at the registry and catch up. Raises WriterGone too, when the engine has been gone for long."""
        self.presence.look(now_ns)
        if self.catch_up():
            return True
        self.presence.require(now_ns)
        return False
