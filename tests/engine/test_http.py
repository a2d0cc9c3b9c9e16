"""engine/http.py: limits of the pool, and how failures are said."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from engine.config import HttpSettings
from engine.http import HttpPool, Unauthorised, VenueError, VenueRefusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET = "canary-token-0123456789"


def ask(handler: Handler, settings: HttpSettings | None = None, times: int = 1) -> tuple[HttpPool, list[object]]:
    """POST `times` at once to a server of one handler; the pool, and the answers or errors."""

    async def go() -> tuple[HttpPool, list[object]]:
        app = web.Application()
        app.router.add_post("/api/x", handler)
        app.router.add_post("/api/other", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/x"
            async with HttpPool(settings or HttpSettings()) as pool:
                calls = [pool.post(url, {"a": 1}, SECRET) for _ in range(times)]
                answers: list[object] = list(await asyncio.gather(*calls, return_exceptions=True))
            return pool, answers
        finally:
            await runner.cleanup()

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
