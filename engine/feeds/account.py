"""Runs the account view: a socket of its own to the user hub, and whole answers over REST. It only ever reads.

The order that loses nothing: all four subscriptions are made and confirmed, then the venue is asked for the whole
state, and what the hub says from the moment of asking is kept and applied to the answer. What it said before that
moment the answer holds already; a fill is taken at once all the same, because fills are only ever added. The table
is called live when the answer and all that was kept are in it, and not a moment sooner.

It is asked again, with a growing pause, after an event that could not be read and after a pause of this process. A
quiet hub is no silence: an account without an order has no events for hours. But the server pings each 15 s, so a
socket without any byte for twice that is dropped, or for `socket_silence_ms` if that is longer; market data may well
have a limit of its own below 15 s.

The market data shares this process, so nothing here may take it long: rows are read a few at a time, and a hub that
sends more than an account can is disconnected. Names and numbers of accounts are private: none is logged.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from shm.account_rows import AccountWriter
from shm.layout import ACCOUNT, Reason, State

from ..clock import LATE_NS, TICK_NS
from ..config import FeedSettings
from ..http import HttpPool, VenueError, VenueRefusal, said
from . import userhub
from .gateway import Gateway
from .ledger import Ledger, Snapshot, contracts_of
from .link import FORGIVEN_AFTER_NS, Hub, Link
from .projectx import Control, ControlMessage
from .session import Event, advance
from .session import State as Life
from .userhub import FillRow, OrderRow, Owned, PositionRow, Row, Standing, Unreadable

LEAST_SILENCE_MS: Final = 30_000
PUBLISH_EVERY_NS: Final = 20_000_000  # at most so often while events come; the first is published at once
MAX_FRAME_BYTES: Final = 1 << 20  # what the official client takes
MAX_MESSAGES_A_SECOND: Final = 2000  # an account may send 200 requests a minute
MAX_PENDING: Final = 10_000
MAX_CONTRACTS: Final = 64  # whose tick is asked for
MAX_NAMES_SHOWN: Final = 10
ROWS_AT_ONCE: Final = 64
_HUB: Final = "the user hub"
_COUNTS: Final = ("connects", "syncs", "events", "refused", "ignored")

assert set(_COUNTS) <= set(ACCOUNT.names or ())

_log = logging.getLogger(__name__)


class AccountFeed:
    """The life of one view. `run` it; cancel that to stop it."""

    def __init__(
        self,
        settings: FeedSettings,
        hub_url: str,
        account_name: str,
        pool: HttpPool,
        gateway: Gateway,
        writer: AccountWriter,
        now_ns: Callable[[], int],
        wall_ns: Callable[[], int],
    ) -> None:
        """`account_name`: empty for the first active one. `now_ns` is CLOCK_BOOTTIME, `wall_ns` CLOCK_REALTIME."""
        self._settings = settings
        silence_ms = max(settings.socket_silence_ms, LEAST_SILENCE_MS)
        hub = Hub(_HUB, hub_url, MAX_FRAME_BYTES, silence_ms, deflate=False)
        self._link = Link(hub, settings, pool, gateway, now_ns)
        self._account_name = account_name
        self._gateway = gateway
        self._writer = writer
        self._now_ns = now_ns
        self._wall_ns = wall_ns
        self.life = Life.OFFLINE
        self._steps = {
            Life.LOGGING_IN: self._log_in,
            Life.CONNECTING: self._connect,
            Life.HANDSHAKING: self._shake_hands,
            Life.SUBSCRIBING: self._subscribe,
            Life.STREAMING: self._stream,
            Life.BACKING_OFF: self._link.back_off,
        }
        self._refusal: VenueRefusal | None = None
        before = writer.newest()
        self._ledger = Ledger() if before is None else Ledger.of(before)
        self._is_known = self._ledger.standing is not None
        self._said = {name: 0 if before is None else int(before.account[name]) for name in _COUNTS}
        self._said["synced_ns"] = 0
        self._state = State.SYNCING
        self._reason = Reason.STARTING
        self._cause = Reason.STARTING if before is None else Reason.ENGINE_RESTART  # of the next synchronisation
        self._published_ns = 0
        self._publishing: asyncio.TimerHandle | None = None
        self._ticks: dict[bytes, int] = {}
        self._early: Sequence[bytes] = ()
        self._heard = False  # any byte, since the last poll
        self._messages = 0  # in the second that began at _second_ns
        self._second_ns = 0
        self._awaited: set[str] = set()  # completions
        self._pending: list[Row] | None = None  # what came since the venue was asked; None while nothing is asked
        self._work = asyncio.Event()
        self._must_ask = False

    async def run(self) -> None:
        """Live until cancelled. Raises VenueRefusal for an account name that the venue does not have."""
        self._say(State.SYNCING, self._cause)
        ticking = asyncio.create_task(self._keep_time())
        try:
            self._go(Event.START)
            while self.life is not Life.CLOSED:
                self._go(await self._steps[self.life]())
        finally:
            ticking.cancel()
            if self.life is not Life.CLOSED:
                self._go(Event.STOP)
            self._say(State.CLOSED, Reason.CLOSED)
            await self._link.close()
        if self._refusal is not None:
            raise self._refusal

    def _go(self, event: Event) -> None:
        before, self.life = self.life, advance(self.life, event)
        if event is Event.LOST and before in (Life.SUBSCRIBING, Life.STREAMING):
            self._cause = Reason.RECONNECTED
            self._say(State.STALE, Reason.SILENCE if self._link.is_silent else Reason.DISCONNECTED)
        _log.debug("account: %s, %s, %s", before.name, event.name, self.life.name)

    # ── the steps of the life ─────────────────────────────────────────────────────────────────────────────

    async def _log_in(self) -> Event:
        try:
            await self._gateway.token()
            standing = await self._chosen()
        except VenueRefusal as refusal:
            # A wrong name is told at the first start. Later it is an account that was closed, or a key that was taken
            # back: no reason to end the market data with it.
            if isinstance(refusal, UnknownAccount) and not self._is_known:
                self._refusal = refusal
                return Event.DENIED
            _log.warning("no account is viewed: the venue refuses it now")
            return Event.LOST
        except (VenueError, Unreadable) as error:
            _log.warning("no account is viewed: %s", error)
            return Event.LOST
        if self._ledger.standing is not None and self._ledger.standing.account_id != standing.account_id:
            self._ledger = Ledger()
        self._ledger.standing = standing
        self._is_known = True
        return Event.DONE

    async def _connect(self) -> Event:
        self._said["connects"] += 1
        self._second_ns, self._messages = self._now_ns(), 0
        return await self._link.connect()

    async def _shake_hands(self) -> Event:
        try:
            self._early = await self._link.socket.shake_hands()
        except VenueError as error:
            _log.warning("no handshake: %s", error)
            return Event.LOST
        return Event.DONE

    async def _subscribe(self) -> Event:
        self._pending = None
        self._say(State.SYNCING, self._cause)
        calls = userhub.subscriptions(self._account_id)
        self._awaited = set(calls)
        try:
            for call in calls.values():
                await self._link.socket.send(call)
            await self._take_all(self._early)
            async with asyncio.timeout(self._settings.handshake_timeout_ms / 1000):
                while self._awaited:
                    await self._take_all(await self._link.socket.receive())
        except (VenueError, TimeoutError) as error:
            _log.warning("not subscribed: %s", str(error) or f"{_HUB} confirmed nothing in time")
            return Event.LOST
        return Event.DONE

    async def _stream(self) -> Event:
        self._ask_again(self._cause)
        why = await self._link.hold(self._receive(), self._watch(), self._reconcile())
        _log.warning("the account view was lost: %s", why)
        return Event.LOST

    # ── what runs while it streams; each returns why the connection has to end ────────────────────────────

    async def _receive(self) -> str:
        try:
            while True:
                await self._take_all(await self._link.socket.receive())
        except VenueError as error:
            return str(error)

    async def _watch(self) -> str:
        """Pings, silence, the token's end; it is the market feed that renews it."""
        why = ""
        try:
            while not why:
                why = await self._link.poll(self._was_heard)
        except VenueError as error:
            why = str(error)
        return why

    def _was_heard(self) -> bool:
        heard, self._heard = self._heard, False
        return heard

    async def _reconcile(self) -> str:
        """Ask for the whole state whenever that is wanted, and for the ticks of contracts that are new. Never ends."""
        asked, asked_ns = 0, self._now_ns()
        while True:
            await self._work.wait()
            self._work.clear()
            if self._must_ask:
                if self._now_ns() - asked_ns >= FORGIVEN_AFTER_NS:
                    asked = 0
                if asked:
                    await asyncio.sleep(self._link.pause_s(asked - 1))
                asked += 1
                self._must_ask = False
                await self._ask()
                asked_ns = self._now_ns()
            await self._learn_ticks(contracts_of(self._ledger.orders.values(), self._ledger.fills.values()))

    # ── the whole state ───────────────────────────────────────────────────────────────────────────────────

    def _ask_again(self, reason: Reason) -> None:
        """The table may be wrong from here on: it says so, and the venue is asked."""
        self._say(State.SYNCING, reason)
        self._must_ask = True
        self._work.set()

    async def _ask(self) -> None:
        """Ask once, and go live if all of it could be read and nothing came in between that could not."""
        self._pending = []
        try:
            snapshot = await self._snapshot()
            await self._learn_ticks(contracts_of(snapshot.orders, snapshot.fills))
        except Unreadable as error:
            self._said["refused"] += 1
            _log.warning("the account could not be read: %s", error)
            self._ask_again(Reason.REFUSED)
        except VenueError as error:
            _log.warning("the account could not be asked for: %s", error)
            self._ask_again(self._reason)
        else:
            self._ledger.replace(snapshot)
            for row in self._pending:
                self._apply(row)
            self._said["syncs"] += 1
            self._said["synced_ns"] = self._now_ns()
            if not self._must_ask:
                self._say(State.LIVE, Reason.NONE)
        self._pending = None

    async def _snapshot(self) -> Snapshot:
        """All four answers. Raises VenueError, Unreadable."""
        account: dict[str, object] = {"accountId": self._account_id}
        since = account | {"startTimestamp": userhub.session_start(self._wall_ns() / 1e9)}
        accounts, orders, positions, fills = await asyncio.gather(
            self._gateway.rows("/Account/search", {"onlyActiveAccounts": True}, "accounts"),
            self._gateway.rows("/Order/searchOpen", account, "orders"),
            self._gateway.rows("/Position/searchOpen", account, "positions"),
            self._gateway.rows("/Trade/search", since, "trades"),
        )
        ours = [row for row in await self._read(accounts, userhub.read_standing) if isinstance(row, Standing)]
        if not ours:
            raise VenueError("it is not among the active ones")
        return Snapshot(
            ours[0],
            tuple(row for row in await self._read(orders, userhub.read_order) if isinstance(row, OrderRow)),
            tuple(row for row in await self._read(positions, userhub.read_position) if isinstance(row, PositionRow)),
            tuple(row for row in await self._read(fills, userhub.read_fill) if isinstance(row, FillRow)),
        )

    async def _read(self, rows: list[Any], reader: Callable[[Mapping[str, Any]], Row]) -> list[Row]:
        """Rows of an answer, those of other accounts left out, the loop's other tasks let in between."""
        found = []
        for number, value in enumerate(rows):
            if number % ROWS_AT_ONCE == ROWS_AT_ONCE - 1:
                await asyncio.sleep(0)
            owned = userhub.owned(value, reader)
            if owned.account_id == self._account_id:
                found.append(owned.row)
        return found

    async def _chosen(self) -> Standing:
        """The account to view. Raises UnknownAccount, and VenueError if the venue has none that is active."""
        rows = await self._gateway.rows("/Account/search", {"onlyActiveAccounts": True}, "accounts")
        owned = [userhub.owned(row, userhub.read_standing).row for row in rows]
        found = [row for row in owned if isinstance(row, Standing)]
        if not found:
            raise VenueError("the venue has no active account of this user")
        wanted = said(self._account_name).encode()[: userhub.NAME_BYTES]
        for standing in found:
            if not wanted or standing.name.lower() == wanted.lower():
                return standing
        raise UnknownAccount(self._account_name, [standing.name.decode(errors="replace") for standing in found])

    async def _learn_ticks(self, contracts: set[bytes]) -> None:
        """Ask for the tick of each contract that is new, one after the other, and publish what that makes known."""
        for contract in sorted(contracts - self._ticks.keys()):
            if len(self._ticks) >= MAX_CONTRACTS:
                return
            self._ticks[contract] = 0
            try:
                self._ticks[contract] = await self._gateway.tick_e9(contract.decode())
            except VenueError:
                continue  # its prices have no ticks
            self._touch()

    # ── what the hub says ─────────────────────────────────────────────────────────────────────────────────

    async def _take_all(self, messages: Sequence[bytes]) -> None:
        """Raises VenueError when the connection has to end."""
        self._heard = True
        for number, message in enumerate(messages):
            if number % ROWS_AT_ONCE == ROWS_AT_ONCE - 1:
                await asyncio.sleep(0)
            self._meter()
            try:
                heard = userhub.read(message)
            except Unreadable as error:
                self._refuse(str(error))
                continue
            if heard.control is None:
                for owned in heard.rows:
                    self._take(owned)
                if heard.refused:
                    self._refuse("rows of an event", heard.refused)
            elif heard.control.control is Control.CLOSE:
                raise VenueError(f"{_HUB} said goodbye {self._gateway.shown(heard.control.error)}".rstrip())
            elif heard.control.control is Control.COMPLETION:
                self._confirm(heard.control)
            elif heard.control.control is Control.OTHER:
                self._said["ignored"] += 1

    def _confirm(self, completion: ControlMessage) -> None:
        """Raises VenueError for a subscription that is refused."""
        if completion.invocation_id not in self._awaited:
            self._said["ignored"] += 1
            return
        if completion.error:
            raise VenueError(f"{_HUB} refuses: {self._gateway.shown(completion.error)}")
        self._awaited.discard(completion.invocation_id)

    def _meter(self) -> None:
        """Raises VenueError for a hub that sends more than an account can."""
        now_ns = self._now_ns()
        if now_ns - self._second_ns >= 1_000_000_000:
            self._second_ns, self._messages = now_ns, 0
        self._messages += 1
        if self._messages > MAX_MESSAGES_A_SECOND:
            raise VenueError(f"{_HUB} sent more than {MAX_MESSAGES_A_SECOND} messages in a second")

    def _take(self, owned: Owned) -> None:
        """A row of an event. Until the venue is asked, all but a fill is left to its answer."""
        if owned.account_id != self._account_id:
            self._said["ignored"] += 1
            return
        self._said["events"] += 1
        if self._pending is not None and not isinstance(owned.row, FillRow):
            if len(self._pending) >= MAX_PENDING:
                raise VenueError(f"{_HUB} sent more than {MAX_PENDING} rows while the account was asked for")
            self._pending.append(owned.row)
        elif self._state is State.LIVE or isinstance(owned.row, FillRow):
            self._apply(owned.row)
            self._touch()

    def _apply(self, row: Row) -> None:
        if not self._ledger.apply(row):
            self._said["ignored"] += 1
        elif isinstance(row, OrderRow | FillRow) and row.contract not in self._ticks:
            self._work.set()

    def _refuse(self, what: str, count: int = 1) -> None:
        """What could not be read may have been a change: the table is not to be trusted before the venue was asked."""
        self._said["refused"] += count
        _log.debug("refused: %s", what)
        if self.life is Life.STREAMING:
            self._ask_again(Reason.REFUSED)

    # ── what readers see ──────────────────────────────────────────────────────────────────────────────────

    async def _keep_time(self) -> None:
        """Each 100 ms the sign of life. After a pause of this process the table is asked for anew, and says so first:
        what the hub sent meanwhile is still in the socket."""
        due_ns = self._now_ns() + TICK_NS
        while True:
            now_ns = self._now_ns()
            if now_ns - due_ns >= LATE_NS and self.life is Life.STREAMING:
                self._ask_again(Reason.ENGINE_PAUSED)
            due_ns = now_ns + TICK_NS
            self._writer.stamp(now_ns)
            await asyncio.sleep(TICK_NS / 1e9)

    def _say(self, state: State, reason: Reason) -> None:
        """Publish now, with this state."""
        if (state, reason) != (self._state, self._reason) or "since_ns" not in self._said:
            self._state, self._reason = state, reason
            self._said |= {"since_ns": self._now_ns(), "since_wall_ns": self._wall_ns()}
        self._publish()

    def _touch(self) -> None:
        """Publish soon: at once, unless that was done just now."""
        if self._publishing is None:
            wait_ns = self._published_ns + PUBLISH_EVERY_NS - self._now_ns()
            self._publishing = asyncio.get_running_loop().call_later(max(wait_ns, 0) / 1e9, self._publish)

    def _publish(self) -> None:
        if self._publishing is not None:
            self._publishing.cancel()
            self._publishing = None
        self._published_ns = self._now_ns()
        holdings = self._ledger.holdings(self._ticks, state=self._state, reason=self._reason, **self._said)
        self._writer.publish(holdings, self._published_ns)

    @property
    def _account_id(self) -> int:
        if self._ledger.standing is None:
            raise RuntimeError("the account is not known in this state")
        return self._ledger.standing.account_id


class UnknownAccount(VenueRefusal):
    """The settings name an account that is not there; the message has the names that are."""

    def __init__(self, wanted: str, names: Sequence[str]) -> None:
        more = ", …" if len(names) > MAX_NAMES_SHOWN else ""
        shown = ", ".join(names[:MAX_NAMES_SHOWN])
        super().__init__(
            f"the venue has no active account {wanted!r}: there are {shown}{more}: correct venue.account_name"
        )
