"""The questions that silence.py wants asked, and where its answers come from: REST, the rings, and the clocks."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

from ..config import FeedSettings
from ..http import VenueError
from ..page import Page
from ..router import Lane
from .gateway import Gateway
from .pulse import Pulse
from .roster import Roster
from .silence import Freeze, Heard, Look, Silence

PROBE_TIMEOUT_S: Final = 2.0  # an answer about a silence is of no use later
_MS: Final = 1_000_000

_log = logging.getLogger(__name__)


class Probes:
    """What is known of the silences of a feed. For each connection `reconnect`, then `listen` at each poll."""

    def __init__(
        self,
        settings: FeedSettings,
        gateway: Gateway,
        roster: Roster,
        page: Page,
        pulse: Pulse,
        on_silent: Callable[[Lane], None],
    ) -> None:
        """`on_silent` is called with each look: perhaps it is silent because another contract is the front one now."""
        self._gateway = gateway
        self._roster = roster
        self._page = page
        self._pulse = pulse
        self._on_silent = on_silent
        self._silence: Silence[Lane] = Silence(settings.probe_after_ms * _MS)
        self._looks: asyncio.Queue[Look[Lane]] = asyncio.Queue()  # at most one, see Silence.poll

    def reconnect(self) -> None:
        """A new connection: nobody has been silent on it."""
        self._silence.reconnect()
        self._looks = asyncio.Queue()

    def forget(self, lane: Lane) -> None:
        """A lane is another contract's from now on."""
        self._silence.forget(lane)

    def vouches(self, lane: Lane) -> bool:
        """Whether the venue says that nothing is traded."""
        return self._silence.vouches(lane)

    def listen(self, lanes: Iterable[Lane]) -> Freeze[Lane] | None:
        """Compare each instrument's silence with the others', and have REST asked; what is frozen, if anything is."""
        heard = {
            lane: Heard(lane.ring.delivered, lane.settings.max_silence_ms * _MS, lane.settings.max_venue_lag_ms * _MS)
            for lane in lanes
        }
        step = self._silence.poll(self._pulse.own_ns, time.time(), heard)
        if isinstance(step, Look):
            self._looks.put_nowait(step)
            return None
        if step is not None:
            self._page.add("freezes")
        return step

    async def ask(self) -> None:
        """Ask REST about silent instruments, one at a time. Never ends: it is for as long as the connection lasts."""
        while True:
            look = await self._looks.get()
            symbol, contract = look.key.settings.symbol, self._roster.contracts.get(look.key)
            if contract is None:  # it was removed meanwhile
                self._silence.answer(look, self._pulse.own_ns, None)
                continue
            self._page.add("probes")
            self._on_silent(look.key)
            bar = None
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    bar = await self._gateway.newest_bar(contract.contract_id)
            except TimeoutError:
                _log.info("%s is silent, and REST does not answer", symbol)
            except VenueError as error:
                _log.info("%s is silent, and REST cannot say why: %s", symbol, error)
            self._silence.answer(look, self._pulse.own_ns, bar)
