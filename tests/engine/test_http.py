"""engine/http.py: limits of the pool, what is sent again and when, and how failures are said."""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import aiohttp
import pytest
from aiohttp import web

from engine.budget import BARS, OTHERS, Limit
from engine.config import HttpSettings
from engine.http import HttpPool, Times, Unauthorised, VenueError, VenueRefusal
from engine.retry import MAX_TRIES, READS
from tests.serving import serving

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET = "canary-token-0123456789"
BARS_PATH = "/api/History/retrieveBars"
WALL_S = 1_795_357_954.0


class FakeTime:
    """A clock that only sleeping moves; what was slept is noted."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)

    def times(self) -> Times:
        return Times(lambda: self.now_s, lambda: WALL_S + self.now_s - 1000.0, self.sleep)


def ask(
    handler: Handler,
    settings: HttpSettings | None = None,
    times: int = 1,
    path: str = "/api/x",
    clock: FakeTime | None = None,
) -> tuple[HttpPool, list[object]]:
    """POST `times` at once to a server of one handler; the pool, and the answers or errors."""

    async def go() -> tuple[HttpPool, list[object]]:
        app = web.Application()
        app.router.add_post("/api/{name:.+}", handler)
        async with (
            serving(app, handler_cancellation=True) as url,
            HttpPool(settings or HttpSettings(), clock.times() if clock else None) as pool,
        ):
            calls = [pool.post(url + path, {"a": 1}, SECRET) for _ in range(times)]
            answers: list[object] = list(await asyncio.gather(*calls, return_exceptions=True))
        return pool, answers

    return asyncio.run(go())


def error_of(handler: Handler, settings: HttpSettings | None = None) -> VenueError:
    pool, (error,) = ask(handler, settings)
    assert isinstance(error, VenueError)
    assert not isinstance(error, VenueRefusal)
    assert SECRET not in f"{error!r} {error.__cause__!r}"
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert (pool.requests, pool.errors) == (1, 1)
    return error


def test_an_object_is_answered_with_and_the_token_goes_in_a_header() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        assert await request.json() == {"a": 1}
        return web.json_response({"success": True})

    pool, answers = ask(handler)
    assert answers == [{"success": True}]
    assert (pool.requests, pool.errors) == (1, 0)


def test_the_pool_has_the_limits_of_the_settings() -> None:
    async def go() -> None:
        async with HttpPool(HttpSettings()) as pool:
            connector = pool.session.connector
            assert connector is not None
            assert (connector.limit, connector.limit_per_host) == (200, 50)
            assert connector._keepalive_timeout == 60
            assert pool.session.timeout == aiohttp.ClientTimeout(total=30, connect=5, sock_connect=5)
            assert not pool.session.trust_env

    asyncio.run(go())


def test_one_host_gets_no_more_connections_than_its_share() -> None:
    now = most = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(50):
            await asyncio.sleep(0)
        now -= 1
        return web.json_response({})

    _, answers = ask(handler, HttpSettings(max_connections_per_host=3), times=20)
    assert answers == [{}] * 20
    assert most == 3


def test_an_answer_that_is_too_long() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b'"' + b"x" * (1 << 20) + b'"')

    assert "more than 64 KiB" in str(error_of(handler, HttpSettings(max_body_kib=64)))


def test_an_answer_that_is_short_only_while_it_is_compressed() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b" " * (8 << 20)), headers={"Content-Encoding": "gzip"})

    assert "more than 64 KiB" in str(error_of(handler, HttpSettings(max_body_kib=64)))


def spaces(size: int) -> bytes:
    """A JSON object of that many bytes."""
    return b"{" + b" " * (size - 2) + b"}"


@pytest.mark.parametrize(
    ("encoding", "packed"), [("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)]
)
@pytest.mark.parametrize(
    ("size", "taken"), [(-1, True), (0, True), (1, False), (64 << 10, False), (63999 << 10, False)]
)
def test_the_limit_of_a_body(encoding: str, packed: Callable[[bytes], bytes], size: int, taken: bool) -> None:
    body = packed(spaces((64 << 10) + size))

    async def handler(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "gzip, deflate"
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    if taken:
        assert ask(handler, HttpSettings(max_body_kib=64))[1] == [{}]
    else:
        assert "more than 64 KiB" in str(error_of(handler, HttpSettings(max_body_kib=64)))


# The ids are words: gzip writes the second it ran in, and two processes have to collect the same tests.
@pytest.mark.parametrize(
    ("encoding", "body", "said"),
    [
        pytest.param("gzip", gzip.compress(b"{}")[:-3], "a compressed body that is cut off", id="cut off"),
        pytest.param("gzip", b"{}", "a body that cannot be decompressed", id="not gzip"),
        pytest.param("br", b"{}", "an encoding that was not asked for", id="brotli"),
        pytest.param("gzip, gzip", gzip.compress(b"{}"), "an encoding that was not asked for", id="twice"),
    ],
)
def test_bodies_that_cannot_be_unpacked(encoding: str, body: bytes, said: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    assert str(error_of(handler)).endswith(f"was answered with {said}")


def answering(*answers: int | dict[str, str]) -> tuple[Handler, list[int]]:
    """A handler that gives these statuses (or 429 with these headers) in turn, then {}; and a list it counts in."""
    seen: list[int] = []

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        seen.append(len(seen))
        if len(seen) > len(answers):
            return web.json_response({})
        answer = answers[len(seen) - 1]
        if answer == 0:
            assert request.transport is not None
            request.transport.abort()
        if isinstance(answer, dict):
            return web.Response(status=429, headers=answer)
        return web.Response(status=answer or 200)

    return handler, seen


@pytest.mark.parametrize("path", [f"/api{read}" for read in READS])
@pytest.mark.parametrize("failure", [500, 503, 0])
def test_a_read_is_made_again(path: str, failure: int) -> None:
    clock = FakeTime()
    handler, seen = answering(failure, failure)
    pool, answers = ask(handler, path=path, clock=clock)
    assert answers == [{}]
    assert (pool.requests, pool.errors, pool.retries, len(seen)) == (3, 2, 2, 3)
    assert 0.125 <= clock.slept[0] <= 0.25 <= clock.slept[1] <= 0.5


def test_a_read_is_not_made_for_ever() -> None:
    handler, seen = answering(*[502] * 10)
    pool, (error,) = ask(handler, path="/api/Contract/search", clock=FakeTime())
    assert str(error).endswith("/api/Contract/search was answered with status 502")
    assert (pool.requests, pool.errors, len(seen)) == (MAX_TRIES, MAX_TRIES, MAX_TRIES)


@pytest.mark.parametrize("path", ["Auth/loginKey", "Auth/validate", "Order/place", "Order/cancel", "Order/new", "x"])
@pytest.mark.parametrize("failure", [500, 503, 0, {"Retry-After": "1"}])
def test_anything_else_is_sent_once(path: str, failure: int | dict[str, str]) -> None:
    handler, seen = answering(failure)
    pool, (error,) = ask(handler, path=f"/api/{path}?again=/Contract/search", clock=FakeTime())
    assert isinstance(error, VenueError)
    assert (pool.requests, pool.retries, len(seen)) == (1, 0, 1)


@pytest.mark.parametrize("status", [400, 401, 404, 409])
def test_a_no_is_not_asked_for_again(status: int) -> None:
    handler, seen = answering(status)
    _, (error,) = ask(handler, path="/api/Contract/search", clock=FakeTime())
    assert isinstance(error, VenueError)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("header", "waited_s"),
    [("3", 3.0), ("0", 0.0), (formatdate(WALL_S + 12, usegmt=True), 12.0), (formatdate(WALL_S - 9, usegmt=True), 0.0)],
)
def test_retry_after_is_waited_for(header: str, waited_s: float) -> None:
    clock = FakeTime()
    handler, seen = answering({"Retry-After": header})
    pool, answers = ask(handler, path="/api/Contract/search", clock=clock)
    assert answers == [{}]
    assert len(seen) == 2
    assert sum(clock.slept) == pytest.approx(waited_s, abs=0.26)
    assert sum(clock.slept) >= waited_s - 1e-6
    assert pool.delayed == (waited_s > 0.0)


@pytest.mark.parametrize("headers", [{"Retry-After": "31"}, {"Retry-After": "999999999"}, {}, {"Retry-After": "soon"}])
def test_what_is_longer_than_there_is_time_is_an_error_at_once(headers: dict[str, str]) -> None:
    clock = FakeTime()
    handler, seen = answering(headers)
    _, (error,) = ask(handler, path="/api/Contract/search", clock=clock)
    assert str(error).endswith("was answered with status 429")
    assert (clock.slept, len(seen)) == ([], 1)


def test_a_wish_for_quiet_is_for_all_of_the_same_budget_and_no_other() -> None:
    async def use(pool: HttpPool, url: str) -> None:
        with pytest.raises(VenueError, match="status 429"):
            await pool.post(f"{url}/api/Contract/search", {}, SECRET)
        with pytest.raises(VenueError, match=r"/api/Account/search was not sent: its budget has room in 50 s only"):
            await pool.post(f"{url}/api/Account/search", {}, SECRET)
        assert await pool.post(f"{url}{BARS_PATH}", {}, SECRET) == {}
        assert (pool.requests, pool.errors) == (2, 1)

    handler, seen = answering({"Retry-After": "50"})
    with_pool(handler, FakeTime(), use)
    assert len(seen) == 2


def with_pool(handler: Handler, clock: FakeTime, use: Callable[[HttpPool, str], Awaitable[None]]) -> None:
    async def go() -> None:
        app = web.Application()
        app.router.add_post("/{name:.+}", handler)
        async with serving(app) as url, HttpPool(HttpSettings(), clock.times()) as pool:
            await use(pool, url)

    asyncio.run(go())


@pytest.mark.parametrize(("path", "limit"), [(BARS_PATH, BARS), ("/api/Order/place", OTHERS)])
def test_the_request_above_the_budget_waits_its_turn(path: str, limit: Limit) -> None:
    clock, came_s = FakeTime(), []

    async def handler(request: web.Request) -> web.Response:
        came_s.append(clock.now_s)
        return web.json_response({})

    async def use(pool: HttpPool, url: str) -> None:
        clock.now_s = 1000.0
        for _ in range(limit.requests):
            await pool.post(url + path, {})
        clock.now_s = 1000.0 + limit.window_s - 2.0
        await asyncio.gather(*(pool.post(url + path, {}) for _ in range(4)))
        assert (pool.requests, pool.delayed) == (limit.requests + 4, 4)

    with_pool(handler, clock, use)
    assert came_s == [1000.0] * limit.requests + [1000.0 + limit.window_s] * 4
    assert clock.slept == [2.0]


def test_a_caller_who_is_cancelled_while_it_waits_gives_its_turn_on() -> None:
    async def use(pool: HttpPool, url: str) -> None:
        for _ in range(BARS.requests):
            await pool.post(url + BARS_PATH, {})
        clock.now_s += 25.0
        callers = [asyncio.ensure_future(pool.post(url + BARS_PATH, {})) for _ in range(3)]
        callers[0].cancel()
        answers = await asyncio.gather(*callers, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == [{}, {}]

    clock = FakeTime()
    handler, seen = answering()
    with_pool(handler, clock, use)
    assert len(seen) == BARS.requests + 2


def test_no_answer_in_time() -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("never set")

    assert "had no answer in time" in str(error_of(handler, HttpSettings(total_timeout_s=1)))


@pytest.mark.parametrize(
    ("body", "said"), [(b"[]", "no object"), (b"", "not JSON"), (b"\xff", "not JSON"), (b"<html>", "not JSON")]
)
def test_answers_that_are_no_objects(body: bytes, said: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body)

    assert said in str(error_of(handler))


DEEP = 500_000


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' + b"[" * DEEP,
        b'{"a":' * (DEEP // 5),
        b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"a":' * (DEEP // 5) + b"1" + b"}" * (DEEP // 5),
    ],
    ids=["lists", "objects", "lists that are closed", "objects that are closed"],
)
@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_answers_that_are_too_deep(body: bytes, packed: Callable[[bytes], bytes]) -> None:
    """As deep as the body's limit lets it be: no JSON, and nothing worse."""

    async def handler(request: web.Request) -> web.Response:
        encoding = "identity" if packed is bytes else "gzip"
        return web.Response(body=packed(body), headers={"Content-Encoding": encoding})

    assert len(body) < 1 << 20
    assert str(error_of(handler, HttpSettings(max_body_kib=1024))).endswith("something that is not JSON")


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_status_is_named(status: int) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text=f"hello {SECRET}")

    assert str(error_of(handler)).endswith(f"/api/x was answered with status {status}")


def test_a_token_that_is_not_taken() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=401)

    assert isinstance(error_of(handler), Unauthorised)


def test_a_redirect_is_not_followed() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.path == "/api/x"
        return web.Response(status=307, headers={"Location": "/api/other"})

    assert "status 307" in str(error_of(handler))


def test_a_connection_that_breaks() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    assert "failed: ServerDisconnectedError" in str(error_of(handler))


def test_nobody_listens() -> None:
    async def go() -> None:
        async with HttpPool(HttpSettings()) as pool:
            with pytest.raises(VenueError, match="no connection"):
                await pool.post("http://127.0.0.1:1/api/x", {})

    asyncio.run(go())


def test_the_pool_is_only_there_inside_its_block() -> None:
    with pytest.raises(RuntimeError, match="outside"):
        _ = HttpPool(HttpSettings()).session
