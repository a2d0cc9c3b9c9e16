"""What every feed needs of its hub: connections, one after the other, each with the gateway's token and a pulse.

Here are the steps of session.py that are the same for all of them, connecting and backing off, and what ends a
connection from our side: no byte for too long, or a token that is an old one. What is said on it is the feed's own.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from ..config import FeedSettings
from ..http import HttpPool, Unauthorised, VenueError
from .gateway import Gateway
from .hub import HubSocket
from .projectx import PING
from .pulse import POLL_S, Beat, Pulse
from .session import Event, backoff_ns

FORGIVEN_AFTER_NS: Final = 10_000_000_000  # what went well for so long ends the row of failures
_MS: Final = 1_000_000

_log = logging.getLogger(__name__)


class Hub(NamedTuple):
    """Where a link goes, and what may come from there."""

    name: str  # what errors and the log call it
    url: str
    max_frame_bytes: int
    silence_ms: int  # of any byte; longer, and the connection is given up
    deflate: bool  # whether compression is offered


class Link:
    """A feed's way to one hub, through all its connections: `connect`, `hold`, `back_off`, and so on."""

    def __init__(
        self, hub: Hub, settings: FeedSettings, pool: HttpPool, gateway: Gateway, now_ns: Callable[[], int]
    ) -> None:
        """`now_ns` is CLOCK_BOOTTIME."""
        self._hub = hub
        self._settings = settings
        self._pool = pool
        self._gateway = gateway
        self._now_ns = now_ns
        self.pulse = Pulse(hub.silence_ms, settings.ping_interval_ms)
        self.is_silent = False  # the connection was given up because no byte came
        self._socket: HubSocket | None = None
        self._renewals = 0  # of the gateway's tokens, when the socket was opened
        self._failures = 0
        self._held_since_ns = 0

    @property
    def socket(self) -> HubSocket:
        """The connection; RuntimeError where there can be none."""
        if self._socket is None:
            raise RuntimeError(f"there is no connection to {self._hub.name} in this state")
        return self._socket

    async def connect(self) -> Event:
        """Open a connection. A token that the hub does not take is forgotten: the next one comes by a login."""
        self.is_silent = False
        name, url, max_frame_bytes, _, deflate = self._hub
        try:
            token = await self._gateway.token()
            self._renewals = self._gateway.renewals
            self._socket = await HubSocket.open(
                self._pool, url, token, self._settings, name, max_frame_bytes, deflate=deflate
            )
        except VenueError as error:
            if isinstance(error, Unauthorised):
                self._gateway.forget_token()
            _log.warning("no connection: %s", error)
            return Event.LOST
        return Event.DONE

    async def hold(self, *works: Coroutine[Any, Any, object]) -> str:
        """Do all of `works` until one of them ends, which is the connection's end; the others are cancelled.

        Returns what that one says, or those, of why it ended.
        """
        self._held_since_ns = self._now_ns()
        self.pulse.connect(self._held_since_ns)
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return "; ".join(str(task.result()) for task in done)

    async def poll(self, heard: Callable[[], bool]) -> str:
        """Wait POLL_S, then ping if it is time. `heard` says whether anything came since it was last called.

        Returns why the connection has to end, if it has to. Raises VenueError when it has ended.
        """
        await asyncio.sleep(POLL_S)
        beat = self.pulse.poll(self._now_ns(), heard=heard())
        if beat is Beat.SILENT:
            self.is_silent = True
            return f"no byte came for {self._hub.silence_ms} ms"
        if beat is Beat.PING:
            await self.socket.send(PING)
        if self._gateway.renewals != self._renewals:  # somebody who asks over REST has renewed it
            return "its token is an old one"
        return ""

    async def back_off(self) -> Event:
        """Close the connection, and wait: longer with each failure since one that was held for FORGIVEN_AFTER_NS."""
        await self.close()
        if self._held_since_ns and self._now_ns() - self._held_since_ns >= FORGIVEN_AFTER_NS:
            self._failures = 0
        self._held_since_ns = 0
        self._failures += 1
        await asyncio.sleep(self.pause_s(self._failures - 1))
        return Event.DONE

    def pause_s(self, failures: int) -> float:
        """How long to wait, by the settings, after a failure that `failures` others went before."""
        first_ns, max_ns = self._settings.backoff_first_ms * _MS, self._settings.backoff_max_ms * _MS
        return backoff_ns(failures, random.random(), first_ns, max_ns) / 1e9

    async def close(self) -> None:
        """Close the connection if there is one."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
