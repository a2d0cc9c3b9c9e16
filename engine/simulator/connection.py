"""One client of a hub: the socket around hub.py, and what the sender writes to.

The sender's frames and the hub's own go to the transport directly, whole frames always, so the two and aiohttp's
answers to websocket pings never mix. Nobody here waits for a slow client: how far it is behind is what lies in the
transport's buffer, and the sender cuts it off.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import WSMsgType, web

from .flow import Kind
from .hub import PING, Change, Hub, Reply, closing
from .sender import Sender
from .wire import BINARY, Wire, frame

MAX_MESSAGE_BYTES = 64 << 10
HANDSHAKE_S = 15.0
PING_S = 15.0  # of our own silence
SILENT_S = 30.0  # of the client's
GOODBYE_S = 5.0  # how long a client has to answer a websocket close
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
            if key not in types or not isinstance(value, types[key]):
                raise ValueError(f"an ending has no {key} of this type")
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


class Connection:
    """A client, as the sender sees it. `wanted`: symbol → bits 1 << Kind of what it is subscribed to."""

    def __init__(self, transport: asyncio.Transport, socket: web.WebSocketResponse) -> None:
        self.wanted: dict[str, int] = {}
        self.heard_s = self.spoke_s = time.monotonic()
        self.goodbye: asyncio.Task[bool] | None = None
        self._transport = transport
        self._socket = socket
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
            self._transport.write(encoded)
            self.spoke_s = time.monotonic()

    def behind_bytes(self) -> int:
        """Bytes handed over that the client has not taken."""
        return self._transport.get_write_buffer_size()

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
    request: web.Request, terms: Terms, expires_s: float, sender: Sender, symbols: dict[str, str]
) -> web.WebSocketResponse:
    """Serve one client of the market hub. symbols: contract id → symbol."""

    def act(connection: Connection, change: Change) -> None:
        _change(change, connection, sender, symbols[change.contract_id])
        connection.say(Reply(change.completion))

    receive = Hub(frozenset(symbols)).receive
    return await serve_hub(request, terms, expires_s, receive, act, lambda connection: _leave(connection, sender))


def _change(change: Change, connection: Connection, sender: Sender, symbol: str) -> None:
    """Subscribe or unsubscribe; a subscription begins with the state as last sent, also when it is repeated."""
    channel = sender.channels[symbol]
    before = connection.wanted.get(symbol, 0)
    after = before | 1 << change.kind if change.subscribes else before & ~(1 << change.kind)
    connection.wanted[symbol] = after
    sender.clients.add(connection)
    if before ^ after == 1 << Kind.TRADES:
        channel.count_trade_clients(1 if change.subscribes else -1)
    if change.subscribes and change.kind == Kind.DEPTH:
        connection.write(channel.snapshot(time.time_ns()))
    if change.subscribes and change.kind == Kind.QUOTE:
        connection.write(channel.quote(time.time_ns()))
    sender.start_flows(connection)


def _leave(connection: Connection, sender: Sender) -> None:
    sender.clients.discard(connection)
    for symbol, wanted in connection.wanted.items():
        if wanted & 1 << Kind.TRADES:
            sender.channels[symbol].count_trade_clients(-1)


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
