"""One wait on many instruments: whoever changes any of them bumps one word, and that is what is slept on."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from . import page as pages
from .follow import Follower, boottime_ns
from .layout import QUOTE_COUNT, TAPE_COUNT, Kind
from .page import CONTROL, Page, fence
from .presence import Presence
from .registry import generation_folder
from .segment import Segment, attach
from .values import Change
from .wake import MAX_SLEEP_NS, wait

_WAIT_S = MAX_SLEEP_NS / 1e9


def watch(presence: Presence, followers: Sequence[Follower], timeout_s: float | None) -> Iterator[Change]:
    """Yield a Change for each instrument that changed since this was called; see `Market.watch`."""
    before = {follower.symbol: _change(follower.page) for follower in followers}
    return _changes(presence, followers, before, _open(presence), timeout_s)


def _changes(
    presence: Presence,
    followers: Sequence[Follower],
    before: dict[str, Change],
    changed: Segment,
    timeout_s: float | None,
) -> Iterator[Change]:
    offset = changed.regions["words"].offset
    end_s = None if timeout_s is None else time.monotonic() + timeout_s
    engine = presence.registry.engine
    while True:
        seen = int.from_bytes(changed.memory[offset : offset + 8], "little")  # before looking: see wake.py
        fence()
        found = False
        for follower in followers:
            change = _change(follower.page)
            if change != before[follower.symbol]:
                before[follower.symbol] = change
                found = True
                yield change
        if found:
            end_s = None if timeout_s is None else time.monotonic() + timeout_s
            continue
        left_s = _WAIT_S if end_s is None else min(end_s - time.monotonic(), _WAIT_S)
        if left_s <= 0:
            return
        if not wait(changed.memory, offset, seen, left_s):
            now_ns = boottime_ns()
            presence.look(now_ns)
            for follower in followers:
                follower.catch_up()
            presence.require(now_ns)
            if engine != presence.registry.engine:
                with suppress(FileNotFoundError):  # it ended while we looked; the registry will say what comes next
                    changed = _open(presence)
                    engine = presence.registry.engine


def _open(presence: Presence) -> Segment:
    """The segment of the present generation. Raises FileNotFoundError if that ended just now."""
    generation = presence.registry.generation
    return attach(generation_folder(presence.folder, generation) / "changed", Kind.CHANGED, generation=generation)


def _change(page: Page) -> Change:
    words = page.words
    published = words[pages.PUBLISHED]
    return Change(page.symbol, published, words[CONTROL + TAPE_COUNT], words[CONTROL + QUOTE_COUNT], page.generation)
