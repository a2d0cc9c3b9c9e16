"""A websocket to a hub, from its opening to its end: every failure becomes a VenueError without an address in it.

The token is in the query of the address, and aiohttp's own errors hold that: they are replaced `from None`. The
market feed reads frames by itself (`receive_frame`): a call more for each of them would be felt.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from ..config import FeedSettings
from ..http import HttpPool, Unauthorised, VenueError
from .projectx import HANDSHAKE, ProtocolError, Splitter, handshake_error

CLOSE_TIMEOUT_S: Final = 1.0
DEFLATE_BITS: Final = 15  # the largest window there is: what every server takes


class FrameRefused(VenueError):
    """A frame that is too long, also only when inflated, or against a protocol: the connection is of no more use."""


class HandshakeRefused(VenueError):
    """The hub does not take the protocol. `words` are its own: nobody has looked for secrets in them."""

    def __init__(self, message: str, words: str) -> None:
        super().__init__(message)
        self.words = words


class HubSocket:
    """An open connection. `open` it, shake hands, then `send` and `receive`."""

    def __init__(self, socket: ClientWebSocketResponse[bool], settings: FeedSettings, name: str) -> None:
        self._socket = socket
        self._settings = settings
        self._name = name
        self._splitter = Splitter()
        self.receive_frame = socket.receive  # aiohttp's own; what is no message of ours is for `answer`

    @classmethod
    async def open(
        cls,
        pool: HttpPool,
        url: str,
        token: str,
        settings: FeedSettings,
        name: str,
        max_frame_bytes: int,
        *,
        deflate: bool = False,
    ) -> "HubSocket":
        """`name` is what errors call the hub. Raises VenueError, Unauthorised if the token is not taken."""
        try:
            async with asyncio.timeout(settings.connect_timeout_ms / 1000):
                socket = await pool.session.ws_connect(
                    url,
                    params={"access_token": token},
                    decode_text=False,
                    compress=DEFLATE_BITS if deflate else 0,
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
        """Agree on the protocol; the messages that came with the answer. Raises VenueError, FrameRefused, and
        HandshakeRefused."""
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_ms / 1000):
                await self.send(HANDSHAKE)
                messages: Sequence[bytes] = ()
                while not messages:
                    messages = await self.receive()
        except TimeoutError:
            raise VenueError(f"{self._name} did not shake hands in time") from None
        answer, *early = messages
        if words := handshake_error(answer):
            raise HandshakeRefused(f"{self._name} refuses the handshake", words)
        return early

    async def receive(self) -> Sequence[bytes]:
        """The hub messages that the next frame completes, none for one that only says that somebody lives.

        Raises VenueError when the connection is of no more use, FrameRefused when that is the frame's fault.
        """
        kind, data, _ = await self.receive_frame()
        if kind in (WSMsgType.TEXT, WSMsgType.BINARY):
            return self.split(data)
        await self.answer(kind, data)
        return ()

    def split(self, frame: bytes) -> Sequence[bytes]:
        """The messages that a frame with data completes. Raises FrameRefused."""
        try:
            return self._splitter.split(frame)
        except ProtocolError as error:
            raise FrameRefused(f"{self._name} sent {error}") from None

    @property
    def holds_piece(self) -> bool:
        """Whether the next frame begins in the middle of a message."""
        return self._splitter.holds_piece

    async def answer(self, kind: WSMsgType, data: bytes) -> None:
        """Do what a frame without data wants. Raises VenueError, FrameRefused if it ends the connection."""
        if kind is WSMsgType.PING:
            try:
                await self._socket.pong(data)
            except OSError as error:
                raise VenueError(f"{self._name} was lost ({type(error).__name__})") from None
        elif kind is WSMsgType.ERROR:
            raise FrameRefused(f"{self._name} sent a websocket frame that is refused ({self._socket.close_code})")
        elif kind is not WSMsgType.PONG:
            raise VenueError(f"{self._name} closed the connection ({self._socket.close_code})")

    async def send(self, message: bytes) -> None:
        """Send a hub message. Raises VenueError when the socket is closing or takes nothing."""
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_ms / 1000):
                await self._socket.send_frame(message, WSMsgType.TEXT)
        except (TimeoutError, OSError) as error:
            raise VenueError(f"{self._name} takes nothing more ({type(error).__name__})") from None

    async def close(self) -> None:
        """End it within CLOSE_TIMEOUT_S: aiohttp's own limit is for each message before the venue's goodbye."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close()
