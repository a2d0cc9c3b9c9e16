"""engine/feeds/hub.py against a socket of the test's own: what goes over it, and every way in which it ends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import WSCloseCode, web

from engine.config import FeedSettings, HttpSettings
from engine.feeds.hub import FrameRefused, HandshakeRefused, HubSocket
from engine.feeds.projectx import HANDSHAKE, MAX_RECORDS, PING
from engine.http import HttpPool, Unauthorised, VenueError
from tests.serving import serving

TOKEN = "canary-token"
QUICK = FeedSettings(connect_timeout_ms=2000, handshake_timeout_ms=200)
LIMIT_BYTES = 1 << 17

Serve = Callable[[web.WebSocketResponse], Awaitable[object]]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def visit(answer: Answer, scene: Callable[[HubSocket], Awaitable[None]], *, deflate: bool = False) -> None:
    """One connection to a hub whose upgrade request gets that answer."""

    async def go() -> None:
        app = web.Application()
        app.router.add_get("/hub", answer)
        async with serving(app) as url, HttpPool(HttpSettings()) as pool:
            socket = await HubSocket.open(pool, f"{url}/hub", TOKEN, QUICK, "the hub", LIMIT_BYTES, deflate=deflate)
            try:
                await scene(socket)
            finally:
                await socket.close()

    asyncio.run(asyncio.wait_for(go(), 20))


def play(serve: Serve | int, scene: Callable[[HubSocket], Awaitable[None]]) -> None:
    """One connection to a hub that does `serve`, or answers with that status."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if isinstance(serve, int):
            return web.Response(status=serve)
        assert request.query["access_token"] == TOKEN
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await serve(socket)
        return socket

    visit(answer, scene)


async def nothing(socket: HubSocket) -> None:
    raise AssertionError("it opened")


async def shake(socket: HubSocket) -> None:
    await socket.shake_hands()


async def hear(socket: HubSocket) -> None:
    await socket.shake_hands()
    while True:
        await socket.receive()


def said(frame: bytes) -> Serve:
    """Answer the handshake, send a frame, and stay until the other side ends it."""

    async def serve(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str("{}\x1e")
        await socket.send_bytes(frame)
        await socket.receive()

    return serve


def test_messages_of_the_handshakes_frame_and_of_cut_ones_are_not_lost() -> None:
    heard: list[bytes] = []

    async def serve(socket: web.WebSocketResponse) -> None:
        message = await socket.receive()
        assert message.data.encode() == HANDSHAKE
        await socket.send_str("{}\x1ea\x1eb\x1ec")
        await socket.ping(b"x")
        await socket.send_bytes(b"d\x1e")
        heard.append((await socket.receive()).data.encode())

    async def scene(socket: HubSocket) -> None:
        assert list(await socket.shake_hands()) == [b"a", b"b"]
        found: list[bytes] = []
        while not found:
            found += await socket.receive()
        assert found == [b"cd"]
        await socket.send(PING)

    play(serve, scene)
    assert heard == [PING]


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorised), (503, VenueError), (302, VenueError)])
def test_a_refused_upgrade_names_its_status_and_no_token(status: int, kind: type[VenueError]) -> None:
    with pytest.raises(kind, match=f"the hub answered with status {status}") as raised:
        play(status, nothing)
    assert TOKEN not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_hub_that_is_not_there() -> None:
    async def go() -> None:
        async with HttpPool(HttpSettings()) as pool:
            await HubSocket.open(pool, "ws://127.0.0.1:1/hub", TOKEN, QUICK, "the hub", LIMIT_BYTES)

    with pytest.raises(VenueError, match="the hub cannot be reached") as raised:
        asyncio.run(go())
    assert TOKEN not in str(raised.value)


async def _mute(socket: web.WebSocketResponse) -> None:
    await socket.receive()
    await socket.receive()


async def _refuses(socket: web.WebSocketResponse) -> None:
    await socket.receive()
    await socket.send_str('{"error":"canary: no such protocol"}\x1e')
    await socket.receive()


async def _leaves(socket: web.WebSocketResponse) -> None:
    await socket.receive()
    await socket.send_str("{}\x1e")
    await socket.close(code=WSCloseCode.GOING_AWAY)


@pytest.mark.parametrize(
    ("serve", "scene", "sentence"),
    [
        (_mute, shake, "did not shake hands in time"),
        (_refuses, shake, "refuses the handshake"),
        (_leaves, hear, r"closed the connection \(1001\)"),
        (said(b"x" * (LIMIT_BYTES + 1)), hear, r"sent a websocket frame that is refused \(1009\)"),
        (said(b"\x1e" * (MAX_RECORDS + 1)), hear, "sent a frame of 65537 records"),
    ],
    ids=["mute", "refused", "closed", "huge", "many"],
)
def test_every_end_is_a_sentence(serve: Serve, scene: Callable[[HubSocket], Awaitable[None]], sentence: str) -> None:
    with pytest.raises(VenueError, match=sentence) as raised:
        play(serve, scene)
    assert "canary" not in str(raised.value)
    assert isinstance(raised.value, FrameRefused) is ("sent" in sentence)
    assert isinstance(raised.value, HandshakeRefused) is ("refuses" in sentence)


def test_a_hub_that_sends_on_after_the_goodbye_is_left() -> None:
    """Each ping of it would begin aiohttp's own limit anew."""
    left = asyncio.Event()

    async def serve(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        while not left.is_set():
            await socket.ping()
            await asyncio.sleep(0.05)

    async def scene(socket: HubSocket) -> None:
        await socket.send(PING)
        await socket.close()
        left.set()

    play(serve, scene)


def test_deflate_is_asked_for_only_where_it_is_wanted() -> None:
    """The venue agrees to what is asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Sec-WebSocket-Extensions", ""))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        return socket

    for deflate in (False, True):
        visit(answer, HubSocket.close, deflate=deflate)
    assert asked[0] == ""
    assert asked[1].startswith("permessage-deflate")
