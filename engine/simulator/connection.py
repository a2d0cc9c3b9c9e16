"""One client of a hub: the socket around hub.py, and what the sender writes to.

The sender's frames and the hub's own go to the transport directly, whole frames always, so the two and aiohttp's
answers to websocket pings never mix. Nobody here waits for a slow client: how far it is behind is what lies in the
transport's buffer, and the sender cuts it off.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from aiohttp import WSMsgType, web

from .channel import Channel
from .flow import Kind
from .hub import PING, Change, Hub, Reply, closing
from .listing import Listing
from .sender import Sender
from .truth import LOG_ROWS
from .valves import Valve
from .wire import BINARY, Wire, frame

MAX_MESSAGE_BYTES = 64 << 10
HANDSHAKE_S = 15.0
PING_S = 15.0  # of our own silence
SILENT_S = 30.0  # of the client's
GOODBYE_S = 5.0  # how long a client has to answer a websocket close
MAX_WITHHELD = LOG_ROWS // 2  # records of a frozen stream that can still be sent: the log has them
_WATCH_S = 0.5

log = logging.getLogger("simulator")

Action = TypeVar("Action")


@dataclass(frozen=True, slots=True)
class Ending:
    """How the server ends a connection: with a close record or none, which says what is given, and then with a
    websocket close of that code, or with nothing but the end of the TCP connection."""

    record: bool = True
    error: str | None = None
    allow_reconnect: bool | None = None
    code: int | None = 1000

    @classmethod
    def read(cls, given: dict[str, Any]) -> "Ending":
        """Of a JSON object with these keys, each of which may be missing. Raises ValueError."""
        types = {"record": bool, "error": str | None, "allow_reconnect": bool | None, "code": int | None}
        for key, value in given.items():
            if key not in types:
                raise ValueError(f"the keys are {', '.join(types)}")
            if not isinstance(value, types[key]):
                raise ValueError(f"{key} is of another type than it must be")
        ending = cls(**given)
        if ending.code is not None and not 1000 <= ending.code <= 4999:
            raise ValueError("websocket codes are 1000 to 4999")
        return ending


EXPIRED = Ending(allow_reconnect=True)  # undocumented; what ASP.NET does when it is told to look at expiry


@dataclass(frozen=True, slots=True)
class Terms:
    """What hub connections of a venue share. deflate: agree to permessage-deflate. open: those that are open."""

    deflate: bool
    open: "set[Connection]" = field(default_factory=set)


@dataclass(slots=True)
class Frozen:
    """The stream of a contract that one client does not get for now. wanted: as in Connection. since: by Kind, the
    first log row that was withheld; a kind without one was subscribed to meanwhile, and is owed its state."""

    wanted: int
    since: dict[Kind, int]


class Connection:
    """A client, as the sender sees it. `wanted`: symbol → bits 1 << Kind of what it is sent; of a contract that is
    in `frozen` that is nothing."""

    def __init__(self, transport: asyncio.Transport, socket: web.WebSocketResponse) -> None:
        self.wanted: dict[str, int] = {}
        self.frozen: dict[str, Frozen] = {}
        self.asked: Counter[tuple[str, Kind]] = Counter()  # subscriptions since none was there: 2 is one too many
        self.heard_s = self.spoke_s = time.monotonic()
        self.goodbye: asyncio.Task[bool] | None = None
        self._transport = transport
        self._socket = socket
        self._valve: Valve | None = None
        self._write: Callable[[bytes], None] = transport.write
        agreed = socket.headers.get("Sec-WebSocket-Extensions", "")
        self._wire = Wire(int(socket.compress), "server_no_context_takeover" not in agreed)

    def write(self, frames: bytes) -> None:
        """Hand whole text frames of JSON records to the socket, as this client wants them. After the end nothing is."""
        if self.goodbye is None:
            self._put(self._wire.encode(frames))

    def say(self, reply: Reply) -> None:
        """Write one of the hub's own texts, if it has any."""
        if reply.turns_binary:
            self._put(self._wire.seal(reply.text.encode(), BINARY))
            self._wire.binary = True
        elif reply.text:
            self.write(frame(reply.text.encode()))

    def _put(self, encoded: bytes) -> None:
        if not self._transport.is_closing():
            self._write(encoded)
            self.spoke_s = time.monotonic()

    def set_valve(self, make: Callable[[asyncio.Transport], Valve] | None) -> None:
        """Put a valve of this make before the socket, in place of the one that is there; None for none."""
        if self._valve is not None:
            self._valve.open()
        self._valve = make(self._transport) if make else None
        self._write = self._valve.write if self._valve else self._transport.write

    def subscribed(self) -> dict[str, dict[str, int]]:
        """By symbol and kind, how often the client has subscribed without taking it back in between."""
        found: dict[str, dict[str, int]] = {}
        for (symbol, kind), count in self.asked.items():
            found.setdefault(symbol, {})[kind.name.lower()] = count
        return found

    def behind_bytes(self) -> int:
        """Bytes handed over that the client has not taken."""
        return self._transport.get_write_buffer_size() + (self._valve.held_bytes if self._valve else 0)

    def cut_off(self, why: str) -> None:
        """End the connection without a word: the client would not read it."""
        log.warning("a client was cut off: %s", why)
        self._transport.abort()

    def finish(self, ending: Ending) -> None:
        """End the connection as told; the second time nothing happens."""
        if self.goodbye is not None:
            return
        if ending.record:
            self.say(closing(ending.error, ending.allow_reconnect))
        if ending.code is None:
            self._transport.close()
        else:
            self.goodbye = asyncio.create_task(self._socket.close(code=ending.code))


async def serve_hub(
    request: web.Request,
    terms: Terms,
    expires_s: float,
    receive: Callable[[str | bytes], Sequence[Reply | Action]],
    act: Callable[[Connection, Action], None],
    leave: Callable[[Connection], None],
) -> web.WebSocketResponse:
    """Serve one client until it goes, is dropped, or its token expires at `expires_s`, seconds of the epoch.

    receive: what a hub wants done about a message. act: does what is no Reply. leave: called once, at the end.
    """
    socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, compress=terms.deflate, timeout=GOODBYE_S)
    await socket.prepare(request)
    transport = request.transport
    if transport is None:
        return socket  # it has gone already
    connection = Connection(transport, socket)
    terms.open.add(connection)
    watch = asyncio.create_task(_watch(connection, expires_s))
    try:
        limit_s: float | None = HANDSHAKE_S
        goes_on = True
        while goes_on:
            message = await socket.receive(limit_s)
            limit_s = None
            connection.heard_s = time.monotonic()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            for action in receive(message.data):
                if isinstance(action, Reply):
                    connection.say(action)
                    goes_on = not action.closes
                else:
                    act(connection, action)
    except TimeoutError:
        log.info("a client made no handshake in %d s", HANDSHAKE_S)
    finally:
        watch.cancel()
        terms.open.discard(connection)
        leave(connection)
    if connection.goodbye is not None:
        await connection.goodbye
    elif not transport.is_closing():
        await socket.close()
    return socket


async def serve_market_hub(
    request: web.Request, terms: Terms, expires_s: float, sender: Sender, listing: Listing
) -> web.WebSocketResponse:
    """Serve one client of the market hub."""

    def act(connection: Connection, change: Change) -> None:
        symbol = listing.trading.get(change.contract_id)
        if symbol is not None:  # else it has expired: nothing is ever sent of it
            _change(change, connection, sender, symbol)
        connection.say(Reply(change.completion))

    receive = Hub(listing.subscribable).receive
    return await serve_hub(request, terms, expires_s, receive, act, lambda connection: _leave(connection, sender))


def _change(change: Change, connection: Connection, sender: Sender, symbol: str) -> None:
    """Subscribe or unsubscribe; a subscription begins with the state as last sent, also when it is repeated."""
    channel, kind, frozen = sender.channels[symbol], change.kind, connection.frozen.get(symbol)
    before = connection.wanted.get(symbol, 0) if frozen is None else frozen.wanted
    after = before | 1 << kind if change.subscribes else before & ~(1 << kind)
    sender.clients.add(connection)
    if change.subscribes:
        connection.asked[symbol, kind] += 1
    else:
        del connection.asked[symbol, kind]
    if before ^ after == 1 << Kind.TRADES:
        channel.count_trade_clients(1 if change.subscribes else -1)
        if change.subscribes:
            connection.write(channel.repeated(time.time_ns()))
    if frozen is not None:
        frozen.wanted = after
        if kind is not Kind.TRADES or not change.subscribes:
            frozen.since.pop(kind, None)
        elif before != after:
            frozen.since[kind] = channel.log.count
        return
    connection.wanted[symbol] = after
    if change.subscribes:
        _send_state(connection, channel, kind)
    sender.start_flows(connection)


def _send_state(connection: Connection, channel: Channel, kind: Kind) -> None:
    if kind is Kind.DEPTH:
        connection.write(channel.snapshot(time.time_ns()))
    elif kind is Kind.QUOTE:
        connection.write(channel.quote(time.time_ns()))


def freeze_stream(connection: Connection, channel: Channel) -> None:
    """Send this client nothing of a contract any more; its subscriptions stay, and are not answered with a state."""
    symbol = channel.contract.symbol
    if symbol not in connection.frozen:
        wanted = connection.wanted.pop(symbol, 0)
        since = {kind: channel.log.count for kind in Kind if wanted & 1 << kind}
        connection.frozen[symbol] = Frozen(wanted, since)


def thaw_stream(connection: Connection, channel: Channel) -> None:
    """Go on: first, late, with what was withheld. Who was frozen for too long to have it all is cut off."""
    frozen = connection.frozen.pop(channel.contract.symbol, None)
    if frozen is None:
        return
    connection.wanted[channel.contract.symbol] = frozen.wanted
    end, starts = channel.log.count, sorted(set(frozen.since.values()))
    if starts and end - starts[0] > MAX_WITHHELD:
        connection.cut_off(f"more than {MAX_WITHHELD} records were withheld from it")
        return
    for first, last in pairwise([*starts, end]):
        wanted = sum(1 << kind for kind, row in frozen.since.items() if row <= first)
        connection.write(channel.copied(first, last, wanted))
    for kind in Kind:
        if frozen.wanted & 1 << kind and kind not in frozen.since:
            _send_state(connection, channel, kind)


def drop_subscriptions(connection: Connection, sender: Sender, symbol: str) -> None:
    """End all subscriptions of a client to one contract."""
    frozen = connection.frozen.pop(symbol, None)
    wanted = connection.wanted.pop(symbol, 0) | (frozen.wanted if frozen else 0)
    for kind in Kind:
        del connection.asked[symbol, kind]
    if wanted & 1 << Kind.TRADES:
        sender.channels[symbol].count_trade_clients(-1)


def _leave(connection: Connection, sender: Sender) -> None:
    sender.clients.discard(connection)
    for symbol in [*connection.wanted, *connection.frozen]:
        drop_subscriptions(connection, sender, symbol)


async def _watch(connection: Connection, expires_s: float) -> None:
    """Ping after our own silence, drop the client after its, and end with its token."""
    while True:
        await asyncio.sleep(_WATCH_S)
        now_s = time.monotonic()
        if now_s - connection.heard_s > SILENT_S:
            connection.cut_off(f"silent for {SILENT_S:.0f} s")
            return
        if time.time() >= expires_s:
            connection.finish(EXPIRED)
            return
        if now_s - connection.spoke_s > PING_S - _WATCH_S:
            connection.write(frame(PING.encode()))
