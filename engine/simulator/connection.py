"""One client of the market hub: the socket around hub.py, and what the sender writes to.

The sender's frames and the hub's own go to the transport directly, whole frames always, so the two and aiohttp's
answers to websocket pings never mix. Nobody here waits for a slow client: how far it is behind is what lies in the
transport's buffer, and the sender cuts it off.
"""

import asyncio
import logging
import time

from aiohttp import WSMessage, WSMsgType, web

from .flow import Kind
from .hub import PING, Change, Hub, Reply
from .sender import Sender

MAX_MESSAGE_BYTES = 64 << 10
HANDSHAKE_S = 15.0
PING_S = 15.0  # of our own silence
SILENT_S = 30.0  # of the client's
_WATCH_S = 0.5

log = logging.getLogger("simulator")


def text_frame(text: str) -> bytes:
    """A whole unmasked server frame."""
    data = text.encode()
    if len(data) < 126:
        return bytes((0x81, len(data))) + data
    return b"\x81\x7e" + len(data).to_bytes(2, "big") + data


class Connection:
    """A client, as the sender sees it. `wanted`: symbol → bits 1 << Kind of what it is subscribed to."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.wanted: dict[str, int] = {}
        self.heard_s = self.spoke_s = time.monotonic()
        self._transport = transport

    def write(self, frames: bytes) -> None:
        """Hand whole frames to the socket."""
        if not self._transport.is_closing():
            self._transport.write(frames)
            self.spoke_s = time.monotonic()

    def behind_bytes(self) -> int:
        """Bytes handed over that the client has not taken."""
        return self._transport.get_write_buffer_size()

    def cut_off(self, why: str) -> None:
        """End the connection without a word: the client would not read it."""
        log.warning("a client was cut off: %s", why)
        self._transport.abort()


async def serve_market_hub(
    request: web.Request, hub: Hub, sender: Sender, symbols: dict[str, str]
) -> web.WebSocketResponse:
    """Serve one client until it goes or is dropped. symbols: contract id → symbol."""
    socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, compress=False)
    await socket.prepare(request)
    transport = request.transport
    if transport is None:
        return socket  # it has gone already
    connection = Connection(transport)
    watch = asyncio.create_task(_watch(connection))
    try:
        first = True
        while True:
            message = await socket.receive(HANDSHAKE_S if first else None)
            first = False
            connection.heard_s = time.monotonic()
            text = _text_of(message)
            if text is None or not _act(hub.receive(text), connection, sender, symbols):
                break
    except TimeoutError:
        log.info("a client made no handshake in %d s", HANDSHAKE_S)
    finally:
        watch.cancel()
        _leave(connection, sender)
    if not transport.is_closing():
        await socket.close()
    return socket


def _text_of(message: WSMessage) -> str | None:
    """The text of a data message; None for the end, and for what is no text."""
    if message.type is WSMsgType.TEXT:
        return str(message.data)
    if message.type is WSMsgType.BINARY:
        try:
            return bytes(message.data).decode()
        except UnicodeDecodeError:
            return None
    return None


def _act(actions: list[Reply | Change], connection: Connection, sender: Sender, symbols: dict[str, str]) -> bool:
    """Do what the hub decided. Returns whether the connection goes on."""
    for action in actions:
        if isinstance(action, Change):
            _change(action, connection, sender, symbols[action.contract_id])
            reply = Reply(action.completion)
        else:
            reply = action
        if reply.text:
            connection.write(text_frame(reply.text))
        if reply.closes:
            return False
    return True


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


async def _watch(connection: Connection) -> None:
    """Ping after our own silence, drop the client after its."""
    while True:
        await asyncio.sleep(_WATCH_S)
        now_s = time.monotonic()
        if now_s - connection.heard_s > SILENT_S:
            connection.cut_off(f"silent for {SILENT_S:.0f} s")
            return
        if now_s - connection.spoke_s > PING_S - _WATCH_S:
            connection.write(text_frame(PING))
