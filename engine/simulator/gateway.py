"""The gateway's REST side, and the application that joins it with the market hub on one loopback port.

As the fact sheet has it (sections 2 to 5): POST with JSON bodies, a bearer token on all but the login, business
failures as HTTP 200 with an errorCode of the endpoint's own. Orders, bars and the user hub are not here.
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from .connection import serve_market_hub
from .contracts import Contract, decimal_text
from .hub import Hub
from .sender import Sender
from .tokens import Tokens

MAX_BODY_BYTES = 64 << 10
MAX_FOUND = 20  # contracts in a search answer
ACCOUNT = {
    **{"id": 704, "name": "PRAC-V2-1", "balance": 150000.0},
    **{"canTrade": True, "isVisible": True, "simulated": True},
}
_MONTHS = {letter: i + 1 for i, letter in enumerate("FGHJKMNQUVXZ")}
_INVALID_CREDENTIALS, _INVALID_SESSION, _CONTRACT_NOT_FOUND = 3, 1, 1

log = logging.getLogger("simulator")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AccessLog(AbstractAccessLogger):
    """Method, path, status. Never the query: it holds tokens."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        self.logger.info("%s %.200s %d", request.method, request.path, response.status)


def _answer(payload: str = "", error_code: int = 0) -> web.Response:
    """The envelope around a payload, which is JSON text such as '"token":null'."""
    head = payload + "," if payload else ""
    success = "true" if error_code == 0 else "false"
    text = f'{{{head}"success":{success},"errorCode":{error_code},"errorMessage":null}}'
    return web.json_response(text=text)


def contract_json(contract: Contract, is_active: bool) -> str:
    """A contract of the REST model. Written by hand, because 6E's tick must not become 5e-05."""
    month = date(2000 + int(contract.month[1:]), _MONTHS[contract.month[0]], 1)
    rest = {
        "id": contract.contract_id,
        "name": contract.name,
        "description": f"{contract.description}: {month:%B %Y}",
        "activeContract": is_active,
        "symbolId": contract.symbol_id,
    }
    size, value = decimal_text(contract.tick_e9), decimal_text(contract.tick_value_e9)
    return f'{json.dumps(rest)[:-1]}, "tickSize": {size}, "tickValue": {value}}}'


class Gateway:
    """contracts: all that are listed. The sender's channels are those that trade."""

    def __init__(self, contracts: list[Contract], sender: Sender, tokens: Tokens) -> None:
        self._contracts = contracts
        self.sender = sender
        self._tokens = tokens
        self._active = {channel.contract.contract_id: symbol for symbol, channel in sender.channels.items()}
        self.app = web.Application(middlewares=[self._door], client_max_size=MAX_BODY_BYTES)
        self.app.add_routes(
            [
                web.post("/api/Auth/loginKey", self._login),
                web.post("/api/Auth/validate", self._validate),
                web.post("/api/Auth/logout", self._logout),
                web.post("/api/Account/search", self._accounts),
                web.post("/api/Contract/search", self._search),
                web.post("/api/Contract/searchById", self._search_by_id),
                web.post("/api/Contract/available", self._available),
                web.get("/api/Status/ping", self._ping),
                web.get("/hubs/market", self._market_hub),
                web.post("/simulator/pause", self._pause),
                web.post("/simulator/resume", self._resume),
                web.get("/simulator/status", self._status),
            ]
        )

    @web.middleware
    async def _door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """401 without a good token, except for the login, the ping, the hub (own check), and our own controls."""
        is_api = request.path.startswith("/api/") and request.path not in ("/api/Auth/loginKey", "/api/Status/ping")
        if is_api and not self._is_good(_bearer(request)):
            return web.Response(status=401)
        return await handler(request)

    def _is_good(self, token: str) -> bool:
        return self._tokens.is_good(token, int(time.time()))

    async def _login(self, request: web.Request) -> web.Response:
        body = await _body(request)
        token = self._tokens.login(_text(body, "userName"), _text(body, "apiKey"), int(time.time()))
        return _answer(f'"token":{json.dumps(token)}', 0 if token else _INVALID_CREDENTIALS)

    async def _validate(self, request: web.Request) -> web.Response:
        return _answer(f'"newToken":{json.dumps(self._tokens.issue(int(time.time())))}')

    async def _logout(self, request: web.Request) -> web.Response:
        self._tokens.revoke(_bearer(request))
        return _answer()

    async def _accounts(self, request: web.Request) -> web.Response:
        await _body(request)
        return _answer(f'"accounts":[{json.dumps(ACCOUNT)}]')

    async def _search(self, request: web.Request) -> web.Response:
        text = _text(await _body(request), "searchText").lower()
        found = [c for c in self._contracts if text in c.name.lower() or text in c.description.lower()]
        return self._listed(found[:MAX_FOUND])

    async def _available(self, request: web.Request) -> web.Response:
        await _body(request)
        return self._listed(self._contracts)

    def _listed(self, contracts: list[Contract]) -> web.Response:
        return _answer(f'"contracts":[{",".join(self._json(contract) for contract in contracts)}]')

    def _json(self, contract: Contract) -> str:
        return contract_json(contract, contract.contract_id in self._active)

    async def _search_by_id(self, request: web.Request) -> web.Response:
        wanted = _text(await _body(request), "contractId")
        for contract in self._contracts:
            if contract.contract_id == wanted:
                return _answer(f'"contract":{self._json(contract)}')
        return _answer('"contract":null', _CONTRACT_NOT_FOUND)

    async def _ping(self, request: web.Request) -> web.Response:
        return web.json_response("pong")

    async def _market_hub(self, request: web.Request) -> web.StreamResponse:
        if not self._is_good(request.query.get("access_token", "")):
            return web.Response(status=401)
        return await serve_market_hub(request, Hub(frozenset(self._active)), self.sender, self._active)

    async def _pause(self, request: web.Request) -> web.Response:
        self.sender.pause()
        return await self._status(request)

    async def _resume(self, request: web.Request) -> web.Response:
        self.sender.resume()
        return await self._status(request)

    async def _status(self, request: web.Request) -> web.Response:
        sender = self.sender
        contracts = {
            symbol: {
                "contract_id": channel.contract.contract_id,
                "records": channel.log.sent_records,
                "entries": channel.log.sent_entries,
                "trades": channel.log.sent_trades,
                "finished": sender.finished(symbol),
            }
            for symbol, channel in sender.channels.items()
        }
        return web.json_response(
            {
                "paused": sender.paused,
                "seconds": sender.active_s,
                "entries": sum(channel.log.sent_entries for channel in sender.channels.values()),
                "clients": len(sender.clients),
                "clients_cut_off": sender.cut_off,
                "ticks": sender.ticks,
                "late_ticks": sender.late_ticks,
                "late_ms_max": sender.late_s_max * 1000,
                "contracts": contracts,
            }
        )


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


async def _body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object; anything else is a bad request."""
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest
    return body


def _text(body: dict[str, Any], key: str) -> str:
    """A required string of a body."""
    value = body.get(key)
    if not isinstance(value, str):
        raise web.HTTPBadRequest
    return value
