"""A websocket to a hub, from its opening to its end: every failure becomes a VenueError without an address in it.

The token is in the query of the address, and aiohttp's own errors hold that: they are replaced `from None`.
"""

import asyncio
from collections.abc import Sequence

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from ..config import FeedSettings
from ..http import HttpPool, Unauthorised, VenueError
from .projectx import HANDSHAKE, ProtocolError, Splitter, handshake_error

CLOSE_TIMEOUT_S = 1.0


class HubSocket:
    """An open connection. `open` it, shake hands, then `send` and `receive`."""

    def __init__(self, socket: ClientWebSocketResponse[bool], settings: FeedSettings, name: str) -> None:
        self._socket = socket
        self._settings = settings
        self._name = name
        self._splitter = Splitter()

    @classmethod
    async def open(
        cls, pool: HttpPool, url: str, token: str, settings: FeedSettings, name: str, max_frame_bytes: int
    ) -> "HubSocket":
        """`name` is what errors call the hub. Raises VenueError, Unauthorised if the token is not taken."""
        try:
            async with asyncio.timeout(settings.connect_timeout_ms / 1000):
                socket = await pool.session.ws_connect(
                    url,
                    params={"access_token": token},
                    decode_text=False,
                    compress=0,
                    max_msg_size=max_frame_bytes,
                    autoping=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
                )
        except aiohttp.WSServerHandshakeError as error:
            kind = Unauthorised if error.status == 401 else VenueError
            raise kind(f"{name} answered with status {error.status}") from None
        except TimeoutError:
            raise VenueError(f"{name} did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise VenueError(f"{name} cannot be reached ({type(error).__name__})") from None
        return cls(socket, settings, name)

    async def shake_hands(self) -> Sequence[bytes]:
        """Agree on the protocol; the messages that came with the answer. Raises VenueError.

        The venue's own words for a refusal are left out: nobody has looked for secrets in them.
        """
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_ms / 1000):
                await self.send(HANDSHAKE)
                messages: Sequence[bytes] = ()
                while not messages:
                    messages = await self.receive()
        except TimeoutError:
            raise VenueError(f"{self._name} did not shake hands in time") from None
        answer, *early = messages
        if handshake_error(answer):
            raise VenueError(f"{self._name} refuses the handshake")
        return early

    async def receive(self) -> Sequence[bytes]:
        """The hub messages that the next frame completes, none for one that only says that somebody lives.

        Raises VenueError when the connection is of no more use.
        """
        try:
            kind, data, _ = await self._socket.receive()
            if kind in (WSMsgType.TEXT, WSMsgType.BINARY):
                return self._splitter.split(data)
            if kind is WSMsgType.PING:
                await self._socket.pong(data)
        except ProtocolError as error:
            raise VenueError(f"{self._name} sent {error}") from None
        except OSError as error:
            raise VenueError(f"{self._name} was lost ({type(error).__name__})") from None
        if kind not in (WSMsgType.PING, WSMsgType.PONG):
            raise VenueError(f"{self._name} closed the connection ({self._socket.close_code})")
        return ()

    async def send(self, message: bytes) -> None:
        """Send a hub message. Raises VenueError when the socket is closing or takes nothing."""
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_ms / 1000):
                await self._socket.send_frame(message, WSMsgType.TEXT)
        except (TimeoutError, OSError) as error:
            raise VenueError(f"{self._name} takes nothing more ({type(error).__name__})") from None

    async def close(self) -> None:
        """End it; returns within CLOSE_TIMEOUT_S or so."""
        await self._socket.close()
