"""Runs a ProjectX feed on a websocket: each state of session.py is one coroutine here that ends in an event.

The order that books depend on: a gap record goes into every ring *before* the subscriptions that bring the new
snapshots are sent, and again the moment the connection is lost. So a worker never takes messages of two connections,
or of two subscriptions, for one stream.

Nothing that is logged or raised here holds an address with its query: the token is in it. aiohttp's own handshake
error does, so it is replaced `from None`.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import aiohttp
import numpy as np
from aiohttp import ClientWebSocketResponse, WSMsgType

from shm import layout
from shm.layout import Reason

from ..config import FeedSettings
from ..fan import TAKEN
from ..http import HttpPool, VenueError, VenueRefusal
from ..page import Page
from ..router import Lane, Router
from . import projectx, resync
from .gateway import PRICE_SCALE, Contract, Gateway
from .projectx import Control, ProtocolError
from .resync import Action, Limits, Seen, Watched
from .session import Event, State, advance, backoff_ns
from .silence import Freeze, Heard, Look, Silence

POLL_S: Final = 0.02
MAX_STEP_NS: Final = 100_000_000  # what one poll counts for at most: time in which we were stopped is nobody's silence
CLOSE_TIMEOUT_S: Final = 1.0
DEFLATE_BITS: Final = 15  # the largest window there is: what every server takes
FAREWELL_S: Final = 1.0  # how long the venue has to say that a subscription was taken back
PROBE_TIMEOUT_S: Final = 2.0  # an answer about a silence is of no use later
FORGIVEN_AFTER_NS: Final = 10_000_000_000  # a stream that lasted so long ends the row of failures
_MS: Final = 1_000_000

_log = logging.getLogger(__name__)

Socket = ClientWebSocketResponse[bool]


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
    ) -> None:
        """`now_ns` is CLOCK_BOOTTIME; `on_streaming` is called whenever all is subscribed."""
        self._settings = settings
        self._hub_url = hub_url
        self._pool = pool
        self._gateway = gateway
        self._router = router
        self._lanes = list(lanes)  # replaced when one comes or goes, never changed: others may be on their way over it
        self._page = page
        self._now_ns = now_ns
        self._on_streaming = on_streaming
        self.state = State.OFFLINE
        self._steps = {
            State.LOGGING_IN: self._log_in,
            State.CONNECTING: self._connect,
            State.HANDSHAKING: self._shake_hands,
            State.SUBSCRIBING: self._subscribe,
            State.STREAMING: self._stream,
            State.BACKING_OFF: self._back_off,
        }
        self._refusal: VenueRefusal | None = None
        self._contracts: dict[Lane, Contract] = {}
        self._unconfigured: list[Lane] = []
        self._restarted = {lane: not lane.ring.fresh for lane in lanes}
        self._socket: Socket | None = None
        self._splitter = projectx.Splitter()
        self._early: Sequence[bytes] = ()
        self._failures = 0
        self._streaming_since_ns = 0
        self._own_ns = 0
        self._watched: dict[Lane, Watched] = {}
        self._silence: Silence[Lane] = Silence(settings.probe_after_ms * _MS)
        self._looks: asyncio.Queue[Look[Lane]] = asyncio.Queue()  # at most one, see Silence.poll
        self._lost = Reason.DISCONNECTED  # what the books are told when the connection is lost
        self._asked: dict[str, Lane] = {}  # by invocation id; at most one a lane
        self._invocations = 0
        self._farewells: dict[str, asyncio.Event] = {}  # by invocation id: subscriptions that are being taken back
        self._sending = asyncio.Lock()  # messages that belong together; of two tasks' one after the other
        self._failed: set[Lane] = set()
        self._frames = 0  # since the last flush, of those the router did not take; as the next three
        self._messages = 0
        self._bytes = 0
        self._unrouted = 0

    async def run(self) -> None:
        """Live until cancelled. Raises VenueRefusal when the venue will never let us in."""
        for lane in self._lanes:
            if self._restarted[lane]:
                lane.say(Reason.ENGINE_RESTART)
        try:
            self._go(Event.START)
            while self.state is not State.CLOSED:
                self._go(await self._steps[self.state]())
        finally:
            if self.state is not State.CLOSED:
                self._go(Event.STOP)
            for lane in self._lanes:
                lane.say(Reason.CLOSED)
            await self._drop_socket()
        if self._refusal is not None:
            raise self._refusal

    def _go(self, event: Event) -> None:
        before, self.state = self.state, advance(self.state, event)
        if event is Event.LOST and before in (State.SUBSCRIBING, State.STREAMING):
            for lane in self._lanes:
                lane.say(self._lost)
            for farewell in self._farewells.values():
                farewell.set()
        self._page.set("feed_state", self.state)
        _log.debug("feed: %s, %s, %s", before.name, event.name, self.state.name)

    async def _log_in(self) -> Event:
        try:
            await self._gateway.token()
            if unresolved := [lane for lane in self._lanes if lane not in self._contracts]:
                await self._resolve(unresolved)
        except VenueRefusal as refusal:
            self._refusal = refusal
            return Event.DENIED
        except VenueError as error:
            _log.warning("no login: %s", error)
            return Event.LOST
        return Event.DONE

    async def _resolve(self, lanes: Sequence[Lane]) -> None:
        _log.info("%d active accounts", await self._gateway.accounts())
        found = await asyncio.gather(*(self._gateway.contract(lane.settings) for lane in lanes))
        for lane, contract in zip(lanes, found, strict=True):
            if lane in self._lanes:  # it may have been removed meanwhile
                self._introduce(lane, contract)
        self._configure()

    def _introduce(self, lane: Lane, contract: Contract) -> None:
        self._contracts[lane] = contract
        self._router.add(lane, _keys(contract))
        self._unconfigured.append(lane)
        _log.info("%s is %s (%s)", lane.settings.symbol, contract.contract_id, contract.name)

    def _configure(self) -> None:
        """Give each ring its instrument's contract and increments; one that is full gets them at a later poll."""
        self._unconfigured = [lane for lane in self._unconfigured if not lane.ring.configure(self._config(lane))]

    def _config(self, lane: Lane) -> bytes:
        return config_record(self._contracts[lane], lane.settings.max_venue_lag_ms * _MS)

    async def _connect(self) -> Event:
        self._page.add("connects")
        try:
            self._socket = await self._open(await self._gateway.token())
        except VenueError as error:
            _log.warning("no connection: %s", error)
            return Event.LOST
        return Event.DONE

    async def _open(self, token: str) -> Socket:
        """The websocket. Raises VenueError, without the address that aiohttp's errors hold."""
        try:
            async with asyncio.timeout(self._settings.connect_timeout_ms / 1000):
                return await self._pool.session.ws_connect(
                    self._hub_url,
                    params={"access_token": token},
                    decode_text=False,
                    compress=DEFLATE_BITS if self._settings.deflate else 0,
                    max_msg_size=projectx.MAX_RECORD_BYTES,
                    autoping=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 401:
                self._gateway.forget_token()
            raise VenueError(f"the market hub answered with status {error.status}") from None
        except TimeoutError:
            raise VenueError("the market hub did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise VenueError(f"the market hub cannot be reached ({type(error).__name__})") from None

    async def _shake_hands(self) -> Event:
        self._splitter = projectx.Splitter()
        self._early = ()
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_ms / 1000):
                await self._send(projectx.HANDSHAKE)
                while not self._early:
                    kind, data, _ = await self._connected.receive()
                    if kind not in (WSMsgType.TEXT, WSMsgType.BINARY):
                        self._page.add("refused_frames", kind is WSMsgType.ERROR)
                        _log.warning("no handshake: the market hub closed the connection")
                        return Event.LOST
                    self._early = self._splitter.split(data)
        except ProtocolError as error:
            self._page.add("refused_frames")
            _log.warning("no handshake: %s", error)
            return Event.LOST
        except (TimeoutError, OSError) as error:
            _log.warning("no handshake: %s", str(error) or "no answer in time")
            return Event.LOST
        answer, *self._early = self._early
        if error_text := projectx.handshake_error(answer):
            _log.warning("no handshake: %s", self._gateway.shown(error_text))
            return Event.LOST
        return Event.DONE

    async def _subscribe(self) -> Event:
        self._asked.clear()
        self._failed.clear()
        self._silence.reconnect()
        self._looks = asyncio.Queue()
        self._lost = Reason.DISCONNECTED
        for lane in self._lanes:
            # What the worker wished for up to here, the new connection's snapshot fulfils.
            self._watched[lane] = Watched(wanted=lane.ring.resync_wanted, messages=lane.ring.delivered)
            lane.stop_awaiting()
            lane.say(Reason.RECONNECTED if self._restarted[lane] else Reason.STARTING)
            self._restarted[lane] = True
        try:
            for lane in self._lanes:
                for kind in projectx.KINDS:
                    await self._send(projectx.subscription(kind, self._contracts[lane].contract_id))
        except (TimeoutError, OSError):
            _log.warning("the connection was lost while subscribing")
            return Event.LOST
        return Event.DONE

    async def _stream(self) -> Event:
        self._streaming_since_ns = self._now_ns()
        self._on_streaming()
        tasks = [asyncio.create_task(step()) for step in (self._receive, self._watch, self._probe)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._flush_counts()
        _log.warning("the feed was lost: %s", "; ".join(task.result() for task in done))
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

    async def _receive(self) -> str:
        """The hot loop: websocket frames to rings. Returns why the connection is of no more use.

        The router's `take` is written out here in its two halves: the first is compiled, and enough for most frames.
        """
        receive, splitter = self._connected.receive, self._splitter
        fan, follow = self._router.fan, self._router.follow
        text, binary = WSMsgType.TEXT, WSMsgType.BINARY
        try:
            if why := self._take_each(self._early):
                return why
            in_record = splitter.holds_piece
            while True:
                kind, frame, _ = await receive()
                if kind is text or kind is binary:
                    if not in_record and ((said := fan(frame)) == TAKEN or follow(said, frame)):
                        continue
                    self._frames += 1
                    self._bytes += len(frame)
                    messages = splitter.split(frame)
                    in_record = splitter.holds_piece
                    if why := self._take_each(messages):
                        return why
                elif kind is WSMsgType.PING:
                    self._frames += 1
                    await self._connected.pong(frame)
                elif kind is WSMsgType.ERROR:  # too long, also while it inflates, or against the protocol
                    self._page.add("refused_frames")
                    return f"a websocket frame was refused ({self._connected.close_code})"
                elif kind is not WSMsgType.PONG:
                    return f"the socket was closed ({self._connected.close_code})"
        except ProtocolError as error:
            self._page.add("refused_frames")
            return str(error)
        except OSError as error:
            return type(error).__name__

    def _take_each(self, messages: Sequence[bytes]) -> str:
        """Messages of a frame that the router did not take. Returns why the connection has to end, if it has to."""
        self._messages += len(messages)
        for message in messages:
            if not self._router.route(message) and (why := self._take_other(message)):
                return why
        return ""

    def _take_other(self, message: bytes) -> str:
        """A message that does not begin in the usual way. Returns why the connection has to end, if it has to."""
        contract = projectx.contract_of(message)
        if contract is not None and self._router.route(message, contract):
            return ""
        control, invocation_id, error = projectx.control_of(message)
        if farewell := self._farewells.get(invocation_id):
            farewell.set()
        if control is Control.CLOSE:
            return f"the market hub said goodbye {self._gateway.shown(error)}".rstrip()
        if control is Control.COMPLETION:
            lane = self._asked.pop(invocation_id, None)
            if lane is not None and error:
                _log.warning("%s: subscription refused: %s", lane.settings.symbol, self._gateway.shown(error))
                self._failed.add(lane)
        elif control is Control.OTHER:
            self._unrouted += 1
        return ""

    async def _watch(self) -> str:
        """Pings, silence, resyncs, the token's end. Returns why the connection has to end.

        Times are measured in our own polls: a pause of this process is nobody else's silence.
        """
        silence_ns = self._settings.socket_silence_ms * _MS
        ping_ns = self._settings.ping_interval_ms * _MS
        heard_ns = pinged_ns = self._own_ns
        polled_ns = self._now_ns()
        try:
            while True:
                await asyncio.sleep(POLL_S)
                now_ns = self._now_ns()
                self._own_ns += min(now_ns - polled_ns, MAX_STEP_NS)
                polled_ns = now_ns
                if self._flush_counts():
                    heard_ns = self._own_ns
                if self._own_ns - heard_ns >= silence_ns:
                    return f"no byte came for {self._settings.socket_silence_ms} ms"
                if self._own_ns - pinged_ns >= ping_ns:
                    pinged_ns = self._own_ns
                    await self._send(projectx.PING)
                if self._gateway.must_renew:
                    return "its token is about to end"
                if self._unconfigured:
                    self._configure()
                if why := await self._resync():
                    return why
        except (TimeoutError, OSError) as error:
            return f"nothing can be sent ({type(error).__name__})"

    async def _probe(self) -> str:
        """Ask REST about silent instruments, one at a time, for as long as the connection lasts."""
        while True:
            look = await self._looks.get()
            symbol, contract = look.key.settings.symbol, self._contracts.get(look.key)
            if contract is None:  # it was removed meanwhile
                self._silence.answer(look, self._own_ns, None)
                continue
            self._page.add("probes")
            bar = None
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    bar = await self._gateway.newest_bar(contract.contract_id)
            except TimeoutError:
                _log.info("%s is silent, and REST does not answer", symbol)
            except VenueError as error:
                _log.info("%s is silent, and REST cannot say why: %s", symbol, error)
            self._silence.answer(look, self._own_ns, bar)

    def _listen(self) -> Freeze[Lane] | None:
        """Compare each instrument's silence with the others', and have REST asked; what is frozen, if anything is."""
        heard = {
            lane: Heard(lane.ring.delivered, lane.settings.max_silence_ms * _MS, lane.settings.max_venue_lag_ms * _MS)
            for lane in self._lanes
            if lane in self._watched  # else it is about to leave, or has just come
        }
        step = self._silence.poll(self._own_ns, time.time(), heard)
        if isinstance(step, Look):
            self._looks.put_nowait(step)
            return None
        if step is not None:
            self._page.add("freezes")
        return step

    async def _resync(self) -> str:
        """Subscribe again what has to be. Returns the reason when only a new connection can help."""
        freeze = self._listen()
        if freeze is not None and freeze.key is None:
            self._lost = Reason.SILENCE
            return f"it is frozen: {freeze.why}"
        timeout_ns = self._settings.resync_timeout_ms * _MS
        for lane in self._lanes:
            if lane not in self._watched:  # it is about to leave, or has just come
                continue
            limits = Limits(timeout_ns, lane.settings.max_silence_ms * _MS)
            seen = Seen(
                lane.ring.resync_wanted,
                lane.ring.delivered,
                lane.answered,
                lane in self._failed,
                frozen=freeze is not None and freeze.key is lane,
                vouched=self._silence.vouches(lane),
            )
            decision = resync.decide(self._watched[lane], limits, self._own_ns, seen)
            self._watched[lane] = decision.watched
            if decision.action is Action.RECONNECT:
                if decision.reason is Reason.SILENCE:
                    self._lost = Reason.SILENCE
                    return f"{lane.settings.symbol} froze again after it was subscribed again"
                return f"{lane.settings.symbol} got no snapshot after it was subscribed again"
            if decision.action is Action.RESUBSCRIBE:
                _log.info("%s is subscribed again: %s", lane.settings.symbol, layout.REASON_TEXT[decision.reason])
                await self._resubscribe(lane, decision.reason)
        return ""

    async def _resubscribe(self, lane: Lane, reason: Reason) -> None:
        self._page.add("resubscribes")
        lane.say(*dict.fromkeys((reason, Reason.RESYNC)))
        lane.await_snapshot(projectx.is_snapshot)
        self._asked = {key: other for key, other in self._asked.items() if other is not lane}
        self._invocations += 1
        invocation_id = str(self._invocations)
        self._asked[invocation_id] = lane
        contract_id = self._contracts[lane].contract_id
        # Depth alone brings the snapshot; of a silent instrument all streams may be frozen, trades too.
        async with self._sending:
            for kind in projectx.KINDS if reason is Reason.SILENCE else ("MarketDepth",):
                await self._send(projectx.unsubscription(kind, contract_id))
                asked = invocation_id if kind == "MarketDepth" else ""
                await self._send(projectx.subscription(kind, contract_id, invocation_id=asked))

    # ── instruments that come, go and roll while all others stream; one call at a time ────────────────────────

    @property
    def contracts(self) -> Mapping[Lane, Contract]:
        """What each instrument is at the venue, as far as that is known."""
        return self._contracts

    async def add(self, lane: Lane, contract: Contract) -> None:
        """Feed one more instrument, from the next subscription on: of it alone if the socket streams."""
        self._lanes = [*self._lanes, lane]
        self._restarted[lane] = not lane.ring.fresh
        self._introduce(lane, contract)
        self._configure()
        await self._enter(lane, Reason.RECONNECTED if self._restarted[lane] else Reason.STARTING)
        self._restarted[lane] = True

    async def remove(self, lane: Lane) -> None:
        """Feed an instrument no more; when this returns its ring says so, and nothing is put into it any more."""
        await self._take_leave(lane)
        self._lanes = [each for each in self._lanes if each is not lane]
        self._unconfigured = [each for each in self._unconfigured if each is not lane]
        del self._restarted[lane]
        if self._contracts.pop(lane, None):
            self._router.remove(lane)
        lane.say(Reason.CLOSED)

    async def roll(self, lane: Lane, contract: Contract) -> None:
        """Go on with another contract: the old one's messages end, then a gap, then the new one's contract and data."""
        await self._take_leave(lane)
        _log.info(
            "%s rolls from %s to %s", lane.settings.symbol, self._contracts[lane].contract_id, contract.contract_id
        )
        self._contracts[lane] = contract
        self._router.rename(lane, _keys(contract))
        lane.say(Reason.ROLL)
        self._unconfigured = [*(each for each in self._unconfigured if each is not lane), lane]
        self._configure()
        await self._enter(lane)

    async def _take_leave(self, lane: Lane) -> None:
        """Take back a lane's subscriptions; what the venue sent before it said so has gone down the lane then."""
        while self.state is State.SUBSCRIBING:
            await asyncio.sleep(POLL_S)
        self._watched.pop(lane, None)
        self._asked = {key: other for key, other in self._asked.items() if other is not lane}
        self._failed.discard(lane)
        lane.stop_awaiting()
        if self.state is not State.STREAMING or lane not in self._contracts:
            return
        self._invocations += 1
        invocation_id = str(self._invocations)
        self._farewells[invocation_id] = farewell = asyncio.Event()
        *others, last = projectx.KINDS
        contract_id = self._contracts[lane].contract_id
        try:
            async with self._sending:
                for kind in others:
                    await self._send(projectx.unsubscription(kind, contract_id))
                await self._send(projectx.unsubscription(last, contract_id, invocation_id=invocation_id))
            async with asyncio.timeout(FAREWELL_S):
                await farewell.wait()
        except (TimeoutError, OSError):
            _log.warning("%s: the venue did not say that its subscriptions were taken back", lane.settings.symbol)
        finally:
            del self._farewells[invocation_id]

    async def _enter(self, lane: Lane, *reasons: Reason) -> None:
        """Subscribe a lane on the socket that streams; if there is none, the next one is for it as for all others."""
        while self.state is State.SUBSCRIBING:
            await asyncio.sleep(POLL_S)
        if self.state is not State.STREAMING or lane in self._watched:
            return
        lane.say(*reasons)
        self._watched[lane] = Watched(wanted=lane.ring.resync_wanted, messages=lane.ring.delivered)
        try:
            async with self._sending:
                for kind in projectx.KINDS:
                    await self._send(projectx.subscription(kind, self._contracts[lane].contract_id))
        except (TimeoutError, OSError):
            _log.warning("%s could not be subscribed: the connection is being lost", lane.settings.symbol)

    @property
    def _connected(self) -> Socket:
        if self._socket is None:
            raise RuntimeError("the feed has no socket in this state")
        return self._socket

    async def _send(self, message: bytes) -> None:
        """Send a hub message. Raises OSError when the socket is closing, TimeoutError when it takes nothing."""
        async with asyncio.timeout(self._settings.handshake_timeout_ms / 1000):
            await self._connected.send_frame(message, WSMsgType.TEXT)

    async def _drop_socket(self) -> None:
        """Close it. aiohttp's own limit is for each message that comes before the venue's goodbye: ours is for all."""
        socket, self._socket = self._socket, None
        if socket is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await socket.close()

    def _flush_counts(self) -> bool:
        """Bring the counters to the page, at each poll and not at each frame; whether any frame has come."""
        taken, taken_bytes = self._router.taken()
        frames = self._frames + taken
        self._page.add("frames", frames)
        self._page.add("messages", self._messages + taken)
        self._page.add("bytes", self._bytes + taken_bytes)
        self._page.add("unrouted", self._unrouted)
        self._frames = self._messages = self._bytes = self._unrouted = 0
        return frames > 0


def _keys(contract: Contract) -> list[bytes]:
    """What the router finds a contract's messages by."""
    return [*projectx.heads(contract.contract_id), contract.contract_id.encode()]


def config_record(contract: Contract, max_venue_lag_ns: int) -> bytes:
    """The bytes of a layout.CONFIG row: futures are counted in whole contracts, so sizes have no decimals."""
    row = np.zeros((), layout.CONFIG)
    row["contract"] = contract.contract_id.encode()
    row["price_scale"] = PRICE_SCALE
    row["price_increment"] = contract.price_increment
    row["size_scale"] = 0
    row["size_increment"] = 1
    row["source"] = layout.Source.VENUE
    row["max_venue_lag_ns"] = max_venue_lag_ns
    return row.tobytes()
