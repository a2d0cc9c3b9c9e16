"""Runs a ProjectX market feed: each state of session.py is one coroutine here that ends in an event.

The order that books depend on: a gap record goes into every ring the moment the connection is lost, and again
*before* the subscriptions that bring the new snapshots are sent (subscriptions.py). So a worker never takes messages
of two connections for one stream.

Who succeeds an engine that was killed finds rings that are not fresh. What the venue refuses then it feeds no more,
and goes on with the others; at a first start a refusal is a wrong setting, and ends it with its sentence.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from shm.layout import Reason

from ..config import FeedSettings
from ..http import HttpPool, Unauthorised, VenueError, VenueRefusal
from ..page import Page
from ..router import Lane, Router
from . import projectx
from .gateway import Contract, Gateway
from .hub import FrameRefused, HandshakeRefused, HubSocket
from .probes import Probes
from .pulse import POLL_S, Beat, Pulse
from .roster import Roster
from .session import Event, State, advance, backoff_ns
from .stream import Stream
from .subscriptions import Subscriptions

FORGIVEN_AFTER_NS: Final = 10_000_000_000  # a stream that lasted so long ends the row of failures
_MS: Final = 1_000_000
_HUB: Final = "the market hub"

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
        self._settings = settings
        self._hub_url = hub_url
        self._pool = pool
        self._gateway = gateway
        self._page = page
        self._now_ns = now_ns
        self._on_streaming = on_streaming
        self._on_refused = on_refused
        self.state = State.OFFLINE
        self._steps = {
            State.LOGGING_IN: self._log_in,
            State.CONNECTING: self._connect,
            State.HANDSHAKING: self._shake_hands,
            State.SUBSCRIBING: self._subscribe,
            State.STREAMING: self._stream_on,
            State.BACKING_OFF: self._back_off,
        }
        self._refusal: VenueRefusal | None = None
        self._succeeds = False  # an engine that fed these rings
        self._pulse = Pulse(settings.socket_silence_ms, settings.ping_interval_ms)
        self._roster = Roster(lanes, router)
        self._subscriptions = Subscriptions(settings, self._roster, page, gateway.shown)
        self._probes = Probes(settings, gateway, self._roster, page, self._pulse, on_silent)
        self._stream = Stream(router, page, self._subscriptions.take)
        self._socket: HubSocket | None = None
        self._early: Sequence[bytes] = ()
        self._renewals = 0  # of the gateway's tokens, when the socket was opened
        self._failures = 0
        self._streaming_since_ns = 0
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
            await self._drop_socket()
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
        try:
            token = await self._gateway.token()
            self._renewals = self._gateway.renewals
            self._socket = await HubSocket.open(
                self._pool,
                self._hub_url,
                token,
                self._settings,
                _HUB,
                projectx.MAX_RECORD_BYTES,
                deflate=self._settings.deflate,
            )
        except VenueError as error:
            if isinstance(error, Unauthorised):
                self._gateway.forget_token()
            _log.warning("no connection: %s", error)
            return Event.LOST
        return Event.DONE

    async def _shake_hands(self) -> Event:
        try:
            self._early = await self._connected.shake_hands()
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
            await self._subscriptions.open(self._connected)
        except VenueError as error:
            _log.warning("the connection was lost while subscribing: %s", error)
            return Event.LOST
        return Event.DONE

    async def _stream_on(self) -> Event:
        self._streaming_since_ns = self._now_ns()
        self._on_streaming()
        works = (self._stream.receive(self._connected, self._early), self._watch(), self._probes.ask())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._stream.flush()
        _log.warning("the feed was lost: %s", "; ".join(str(task.result()) for task in done))
        return Event.LOST

    async def _back_off(self) -> Event:
        await self._drop_socket()
        if self._streaming_since_ns and self._now_ns() - self._streaming_since_ns >= FORGIVEN_AFTER_NS:
            self._failures = 0
        self._streaming_since_ns = 0
        first_ns, max_ns = self._settings.backoff_first_ms * _MS, self._settings.backoff_max_ms * _MS
        pause_ns = backoff_ns(self._failures, random.random(), first_ns, max_ns)
        self._failures += 1
        await asyncio.sleep(pause_ns / 1e9)
        return Event.DONE

    async def _watch(self) -> str:
        """Pings, silence, resyncs, the token's end. Returns why the connection has to end."""
        self._pulse.connect(self._now_ns())
        try:
            while True:
                await asyncio.sleep(POLL_S)
                beat = self._pulse.poll(self._now_ns(), heard=self._stream.flush())
                if beat is Beat.SILENT:
                    return f"no byte came for {self._settings.socket_silence_ms} ms"
                if beat is Beat.PING:
                    await self._connected.send(projectx.PING)
                if self._gateway.must_renew:
                    return "its token is about to end"
                if self._gateway.renewals != self._renewals:  # somebody who asks over REST has renewed it
                    return "its token is an old one"
                self._roster.configure()
                if why := await self._resync():
                    return why
        except VenueError as error:
            return str(error)

    async def _resync(self) -> str:
        """Subscribe again what has to be. Returns the reason when only a new connection can help."""
        freeze = self._probes.listen(self._subscriptions.lanes)
        if freeze is not None and freeze.key is None:
            self._lost = Reason.SILENCE
            return f"it is frozen: {freeze.why}"
        frozen = freeze.key if freeze else None
        ended = await self._subscriptions.resync(self._pulse.own_ns, frozen, self._probes.vouches)
        if ended is None:
            return ""
        self._lost = ended.reason
        return ended.why

    @property
    def _connected(self) -> HubSocket:
        if self._socket is None:
            raise RuntimeError("the feed has no socket in this state")
        return self._socket

    async def _drop_socket(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

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
