"""A tiny ProjectX on a port of this machine, in the test's own event loop: it does as it is told, and lies if told."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from tests.serving import messages, serving

API_KEY = "canary-key-0123456789"
CONTRACTS = {
    "MNQ": ("CON.F.US.MNQ.Z26", "MNQZ6", 0.25),
    "MES": ("CON.F.US.MES.Z26", "MESZ6", 0.25),
}
PING_FRAME = b'\x81\x0b{"type":6}\x1e'


def token(life_s: float = 86_400, mark: str = "canary") -> str:
    """A JWT, of which only the shape and `exp` are true."""
    parts = ({"alg": "HS256"}, {"exp": int(time.time() + life_s), "sub": mark})
    encoded = [base64.urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, "c2ln"))


def snapshot(contract: str) -> bytes:
    """A depth list that Reset leads, with a level a side."""
    entries = [{"timestamp": "2026-11-22T14:33:00Z", "type": kind, "price": 1.0, "volume": 1} for kind in (6, 1, 2)]
    return orjson.dumps({"type": 1, "target": "GatewayDepth", "arguments": [contract, entries]}) + b"\x1e"


class FakeVenue:
    """`async with FakeVenue() as venue`; then `venue.api_url`, `venue.hub_url`, and the knobs."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []
        self.token = token()
        self.upgrade_status = 0  # answer the websocket's request with this status instead
        self.handshake_reply = b"{}\x1e"
        self.completion_error = ""
        self.snapshots = True
        self.mute = False  # says nothing to what it is told
        self.search_finds = True
        self.bars: Any = []  # the newest of any contract
        self.bars_code = 0  # the error they are refused with
        self.contracts = [
            {"id": contract, "name": name, "tickSize": tick, "activeContract": True}
            for contract, name, tick in CONTRACTS.values()
        ]
        self.connections = 0
        self.heard: list[dict[str, Any]] = []  # hub messages of clients, pings left out
        self.pings = 0
        self.sockets: list[web.WebSocketResponse] = []
        self.transports: list[asyncio.Transport] = []
        self.deflate = False  # agree to permessage-deflate
        self.says_goodbye = True  # else it goes on sending to a client that has closed the websocket
        self.on_subscribe: Callable[[str, str], None] = lambda target, contract: None
        self._server = AsyncExitStack()
        self.url = ""

    async def __aenter__(self) -> "FakeVenue":
        app = web.Application()
        app.router.add_post("/api/{name:.+}", self._rest)
        app.router.add_get("/hubs/market", self._hub)
        self.url = await self._server.enter_async_context(serving(app))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drop()
        await self._server.aclose()

    @property
    def api_url(self) -> str:
        return f"{self.url}/api"

    @property
    def hub_url(self) -> str:
        return f"{self.url}/hubs/market"

    async def send(self, data: bytes) -> None:
        """The same bytes as one frame to every client."""
        for socket in self.sockets:
            await socket.send_frame(data, WSMsgType.TEXT)

    def send_raw(self, wire: bytes) -> None:
        """These very bytes, whole frames or not, to every client."""
        for transport in self.transports:
            transport.write(wire)

    async def drop(self) -> None:
        """Close every websocket, as a venue that restarts does."""
        for socket in list(self.sockets):
            await socket.close()

    async def _rest(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = orjson.loads(await request.read() or b"null")
        self.requests.append((name, body))
        ok: dict[str, Any] = {"success": True, "errorCode": 0, "errorMessage": None}
        if name == "Auth/loginKey":
            if body["apiKey"] != API_KEY:
                return web.json_response({"token": None, "success": False, "errorCode": 3, "errorMessage": None})
            return web.json_response(ok | {"token": self.token})
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if name == "Auth/validate":
            self.token = token(mark=f"renewed-{len(self.requests)}")
            return web.json_response(ok | {"newToken": self.token})
        if name == "Account/search":
            return web.json_response(ok | {"accounts": [{"id": 704}]})
        if name == "Contract/searchById":
            found = next((row for row in self.contracts if row["id"] == body["contractId"]), None)
            if found is None:
                return web.json_response({"contract": None, "success": False, "errorCode": 1, "errorMessage": None})
            return web.json_response(ok | {"contract": found})
        if name == "History/retrieveBars" and self.bars_code:
            refused = {"bars": None, "success": False, "errorCode": self.bars_code, "errorMessage": None}
            return web.json_response(refused)
        if name == "History/retrieveBars":
            return web.json_response(ok | {"bars": self.bars})
        rows = self.contracts
        if name == "Contract/search":
            rows = [row for row in rows if self.search_finds and body["searchText"] in str(row["name"])]
        return web.json_response(ok | {"contracts": rows})

    async def _hub(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        if self.upgrade_status or request.query.get("access_token") != self.token:
            return web.Response(status=self.upgrade_status or 401, headers={"Location": str(request.url)})
        socket = web.WebSocketResponse(compress=self.deflate, autoclose=self.says_goodbye)
        await socket.prepare(request)
        assert request.transport is not None
        self.sockets.append(socket)
        self.transports.append(request.transport)
        try:
            async for message in messages(socket, self.handshake_reply.decode()):
                if message["type"] == 6:
                    self.pings += 1
                else:
                    self.heard.append(message)
                    await self._answer(socket, message)
        finally:
            self.sockets.remove(socket)
            self.transports.remove(request.transport)
        while not self.says_goodbye and not request.transport.is_closing():
            request.transport.write(PING_FRAME)
            await asyncio.sleep(0.05)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        (contract,) = message["arguments"]
        self.on_subscribe(message["target"], contract)
        if self.mute:
            return
        again = "invocationId" in message
        if again:
            completion = {"type": 3, "invocationId": message["invocationId"]}
            if self.completion_error:
                completion["error"] = self.completion_error
            await socket.send_str(json.dumps(completion) + "\x1e")
        if message["target"] == "SubscribeContractMarketDepth" and self.snapshots and not self.completion_error:
            await socket.send_str(snapshot(contract).decode())


async def until(condition: Callable[[], object], what: str, limit_s: float = 10) -> None:
    """Wait for a condition that other tasks of this loop bring about."""
    ends_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < ends_s, f"not within {limit_s} s: {what}"
        await asyncio.sleep(0.005)
