"""The one pooled HTTP session of the process: what it may use at most, and how its failures are said.

Every request has a total time, in which it waits for its budget and, if it is a read, may be tried three times;
every answer has a largest size, counted while it is decompressed; every redirect is refused: it would carry the token
elsewhere. An error's sentence names method, path and status and nothing else; no header, no query, no body of ours,
because keys and tokens are in those.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from shm.errors import ShardbookError

from .budget import Limit, Spent, close, limit_of, retry_after_s, spend, wait_s
from .config import HttpSettings
from .inflate import ACCEPTED, BodyError, Inflater
from .retry import delay_s, is_passing

MAX_SAID_CHARACTERS: Final = 200
_CHUNK_BYTES: Final = 64 << 10


class VenueError(ShardbookError):
    """The venue, or the way to it, failed. It may well work later."""


class Unauthorised(VenueError):
    """The token is not, or no longer, taken (HTTP 401): log in again."""


class VenueRefusal(VenueError):
    """The venue says no and will say no again: a wrong key, an unknown contract. Trying again cannot help."""


class Passing(VenueError):
    """A failure that may be over in a moment: no connection, or a status that says so. A read is tried again."""


@dataclass(slots=True)
class _Budget:
    """What is used of a limit. Who waits for it holds `turn`, so requests go out in the order they came."""

    limit: Limit
    spent: Spent = field(default_factory=Spent)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Times:
    """How the pool knows the time, and waits: seconds of a monotonic clock, and since 1970."""

    now_s: Callable[[], float] = time.monotonic
    wall_s: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


class HttpPool:
    """`async with HttpPool(settings) as pool`.

    For the engine's page it counts `requests` (each try is one) and `errors` (each that failed), `retries`, and
    `delayed`: requests that their budget made wait.
    """

    def __init__(self, settings: HttpSettings, times: Times | None = None) -> None:
        self._settings = settings
        self._times = times or Times()
        self._session: aiohttp.ClientSession | None = None
        self._budgets: dict[Limit, _Budget] = {}
        self.requests = 0
        self.errors = 0
        self.retries = 0
        self.delayed = 0

    async def __aenter__(self) -> "HttpPool":
        limits = self._settings
        connector = aiohttp.TCPConnector(
            limit=limits.max_connections,
            limit_per_host=limits.max_connections_per_host,
            keepalive_timeout=limits.keep_alive_s,
        )
        timeout = aiohttp.ClientTimeout(
            total=limits.total_timeout_s,
            connect=limits.free_connection_timeout_s,
            sock_connect=limits.connect_timeout_s,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # aiohttp's own gives the whole of what a piece decompresses to
            json_serialize=lambda value: orjson.dumps(value).decode(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, for websockets: they count against the same limits."""
        if self._session is None:
            raise RuntimeError("the pool is used outside of its `async with`")
        return self._session

    async def post(self, url: str, body: dict[str, object] | None, token: str = "") -> dict[str, Any]:
        """The JSON object that a POST is answered with. Raises VenueError, Unauthorised on 401.

        `token` goes into the Authorization header. The path of `url` is in error messages, so it holds no secret. A
        read (see retry.READS) whose failure may pass is made again; anything else is sent once, whatever comes.
        """
        what, path = _what(url), urlsplit(url).path
        budget = self._budgets.setdefault(limit := limit_of(path), _Budget(limit))
        ends_s = self._times.now_s() + self._settings.total_timeout_s
        tries = 0
        try:
            async with asyncio.timeout(self._settings.total_timeout_s):
                while True:
                    await self._turn(budget, what, ends_s)
                    tries += 1
                    try:
                        return await self._try(url, body, token, budget)
                    except Passing:
                        pause_s = delay_s(path, tries, random.random())
                        # what the venue asked for is waited for at the budget, unless it is longer than there is time
                        asked_s = wait_s(budget.limit, budget.spent, now_s := self._times.now_s())
                        if pause_s is None or now_s + max(pause_s, asked_s) > ends_s:
                            raise
                    self.retries += 1
                    await self._times.sleep(pause_s)
        except TimeoutError:
            raise VenueError(f"{what} had no answer in time") from None

    async def _turn(self, budget: _Budget, what: str, ends_s: float) -> None:
        """Wait until the budget has room, and take it. Raises VenueError at once if it has none in time."""
        is_delayed = budget.turn.locked()
        async with budget.turn:
            while (pause_s := wait_s(budget.limit, budget.spent, now_s := self._times.now_s())) > 0.0:
                if now_s + pause_s > ends_s:
                    raise VenueError(f"{what} was not sent: its budget has room in {pause_s:.0f} s only")
                is_delayed = True
                await self._times.sleep(pause_s)
            budget.spent = spend(budget.limit, budget.spent, now_s)
        self.delayed += is_delayed

    async def _try(self, url: str, body: dict[str, object] | None, token: str, budget: _Budget) -> dict[str, Any]:
        """Send it once. Raises Passing where another try may do better."""
        self.requests += 1
        answered = False
        try:
            answer = await self._post(url, body, token, budget)
            answered = True
            return answer
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            # their texts may hold an address with a query, or a piece of a header: the class says enough
            raise Passing(f"{_what(url)} failed: {_kind(error)}") from None
        finally:
            self.errors += not answered

    async def _post(self, url: str, body: dict[str, object] | None, token: str, budget: _Budget) -> dict[str, Any]:
        headers = {"Accept": "application/json", "Accept-Encoding": ACCEPTED}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with self.session.post(url, json=body, headers=headers, allow_redirects=False) as response:
            if response.status == 401:
                raise Unauthorised(f"{_what(url)} was refused with status 401: the token is not taken")
            if response.status in (429, 503):
                self._close(budget, response)
            if response.status != 200:
                kind = Passing if is_passing(response.status) else VenueError
                raise kind(f"{_what(url)} was answered with status {response.status}")
            try:
                data = await self._body(response)
            except BodyError as error:
                response.close()  # the rest is not wanted, so the connection cannot be used again
                raise VenueError(f"{_what(url)} was answered with {error}") from None
        try:
            answer = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise VenueError(f"{_what(url)} was answered with something that is not JSON") from None
        if not isinstance(answer, dict):
            raise VenueError(f"{_what(url)} was answered with JSON that is no object")
        return answer

    def _close(self, budget: _Budget, response: aiohttp.ClientResponse) -> None:
        """Leave the venue alone for as long as it asks; after a bare 429 until its own window must be over."""
        asked_s = retry_after_s(response.headers.get("Retry-After"), self._times.wall_s())
        if asked_s is None:
            asked_s = budget.limit.window_s if response.status == 429 else 0.0
        budget.spent = close(budget.spent, self._times.now_s() + asked_s)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        encoding = ",".join(response.headers.getall("Content-Encoding", ()))
        inflater = Inflater(encoding, self._settings.max_body_kib << 10)
        pieces: list[bytes] = []
        async for part in response.content.iter_chunked(_CHUNK_BYTES):
            for piece in inflater.take(part):
                pieces.append(piece)
                await asyncio.sleep(0)  # the feed's frames are read meanwhile
        inflater.finish()
        return b"".join(pieces)


def said(value: object) -> str:
    """A venue's own text, made fit for one line: printable and short."""
    text = value if isinstance(value, str) else ""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:MAX_SAID_CHARACTERS])


def _what(url: str) -> str:
    return f"POST {url.partition('?')[0]}"


def _kind(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error.os_error.strerror or 'refused'})"
    return type(error).__name__
