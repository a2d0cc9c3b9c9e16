"""The subscriptions of a market feed: made with a connection, made again for one instrument alone, and taken back.

The order that books depend on: a gap record goes into a ring *before* the subscriptions that bring its new snapshot
are sent. So a worker never takes messages of two subscriptions for one stream.

Messages that belong together are sent in one go: whoever sends holds the lock. So an instrument that comes, goes or
rolls while a new connection is being subscribed waits until that is done.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from shm import layout
from shm.layout import Reason

from ..config import FeedSettings
from ..http import VenueError
from ..page import Page
from ..router import Lane
from . import projectx, resync
from .hub import HubSocket
from .projectx import KINDS, Control, ControlMessage
from .resync import Action, Limits, Seen, Watched
from .roster import Roster

FAREWELL_S: Final = 1.0  # how long the venue has to say that a subscription was taken back
_DEPTH: Final = "MarketDepth"
_MS: Final = 1_000_000
# Which of the things that make a book useless it was is in the worker's word to its readers only, not in ours.
_WANTED: Final = "its worker cannot go on with the book it has (its events say why)"

_log = logging.getLogger(__name__)


class Ended(NamedTuple):
    """Why only a new connection can help, and what the books are told of it."""

    why: str
    reason: Reason = Reason.DISCONNECTED


class Subscriptions:
    """`open` them on a new connection, `lose` them with it; in between instruments `enter` and `leave`."""

    def __init__(self, settings: FeedSettings, roster: Roster, page: Page, shown: Callable[[object], str]) -> None:
        """`shown` makes the venue's own text fit for the log."""
        self._timeout_ns = settings.resync_timeout_ms * _MS
        self._roster = roster
        self._page = page
        self._shown = shown
        self._socket: HubSocket | None = None  # while it streams
        self._sending = asyncio.Lock()
        self._watched: dict[Lane, Watched] = {}
        self._asked: dict[str, Lane] = {}  # by invocation id; at most one a lane
        self._farewells: dict[str, asyncio.Event] = {}  # by invocation id: subscriptions that are being taken back
        self._failed: set[Lane] = set()
        self._invocations = 0

    @property
    def lanes(self) -> Collection[Lane]:
        """Those that are subscribed, and not about to leave."""
        return self._watched.keys()

    async def open(self, socket: HubSocket) -> None:
        """Subscribe all. Raises VenueError."""
        async with self._sending:
            self._asked.clear()
            self._failed.clear()
            self._watched.clear()
            lanes = self._roster.lanes
            for lane in lanes:
                # What the worker wished for up to here, the new connection's snapshot fulfils.
                self._watch(lane)
                lane.stop_awaiting()
                lane.say(self._roster.begin(lane))
            for lane in lanes:
                await self._subscribe(socket, lane)
            self._socket = socket

    def lose(self) -> None:
        """The connection is gone: nobody answers on it any more."""
        self._socket = None
        for farewell in self._farewells.values():
            farewell.set()

    async def enter(self, lane: Lane, *reasons: Reason) -> None:
        """Subscribe a lane on the connection that streams; if there is none, the next one is for it as for all."""
        async with self._sending:
            if self._socket is None or lane in self._watched:
                return
            lane.say(*reasons)
            self._watch(lane)
            try:
                await self._subscribe(self._socket, lane)
            except VenueError as error:
                _log.warning("%s could not be subscribed: %s", lane.settings.symbol, error)

    async def leave(self, lane: Lane) -> None:
        """Take back a lane's subscriptions; what the venue sent before it said so has gone down the lane then."""
        farewell = asyncio.Event()
        invocation_id = ""
        try:
            async with self._sending:
                self._watched.pop(lane, None)
                self._failed.discard(lane)
                self._forget_asked(lane)
                lane.stop_awaiting()
                if self._socket is None or lane not in self._roster.contracts:
                    return
                invocation_id = self._next_id()
                self._farewells[invocation_id] = farewell
                await self._unsubscribe(self._socket, lane, invocation_id)
            async with asyncio.timeout(FAREWELL_S):
                await farewell.wait()
        except (TimeoutError, VenueError):
            _log.warning("%s: the venue did not say that its subscriptions were taken back", lane.settings.symbol)
        finally:
            self._farewells.pop(invocation_id, None)

    def take(self, said: ControlMessage) -> str:
        """What the hub says of a subscription, or of the connection. Returns why that has to end, if it has to."""
        if farewell := self._farewells.get(said.invocation_id):
            farewell.set()
        if said.control is Control.CLOSE:
            return f"the market hub said goodbye {self._shown(said.error)}".rstrip()
        if said.control is Control.COMPLETION:
            lane = self._asked.pop(said.invocation_id, None)
            if lane is not None and said.error:
                _log.warning("%s: subscription refused: %s", lane.settings.symbol, self._shown(said.error))
                self._failed.add(lane)
        return ""

    async def resync(self, own_ns: int, frozen: Lane | None, vouches: Callable[[Lane], bool]) -> Ended | None:
        """Subscribe again what has to be; something when only a new connection can help. Raises VenueError.

        `own_ns`: of the pulse. `frozen`: whose stream was found frozen just now.
        """
        for lane in list(self._watched):
            if lane not in self._watched:  # it has begun to leave meanwhile
                continue
            seen = Seen(
                lane.ring.resync_wanted,
                lane.ring.delivered,
                lane.answered,
                lane in self._failed,
                frozen=frozen is lane,
                vouched=vouches(lane),
            )
            limits = Limits(self._timeout_ns, lane.settings.max_silence_ms * _MS)
            decision = resync.decide(self._watched[lane], limits, own_ns, seen)
            self._watched[lane] = decision.watched
            symbol = lane.settings.symbol
            if decision.action is Action.RECONNECT and decision.reason is Reason.SILENCE:
                return Ended(f"{symbol} froze again after it was subscribed again", Reason.SILENCE)
            if decision.action is Action.RECONNECT:
                return Ended(f"{symbol} got no snapshot after it was subscribed again")
            if decision.action is Action.RESUBSCRIBE:
                why = _WANTED if decision.reason is Reason.RESYNC else layout.REASON_TEXT[decision.reason]
                _log.info("%s is subscribed again: %s", symbol, why)
                await self._resubscribe(lane, decision.reason)
        return None

    async def _resubscribe(self, lane: Lane, reason: Reason) -> None:
        async with self._sending:
            if self._socket is None or lane not in self._watched:
                return
            self._page.add("resubscribes")
            lane.say(*dict.fromkeys((reason, Reason.RESYNC)))
            lane.await_snapshot(projectx.is_snapshot)
            self._forget_asked(lane)
            self._asked[invocation_id := self._next_id()] = lane
            contract_id = self._roster.contracts[lane].contract_id
            # Depth alone brings the snapshot; of a silent instrument all streams may be frozen, trades too.
            for kind in KINDS if reason is Reason.SILENCE else (_DEPTH,):
                await self._socket.send(projectx.unsubscription(kind, contract_id))
                asked = invocation_id if kind == _DEPTH else ""
                await self._socket.send(projectx.subscription(kind, contract_id, invocation_id=asked))

    async def _subscribe(self, socket: HubSocket, lane: Lane) -> None:
        contract_id = self._roster.contracts[lane].contract_id
        for kind in KINDS:
            await socket.send(projectx.subscription(kind, contract_id))

    async def _unsubscribe(self, socket: HubSocket, lane: Lane, invocation_id: str) -> None:
        """Of all kinds; the answer to the last one has the id."""
        contract_id = self._roster.contracts[lane].contract_id
        *others, last = KINDS
        for kind in others:
            await socket.send(projectx.unsubscription(kind, contract_id))
        await socket.send(projectx.unsubscription(last, contract_id, invocation_id=invocation_id))

    def _watch(self, lane: Lane) -> None:
        self._watched[lane] = Watched(wanted=lane.ring.resync_wanted, messages=lane.ring.delivered)

    def _forget_asked(self, lane: Lane) -> None:
        self._asked = {key: other for key, other in self._asked.items() if other is not lane}

    def _next_id(self) -> str:
        self._invocations += 1
        return str(self._invocations)
