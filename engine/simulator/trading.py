"""The account side of the gateway, put together: one account, its desk, its REST endpoints and its hub."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from aiohttp import web

from . import tops
from .account import Account
from .connection import Connection, serve_hub
from .desk import Desk
from .door import Door
from .envelope import body_of, flag_of
from .hub import Reply
from .listing import Listing
from .rest_account import RestAccount
from .userhub import Listeners, UserHub, Wish

SETTLE_S = 0.005  # how often open orders are held against what was sent since


class Trading:
    """All of it, for the contracts of a listing."""

    def __init__(self, listing: Listing, door: Door) -> None:
        self.account = Account(listing.known)
        self.listeners = Listeners(listing.known)
        self.desk = Desk(self.account, listing.known, listing.channels, time.time_ns, self.listeners.tell)
        self._door = door
        tops.warm()

    def join(self, app: web.Application) -> None:
        """Add all routes to an application, and what has to run beside them."""
        app.add_routes(RestAccount(self.desk).routes())
        app.add_routes([web.get("/hubs/user", self._user_hub), web.post("/simulator/user-events", self._shape_events)])
        app.cleanup_ctx.append(self._settling)

    async def _user_hub(self, request: web.Request) -> web.StreamResponse:
        expires_s = self._door.admit(request)

        def act(connection: Connection, wish: Wish) -> None:
            self.listeners.subscribe(connection, wish)
            connection.say(Reply(wish.completion))

        try:
            receive = UserHub().receive
            return await serve_hub(request, self._door.terms, expires_s, receive, act, self.listeners.leave)
        finally:
            self._door.release(request)

    async def _shape_events(self, request: web.Request) -> web.Response:
        """A knob: {"wrapped": true} or false, the two shapes in which events were seen (userhub.py)."""
        self.listeners.is_wrapped = flag_of(await body_of(request), "wrapped")
        return web.json_response({"wrapped": self.listeners.is_wrapped})

    async def _settling(self, app: web.Application) -> AsyncIterator[None]:
        """While the application runs, fill what the flow fills."""
        task = asyncio.create_task(self._settle())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_S)
            self.desk.settle()
