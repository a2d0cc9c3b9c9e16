"""The gateway's REST side, and the application that joins it with the market hub on one loopback port.

As the fact sheet has it (sections 2 to 5): POST with JSON bodies, a bearer token on all but the login, business
failures as HTTP 200 with an errorCode of the endpoint's own. Who is let in, door.py decides.
"""

import json
import time
from datetime import date
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from .connection import Ending, drop_subscriptions, serve_market_hub
from .contracts import Contract, decimal_text, next_contract
from .door import BARS_PATH, Door, bearer
from .envelope import answer, body_of, text_of
from .faults import FaultRefused, Faults
from .history import History
from .listing import Listing
from .sender import Sender
from .tokens import Tokens
from .trading import Trading
from .truth import name_contracts

MAX_BODY_BYTES = 64 << 10
MAX_FOUND = 20  # contracts in a search answer
_MONTHS = {letter: i + 1 for i, letter in enumerate("FGHJKMNQUVXZ")}
_INVALID_CREDENTIALS, _CONTRACT_NOT_FOUND = 3, 1


class AccessLog(AbstractAccessLogger):
    """Method, path, status. Never the query: it holds tokens."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        self.logger.info("%s %.200s %d", request.method, request.path, response.status)


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
    """contracts: all that are listed. The sender's channels are those that trade. truth_folder: where that is said."""

    def __init__(
        self, contracts: list[Contract], sender: Sender, tokens: Tokens, truth_folder: Path, deflate: bool = False
    ) -> None:
        self.sender = sender
        self._listing = Listing(contracts, sender.channels)
        self._tokens = tokens
        self._truth_folder = truth_folder
        self._door = Door(tokens, deflate)
        self._faults = Faults(sender, self._door)
        self._trading = Trading(self._listing, self._door)
        history = History(self._listing)
        self.app = web.Application(middlewares=[self._door.rest], client_max_size=MAX_BODY_BYTES)
        self.app.add_routes(
            [
                web.post("/api/Auth/loginKey", self._login),
                web.post("/api/Auth/validate", self._validate),
                web.post("/api/Auth/logout", self._logout),
                web.post("/api/Contract/search", self._search),
                web.post("/api/Contract/searchById", self._search_by_id),
                web.post("/api/Contract/available", self._available),
                web.post(BARS_PATH, history.retrieve),
                web.get("/api/Status/ping", self._ping),
                web.post("/hubs/{hub:market|user}/negotiate", self._door.negotiate),
                web.get("/hubs/market", self._market_hub),
                web.post("/simulator/pause", self._pause),
                web.post("/simulator/resume", self._resume),
                web.post("/simulator/end", self._end),
                web.post("/simulator/fault", self._fault),
                web.post("/simulator/roll", self._roll),
                web.get("/simulator/status", self._status),
            ]
        )
        self._trading.join(self.app)

    async def _login(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        token = self._tokens.login(text_of(body, "userName"), text_of(body, "apiKey"), int(time.time()))
        return answer(f'"token":{json.dumps(token)}', 0 if token else _INVALID_CREDENTIALS)

    async def _validate(self, request: web.Request) -> web.Response:
        return answer(f'"newToken":{json.dumps(self._tokens.issue(int(time.time())))}')

    async def _logout(self, request: web.Request) -> web.Response:
        self._tokens.revoke(bearer(request))
        return answer()

    async def _search(self, request: web.Request) -> web.Response:
        text = text_of(await body_of(request), "searchText").lower()
        found = [c for c in self._listing.current if text in c.name.lower() or text in c.description.lower()]
        return self._listed(found[:MAX_FOUND])

    async def _available(self, request: web.Request) -> web.Response:
        await body_of(request)
        return self._listed(self._listing.current)

    def _listed(self, contracts: list[Contract]) -> web.Response:
        return answer(f'"contracts":[{",".join(self._json(contract) for contract in contracts)}]')

    def _json(self, contract: Contract) -> str:
        return contract_json(contract, contract.contract_id in self._listing.trading)

    async def _search_by_id(self, request: web.Request) -> web.Response:
        contract = self._listing.known.get(text_of(await body_of(request), "contractId"))
        if contract is not None:
            return answer(f'"contract":{self._json(contract)}')
        return answer('"contract":null', _CONTRACT_NOT_FOUND)

    async def _ping(self, request: web.Request) -> web.Response:
        return web.json_response("pong")

    async def _market_hub(self, request: web.Request) -> web.StreamResponse:
        expires_s = self._door.admit(request)
        try:
            return await serve_market_hub(request, self._door.terms, expires_s, self.sender, self._listing)
        finally:
            self._door.release(request)

    async def _end(self, request: web.Request) -> web.Response:
        """End all hub connections; the body's keys are those of Ending."""
        try:
            ending = Ending.read(await body_of(request))
        except ValueError as refused:
            raise web.HTTPBadRequest(text=str(refused)) from None
        for connection in list(self._door.terms.open):
            connection.finish(ending)
        return await self._status(request)

    async def _fault(self, request: web.Request) -> web.Response:
        """Do a fault; the body's keys are those of faults.py."""
        try:
            self._faults.inject(await body_of(request))
        except FaultRefused as refused:
            raise web.HTTPBadRequest(text=str(refused)) from None
        return await self._status(request)

    async def _roll(self, request: web.Request) -> web.Response:
        """The next month's contract of a symbol becomes the active one, and carries its flow and truth on."""
        symbol = text_of(await body_of(request), "symbol")
        channel = self.sender.channels.get(symbol)
        if channel is None:
            raise web.HTTPBadRequest(text=f"a symbol is one of {', '.join(self.sender.channels)}")
        try:
            successor = next_contract(channel.contract)
        except ValueError as refused:
            raise web.HTTPBadRequest(text=str(refused)) from None
        self._trading.desk.expire(channel.contract.contract_id)
        self._listing.roll(successor)
        for connection in self._door.terms.open:
            drop_subscriptions(connection, self.sender, symbol)
        channels = self.sender.channels.values()
        name_contracts(self._truth_folder, [(channel.contract, channel.flow.loops) for channel in channels])
        return await self._status(request)

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
                "faults": dict(self._faults.done),
                "subscriptions": [connection.subscribed() for connection in self._door.terms.open],
                "contracts": contracts,
            }
        )
