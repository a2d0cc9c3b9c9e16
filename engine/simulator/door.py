"""Who is let in: tokens on REST and hubs, request budgets, and the connection ids that negotiate gives out."""

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from .budget import Budget
from .connection import Terms
from .negotiation import Negotiations
from .tokens import Tokens

BARS_PATH = "/api/History/retrieveBars"
OPEN_PATHS = ("/api/Auth/loginKey", "/api/Status/ping")  # without a token; they share one budget
BARS_REQUESTS, BARS_WINDOW_S = 50, 30.0
REST_REQUESTS, REST_WINDOW_S = 200, 60.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_REFUSALS = {HTTPStatus.NOT_FOUND: web.HTTPNotFound, HTTPStatus.CONFLICT: web.HTTPConflict}


def bearer(request: web.Request) -> str:
    """The token of the Authorization header, "" without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


class Door:
    """`terms`: what every hub connection is served under. `not_found`: how many more sockets are answered with 404,
    as if each came with an id that is used up."""

    def __init__(self, tokens: Tokens, deflate: bool) -> None:
        self.terms = Terms(deflate)
        self.not_found = 0
        self._tokens = tokens
        self._negotiations = Negotiations()
        self._bars = Budget(BARS_REQUESTS, BARS_WINDOW_S)
        self._rest = Budget(REST_REQUESTS, REST_WINDOW_S)

    @web.middleware
    async def rest(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """401 without a good token and 429 over the budget; hubs have their own check, our controls have none."""
        if request.path.startswith("/api/"):
            token = "" if request.path in OPEN_PATHS else bearer(request)
            if request.path not in OPEN_PATHS and not self._is_good(token):
                return web.Response(status=401)
            budget = self._bars if request.path == BARS_PATH else self._rest
            wait_s = budget.spend(token, time.monotonic())
            if wait_s:
                return web.Response(status=429, headers={"Retry-After": str(wait_s)})
        return await handler(request)

    async def negotiate(self, request: web.Request) -> web.Response:
        """An id for a socket: POST /hubs/{hub}/negotiate, in version 0 or 1."""
        self._hub_token(request)
        return web.json_response(self._negotiations.offer(request.query.get("negotiateVersion", "0"), time.monotonic()))

    def admit(self, request: web.Request) -> float:
        """Let a hub's socket in, which needs no id. Returns when its token expires, in seconds of the epoch.

        Raises HTTPUnauthorized, HTTPBadRequest if it is no websocket, and for its id HTTPNotFound or HTTPConflict.
        Call `release` when it has ended.
        """
        token = self._hub_token(request)
        if not web.WebSocketResponse().can_prepare(request).ok:
            raise web.HTTPBadRequest
        given = request.query.get("id")
        if given is not None:
            status = self._negotiations.claim(given, time.monotonic())
            if status in _REFUSALS:
                raise _REFUSALS[status]
        if self.not_found > 0:
            self.not_found -= 1
            self.release(request)
            raise web.HTTPNotFound
        return self._tokens.expires_s(token)

    def release(self, request: web.Request) -> None:
        """The socket that was let in has ended."""
        given = request.query.get("id")
        if given is not None:
            self._negotiations.release(given)

    def log_out(self) -> None:
        """No token that was given out is good any more."""
        self._tokens.revoke_all()

    def _hub_token(self, request: web.Request) -> str:
        """From the query as browsers must, or from the header as other clients may."""
        token = request.query.get("access_token") or bearer(request)
        if not self._is_good(token):
            raise web.HTTPUnauthorized
        return token

    def _is_good(self, token: str) -> bool:
        return self._tokens.is_good(token, time.time())
