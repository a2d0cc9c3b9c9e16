"""The instruments of a running engine: they come, go and roll one at a time, while all others stream.

An instrument here is a ring, its lane, and a contract of the venue's. What is asked of the venue comes first, so that
settings it refuses change nothing; what then happens is the feed's, in feeds/market.py.
"""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from shm import segment
from shm.layout import Kind, Words
from shm.ring import RingWriter

from .clock import Clock
from .config import SymbolSettings
from .feeds.gateway import Contract, Gateway
from .feeds.market import Feed
from .http import VenueError, VenueRefusal
from .rings import map_ring
from .router import Lane
from .rules import FRONT

_log = logging.getLogger(__name__)

LEAST_PAUSE_S: Final = 0.6  # between two questions about rolls: half of what the venue allows, see budget.py
SAID_ONCE: Final = 64  # refusals of a roll that are remembered, so that they are logged once and not each minute


class Opened:
    """A ring that this process writes, with its lane, and with the bell of its worker if that has one."""

    def __init__(self, here: Path, generation: int, settings: SymbolSettings, recorder: Words | None) -> None:
        """`here`: the generation's folder. `recorder`: the ring of `open_recorder`, if what comes in is recorded.

        Raises LayoutError, FileNotFoundError.
        """
        mapped = map_ring(here, generation, settings)
        self._segments = mapped.segments
        self.ring = RingWriter(mapped.words, generation, bell=mapped.bell)
        if recorder is not None:
            self.ring.record(recorder, settings.symbol, mapped.segments[0].made)
        self.lane = Lane(settings, self.ring)

    def close(self) -> None:
        """Let go of the memory."""
        for each in self._segments:
            each.close()


def open_recorder(here: Path, generation: int) -> Words:
    """The ring into which all others are recorded; this process is its only producer from here on.

    It stays mapped as long as one of those is written. Raises LayoutError, FileNotFoundError.
    """
    ring = segment.attach(here / "recorder.ring", Kind.RING, writable=True, generation=generation)
    ring.claim()
    words = ring.array("words")
    RingWriter(words, generation)  # what a predecessor had put and not published is gone
    return words


class Instruments:
    """All of one engine. Every method is called from its event loop."""

    def __init__(
        self,
        here: Path,
        generation: int,
        gateway: Gateway,
        clock: Clock,
        feed: Feed,
        opened: Iterable[Opened],
        recorder: Words | None,
    ) -> None:
        """`opened`: those that clock and feed have from the start. `recorder`: as those were opened with."""
        self._here = here
        self._generation = generation
        self._gateway = gateway
        self._clock = clock
        self._feed = feed
        self._recorder = recorder
        self._opened = {each.lane.settings.symbol: each for each in opened}
        self._checked: dict[str, tuple[SymbolSettings, Contract]] = {}  # what `check` found and `add` will want
        self._changing = asyncio.Lock()
        self._asking = asyncio.Lock()  # answers are taken in the order of the questions: an old one would roll back
        self._silent: asyncio.Queue[Lane] = asyncio.Queue()
        self._waiting: set[Lane] = set()  # what is in the queue
        self._said: dict[str, str] = {}

    @property
    def rings(self) -> dict[str, RingWriter]:
        """By symbol; one that is made anew is another object."""
        return {symbol: opened.ring for symbol, opened in self._opened.items()}

    def contract_of(self, symbol: str) -> Contract | None:
        """What an instrument is at the venue, as far as that is known by now."""
        opened = self._opened.get(symbol)
        return self._feed.contracts.get(opened.lane) if opened else None

    async def check(self, settings: SymbolSettings) -> None:
        """Find out whether an instrument could be fed with these settings. Changes nothing.

        Raises VenueRefusal if it never could, VenueError if the venue cannot be asked now.
        """
        contract = await self._gateway.contract(settings)
        self._refuse_twice(settings.symbol, contract)
        self._checked[settings.symbol] = settings, contract

    async def add(self, settings: SymbolSettings) -> None:
        """Begin to feed an instrument whose segments are there. Raises as `check` does, LayoutError, and
        FileNotFoundError."""
        checked, contract = self._checked.pop(settings.symbol, (None, None))
        async with self._changing:
            if contract is None or checked != settings:
                contract = await self._gateway.contract(settings)
            self._refuse_twice(settings.symbol, contract)
            opened = Opened(self._here, self._generation, settings, self._recorder)
            self._opened[settings.symbol] = opened
            self._clock.add(opened.lane.ring)
            await self._feed.add(opened.lane, contract)

    async def remove(self, symbol: str) -> None:
        """Let go of an instrument: when this returns its ring is closed and nobody here writes to it."""
        async with self._changing:
            opened = self._opened.pop(symbol, None)
            if opened is None:
                return
            await self._feed.remove(opened.lane)
            self._close(opened)

    def let_go(self, lane: Lane) -> None:
        """Close what the feed has let go of by itself, unless it is just being removed."""
        symbol = lane.settings.symbol
        if (opened := self._opened.get(symbol)) and opened.lane is lane:
            del self._opened[symbol]
            self._close(opened)

    def _close(self, opened: Opened) -> None:
        self._clock.remove(opened.lane.ring)
        opened.close()

    async def follow_fronts(self, every_s: float) -> None:
        """For ever: ask which contract is the front one, for each instrument that wants that, and go on with it.

        Each is asked for once in `every_s`, one after the other; less often where that would be too much for the venue.
        """
        while True:
            fronts = [each.lane for each in self._opened.values() if each.lane.settings.contract == FRONT]
            for lane in fronts:
                await asyncio.sleep(max(every_s / len(fronts), LEAST_PAUSE_S))
                await self._follow_front(lane.settings.symbol, lane)
            if not fronts:
                await asyncio.sleep(every_s)

    def suspect(self, lane: Lane) -> None:
        """An instrument has fallen silent: if it follows the front contract, ask now whether that is another one."""
        if lane.settings.contract == FRONT and lane not in self._waiting:
            self._waiting.add(lane)
            self._silent.put_nowait(lane)

    async def follow_suspects(self) -> None:
        """For ever: ask for the front contract of those that fell silent, one after the other."""
        while True:
            lane = await self._silent.get()
            self._waiting.discard(lane)
            await self._follow_front(lane.settings.symbol, lane)
            await asyncio.sleep(LEAST_PAUSE_S)

    async def _follow_front(self, symbol: str, lane: Lane) -> None:
        async with self._asking:
            await self._ask_for_front(symbol, lane)

    async def _ask_for_front(self, symbol: str, lane: Lane) -> None:
        try:
            contract = await self._gateway.contract(lane.settings)
            self._refuse_twice(symbol, contract)
        except VenueError as error:
            self._log_once(symbol, f"{symbol}: whether it rolled is not known: {error}")
            return
        async with self._changing:
            opened = self._opened.get(symbol)
            before = self._feed.contracts.get(lane)
            if opened is None or opened.lane is not lane or before is None:
                return
            if before.contract_id != contract.contract_id:
                await self._feed.roll(lane, contract)

    def _refuse_twice(self, symbol: str, contract: Contract) -> None:
        """Two rings for one contract would each get half of the messages."""
        for lane, other in self._feed.contracts.items():
            if other.contract_id == contract.contract_id and lane.settings.symbol != symbol:
                raise VenueRefusal(
                    f"{symbol}.toml: its contract is {contract.contract_id}, which {lane.settings.symbol} has already:"
                    " leave one of them out"
                )

    def _log_once(self, symbol: str, sentence: str) -> None:
        if self._said.get(symbol) != sentence:
            if len(self._said) >= SAID_ONCE:
                self._said.clear()
            self._said[symbol] = sentence
            _log.warning("%s", sentence)
