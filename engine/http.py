"""The one pooled HTTP session of the process: what it may use at most, and how its failures are said.

Every request has a total time, every answer a largest size (counted after decompression), every redirect is
refused: it would carry the token elsewhere. An error's sentence names method, path and status and nothing else; no
header, no query, no body of ours, because keys and tokens are in those.
"""

from types import TracebackType
from typing import Any, Final

import aiohttp
import orjson

from shm.errors import ShardbookError

from .config import HttpSettings

MAX_SAID_CHARACTERS: Final = 200
_CHUNK_BYTES: Final = 64 << 10


class VenueError(ShardbookError):
    """The venue, or the way to it, failed. It may well work later."""


class Unauthorised(VenueError):
    """The token is not, or no longer, taken (HTTP 401): log in again."""


class VenueRefusal(VenueError):
    """The venue says no and will say no again: a wrong key, an unknown contract. Trying again cannot help."""


class HttpPool:
    """`async with HttpPool(settings) as pool`. Counts `requests` and `errors`, for the engine's page."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self.requests = 0
        self.errors = 0

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

        `token` goes into the Authorization header. The path of `url` is in error messages, so it holds no secret.
        """
        self.requests += 1
        try:
            return await self._post(url, body, token)
        except VenueError:
            self.errors += 1
            raise
        except TimeoutError:
            self.errors += 1
            raise VenueError(f"{_what(url)} had no answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # their texts may hold an address with a query, or a piece of a header: the class says enough
            self.errors += 1
            raise VenueError(f"{_what(url)} failed: {_kind(error)}") from None

    async def _post(self, url: str, body: dict[str, object] | None, token: str) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with self.session.post(url, json=body, headers=headers, allow_redirects=False) as response:
            if response.status == 401:
                raise Unauthorised(f"{_what(url)} was refused with status 401: the token is not taken")
            if response.status != 200:
                raise VenueError(f"{_what(url)} was answered with status {response.status}")
            data = await self._body(response, url)
        try:
            answer = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise VenueError(f"{_what(url)} was answered with something that is not JSON") from None
        if not isinstance(answer, dict):
            raise VenueError(f"{_what(url)} was answered with JSON that is no object")
        return answer

    async def _body(self, response: aiohttp.ClientResponse, url: str) -> bytes:
        limit = self._settings.max_body_kib << 10
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_chunked(_CHUNK_BYTES):
            size += len(part)
            if size > limit:
                response.close()  # the rest is not wanted, so the connection cannot be used again
                raise VenueError(f"{_what(url)} was answered with more than {limit >> 10} KiB")
            parts.append(part)
        return b"".join(parts)


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
