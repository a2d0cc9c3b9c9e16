"""A tiny account on a port of this machine: REST answers and a user hub that do as they are told, and lie if told."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from tests.engine.feeds.fake_venue import API_KEY, CONTRACTS, token
from tests.serving import messages, serving

ACCOUNT = 704
MNQ = CONTRACTS["MNQ"][0]


def standing(account_id: int = ACCOUNT, name: str = "PRAC-canary-1", balance: float = 150_000.0) -> dict[str, Any]:
    return {"id": account_id, "name": name, "balance": balance, "canTrade": True, "isVisible": True, "simulated": True}


def order(order_id: int, *, status: int = 1, at: int = 1, size: int = 3, **other: Any) -> dict[str, Any]:
    """A limit order; `at`: the second of its last update."""
    row = {"id": order_id, "accountId": ACCOUNT, "contractId": MNQ, "symbolId": "F.US.MNQ", "status": status}
    stamps = {"creationTimestamp": stamp(0), "updateTimestamp": stamp(at)}
    prices = {"limitPrice": 21_000.25, "stopPrice": None, "fillVolume": 0, "filledPrice": None}
    return row | stamps | prices | {"type": 1, "side": 0, "size": size, "customTag": f"tag-{order_id}"} | other


def position(position_id: int, size: int = 1, **other: Any) -> dict[str, Any]:
    row = {"id": position_id, "accountId": ACCOUNT, "contractId": MNQ, "creationTimestamp": stamp(0)}
    return row | {"type": 1 if size > 0 else 2 if size < 0 else 0, "size": abs(size), "averagePrice": 21_000.3} | other


def fill(fill_id: int, **other: Any) -> dict[str, Any]:
    row = {"id": fill_id, "accountId": ACCOUNT, "contractId": MNQ, "creationTimestamp": stamp(fill_id % 60)}
    money = {"price": 21_000.25, "profitAndLoss": None, "fees": 0.37}
    return row | money | {"side": 0, "size": 1, "voided": False, "orderId": 5} | other


def stamp(second: int) -> str:
    return f"2026-11-22T14:33:{second:02d}.268009+00:00"


def event(kind: str, payload: Any) -> bytes:
    """GatewayUser… with that argument, as it is."""
    return orjson.dumps({"type": 1, "target": f"GatewayUser{kind}", "arguments": [payload]}) + b"\x1e"


class FakeAccount:
    """`async with FakeAccount() as venue`; its tables are what REST answers, and the knobs are plain attributes."""

    def __init__(self) -> None:
        self.token = token()
        self.accounts: list[Any] = [standing()]
        self.orders: list[Any] = []
        self.positions: list[Any] = []
        self.trades: list[Any] = []
        self.requests: list[tuple[str, Any]] = []
        self.contracts: list[Any] = []  # what a search of contracts finds
        self.status = 200  # of every answer but the login's
        self.gate = asyncio.Event()  # answers that tell of the account wait for it
        self.gate.set()
        self.asked = asyncio.Event()  # set when one waits
        self.completion_error = ""
        self.confirms = True
        self.connections = 0
        self.heard: list[tuple[str, list[Any]]] = []
        self.pings = 0
        self.sockets: list[web.WebSocketResponse] = []
        self.on_subscribed: Callable[[], list[bytes]] = lambda: []  # sent behind the last confirmation
        self._server = AsyncExitStack()
        self.url = ""

    async def __aenter__(self) -> "FakeAccount":
        app = web.Application()
        app.router.add_post("/api/{name:.+}", self._rest)
        app.router.add_get("/hubs/user", self._hub)
        self.url = await self._server.enter_async_context(serving(app))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gate.set()
        await self.drop()
        await self._server.aclose()

    async def send(self, data: bytes) -> None:
        """The same bytes as one frame to every client."""
        for socket in list(self.sockets):
            if not socket.closed:
                await socket.send_frame(data, WSMsgType.TEXT)

    async def drop(self) -> None:
        for socket in list(self.sockets):
            await socket.close()

    async def _rest(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = orjson.loads(await request.read() or b"null")
        self.requests.append((name, body))
        ok: dict[str, Any] = {"success": True, "errorCode": 0, "errorMessage": None}
        if name == "Auth/loginKey":
            assert body["apiKey"] == API_KEY
            return web.json_response(ok | {"token": self.token})
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if self.status != 200:
            return web.Response(status=self.status)
        if name == "Contract/searchById":
            known = {row[0]: row for row in CONTRACTS.values()}
            contract_id, title, tick = known.get(body["contractId"], (None, "", 0))
            if contract_id is None:
                return web.json_response({"contract": None, "success": False, "errorCode": 1, "errorMessage": None})
            row = {"id": contract_id, "name": title, "tickSize": tick, "activeContract": True}
            return web.json_response(ok | {"contract": row})
        if name in ("Contract/search", "Contract/available"):
            return web.json_response(ok | {"contracts": self.contracts})
        tables = {"Account": "accounts", "Order": "orders", "Position": "positions", "Trade": "trades"}
        key = tables[name.partition("/")[0]]
        rows = list(getattr(self, key))  # as they are when it is asked, whenever the answer goes out
        if name == "Order/searchOpen":
            self.asked.set()
            await self.gate.wait()
        return web.json_response(ok | {key: rows})

    async def _hub(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        if request.query.get("access_token") != self.token:
            return web.Response(status=401)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.sockets.append(socket)
        try:
            async for message in messages(socket):
                if message["type"] == 6:
                    self.pings += 1
                else:
                    await self._answer(socket, message)
        finally:
            self.sockets.remove(socket)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        self.heard.append((message["target"], message["arguments"]))
        if not self.confirms:
            return
        completion = {"type": 3, "invocationId": message["invocationId"]}
        if self.completion_error:
            completion["error"] = self.completion_error
        await socket.send_str(json.dumps(completion) + "\x1e")
        if message["target"] == "SubscribeTrades":
            for data in self.on_subscribed():
                await socket.send_frame(data, WSMsgType.TEXT)
