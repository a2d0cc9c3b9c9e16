"""Runs a ProjectX market feed: each state of session.py is one coroutine here that ends in an event.

The order that books depend on: a gap record goes into every ring the moment the connection is lost, and again
*before* the subscriptions that bring the new snapshots are sent (subscriptions.py). So a worker never takes messages
of two connections for one stream.

Who succeeds an engine that was killed finds rings that are not fresh. What the venue refuses then it feeds no more,
and goes on with the others; at a first start a refusal is a wrong setting, and ends it with its sentence.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from shm.layout import Reason

from ..config import FeedSettings
from ..http import HttpPool, VenueError, VenueRefusal
from ..page import Page
from ..router import Lane, Router
from . import projectx
from .gateway import Contract, Gateway
from .hub import FrameRefused, HandshakeRefused
from .link import Hub, Link
from .probes import Probes
from .roster import Roster
from .session import Event, State, advance
from .stream import Stream
from .subscriptions import Subscriptions

_log = logging.getLogger(__name__)


class Feed:
    """One venue's market-data socket. `run` it; cancel that to stop it."""

    def __init__(
        self,
        settings: FeedSettings,
        hub_url: str,
        pool: HttpPool,
        gateway: Gateway,
        router: Router,
        lanes: Sequence[Lane],
        page: Page,
        now_ns: Callable[[], int],
        on_streaming: Callable[[], None],
        on_refused: Callable[[Lane, VenueRefusal], None],
        on_silent: Callable[[Lane], None],
    ) -> None:
        """`now_ns` is CLOCK_BOOTTIME; `on_streaming` is called whenever all is subscribed; `on_refused` when a lane
        was let go of because the venue refuses it by now; `on_silent` when the venue is asked why a lane is silent."""
        silence_ms, deflate = settings.socket_silence_ms, settings.deflate
        hub = Hub("the market hub", hub_url, projectx.MAX_RECORD_BYTES, silence_ms, deflate)
        self._link = Link(hub, settings, pool, gateway, now_ns)
        self._gateway = gateway
        self._page = page
        self._on_streaming = on_streaming
        self._on_refused = on_refused
        self.state = State.OFFLINE
        self._steps = {
            State.LOGGING_IN: self._log_in,
            State.CONNECTING: self._connect,
            State.HANDSHAKING: self._shake_hands,
            State.SUBSCRIBING: self._subscribe,
            State.STREAMING: self._stream_on,
            State.BACKING_OFF: self._link.back_off,
        }
        self._refusal: VenueRefusal | None = None
        self._succeeds = False  # an engine that fed these rings
        self._roster = Roster(lanes, router)
        self._subscriptions = Subscriptions(settings, self._roster, page, gateway.shown)
        self._probes = Probes(settings, gateway, self._roster, page, self._link.pulse, on_silent)
        self._stream = Stream(router, page, self._subscriptions.take)
        self._early: Sequence[bytes] = ()
        self._lost = Reason.DISCONNECTED  # what the books are told when the connection is lost

    async def run(self) -> None:
        """Live until cancelled. Raises VenueRefusal when the venue will never let us in."""
        for lane in self._roster.lanes:
            if not lane.ring.fresh:
                self._succeeds = True
                lane.say(Reason.ENGINE_RESTART)
        try:
            self._go(Event.START)
            while self.state is not State.CLOSED:
                self._go(await self._steps[self.state]())
        finally:
            if self.state is not State.CLOSED:
                self._go(Event.STOP)
            self._roster.say(Reason.CLOSED)
            await self._link.close()
        if self._refusal is not None:
            raise self._refusal

    def _go(self, event: Event) -> None:
        before, self.state = self.state, advance(self.state, event)
        if before in (State.SUBSCRIBING, State.STREAMING) and self.state is not State.STREAMING:
            self._subscriptions.lose()
            if event is Event.LOST:
                self._roster.say(self._lost)
        self._page.set("feed_state", self.state)
        _log.debug("feed: %s, %s, %s", before.name, event.name, self.state.name)

    # ── the steps of the life ─────────────────────────────────────────────────────────────────────────────

    async def _log_in(self) -> Event:
        try:
            await self._gateway.token()
            if unresolved := self._roster.unresolved:
                await self._resolve(unresolved)
        except VenueRefusal as refusal:
            self._refusal = refusal
            return Event.DENIED
        except VenueError as error:
            _log.warning("no login: %s", error)
            return Event.LOST
        return Event.DONE

    async def _resolve(self, lanes: Sequence[Lane]) -> None:
        """Find out the contract of each. Raises VenueError, and VenueRefusal when that is a reason to end."""
        _log.info("%d active accounts", await self._gateway.accounts())
        asked = (self._gateway.contract(lane.settings) for lane in lanes)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused: dict[Lane, VenueRefusal] = {}
        for lane, answer in zip(lanes, answers, strict=True):
            if lane not in self._roster.lanes:  # it was removed meanwhile
                continue
            if isinstance(answer, VenueRefusal):
                refused[lane] = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self._roster.introduce(lane, answer)
        self._roster.configure()
        if refused and (not self._succeeds or len(refused) == len(self._roster.lanes)):
            raise next(iter(refused.values()))
        for lane, refusal in refused.items():
            _log.warning("%s is fed no more: %s", lane.settings.symbol, refusal)
            self._roster.remove(lane)
            self._on_refused(lane, refusal)

    async def _connect(self) -> Event:
        self._page.add("connects")
        return await self._link.connect()

    async def _shake_hands(self) -> Event:
        try:
            self._early = await self._link.socket.shake_hands()
        except HandshakeRefused as refusal:
            _log.warning("no handshake: %s: %s", refusal, self._gateway.shown(refusal.words))
            return Event.LOST
        except VenueError as error:
            self._page.add("refused_frames", isinstance(error, FrameRefused))
            _log.warning("no handshake: %s", error)
            return Event.LOST
        return Event.DONE

    async def _subscribe(self) -> Event:
        self._probes.reconnect()
        self._lost = Reason.DISCONNECTED
        try:
            await self._subscriptions.open(self._link.socket)
        except VenueError as error:
            _log.warning("the connection was lost while subscribing: %s", error)
            return Event.LOST
        return Event.DONE

    async def _stream_on(self) -> Event:
        self._on_streaming()
        receiving = self._stream.receive(self._link.socket, self._early)
        try:
            why = await self._link.hold(receiving, self._watch(), self._probes.ask())
        finally:
            self._stream.flush()
        _log.warning("the feed was lost: %s", why)
        return Event.LOST

    async def _watch(self) -> str:
        """Pings, silence, resyncs, the token's end. Returns why the connection has to end."""
        try:
            while not (why := await self._link.poll(self._stream.flush)):
                if self._gateway.must_renew:
                    return "its token is about to end"
                self._roster.configure()
                if why := await self._resync():
                    return why
        except VenueError as error:
            return str(error)
        return why

    async def _resync(self) -> str:
        """Subscribe again what has to be. Returns the reason when only a new connection can help."""
        freeze = self._probes.listen(self._subscriptions.lanes)
        if freeze is not None and freeze.key is None:
            self._lost = Reason.SILENCE
            return f"it is frozen: {freeze.why}"
        frozen = freeze.key if freeze else None
        ended = await self._subscriptions.resync(self._link.pulse.own_ns, frozen, self._probes.vouches)
        if ended is None:
            return ""
        self._lost = ended.reason
        return ended.why

    # ── instruments that come, go and roll while all others stream; one call at a time ────────────────────────

    @property
    def contracts(self) -> Mapping[Lane, Contract]:
        """What each instrument is at the venue, as far as that is known."""
        return self._roster.contracts

    async def add(self, lane: Lane, contract: Contract) -> None:
        """Feed one more instrument, from the next subscription on: of it alone if the socket streams."""
        self._roster.add(lane)
        self._roster.introduce(lane, contract)
        self._roster.configure()
        await self._subscriptions.enter(lane, self._roster.begin(lane))

    async def remove(self, lane: Lane) -> None:
        """Feed an instrument no more; when this returns its ring says so, and nothing is put into it any more."""
        await self._subscriptions.leave(lane)
        self._roster.remove(lane)

    async def roll(self, lane: Lane, contract: Contract) -> None:
        """Go on with another contract: the old one's messages end, then its own configuration, a gap, and data."""
        await self._subscriptions.leave(lane)
        self._probes.forget(lane)
        self._roster.roll(lane, contract)
        await self._subscriptions.enter(lane)
