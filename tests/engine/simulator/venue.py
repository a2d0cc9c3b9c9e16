"""A gateway in the test's own process, and a client of it that follows the fact sheet and nothing else."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.log import access_logger

from engine.simulator.__main__ import Job, build
from engine.simulator.gateway import AccessLog, Gateway
from engine.simulator.truth import Truth
from tests.serving import serving

USER, KEY = "trader1", "k3y-abcdefghij"
LIMIT_S = 20.0
STORY_LIMIT_S = 60.0


def job(folder: Path, **changed: Any) -> Job:
    """A small job; `changed` are its keys."""
    plain: dict[str, Any] = {
        **{"port": 0, "seed": 11, "rate_entries_per_s": 3000.0, "symbols": ["MNQ", "GC"], "flow": None, "pace": None},
        **{"crossed": False, "truth_folder": str(folder / "truth"), "user_name": USER, "supervisor_pid": None},
        "api_key_sha256": hashlib.sha256(KEY.encode()).hexdigest(),
    }
    return Job.read(json.dumps(plain | changed))


class Client:
    """One market hub connection. `books`: what the depth lists add up to, by contract; `tape` the trades."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.books: dict[str, tuple[dict[float, int], dict[float, int]]] = {}
        self.stamps: dict[str, str] = {}
        self.tape: list[tuple[str, float, int, int]] = []

    async def say(self, **record: Any) -> None:
        await self.socket.send_str(json.dumps(record) + "\x1e")

    async def call(self, target: str, *arguments: Any, invocation_id: str | None = None) -> None:
        given = {"invocationId": invocation_id} if invocation_id else {}
        await self.say(type=1, target=target, arguments=list(arguments), **given)

    async def hear(self) -> list[dict[str, Any]]:
        """The records of the next websocket message."""
        message = await self.socket.receive(LIMIT_S)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        *records, rest = message.data.split("\x1e")
        assert not rest
        heard = [json.loads(record) for record in records]
        for record in heard:
            self._take(record)
        return heard

    async def hear_until(self, wanted: Any) -> dict[str, Any]:
        """The first record for which `wanted(record)` is true."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                for record in await self.hear():
                    if wanted(record):
                        return record

    def _take(self, record: dict[str, Any]) -> None:
        self.messages.append(record)
        if record.get("target") == "GatewayDepth":
            contract_id, entries = record["arguments"]
            assert len({entry["timestamp"] for entry in entries}) == 1
            book = self.books.setdefault(contract_id, ({}, {}))
            for entry in entries:
                assert entry["volume"] == entry["currentVolume"]
                _apply(book, entry["type"], entry["price"], entry["volume"])
            self.stamps[contract_id] = entries[0]["timestamp"]
        elif record.get("target") == "GatewayTrade":
            contract_id, trades = record["arguments"]
            self.tape += [(contract_id, trade["price"], trade["volume"], trade["type"]) for trade in trades]


def _apply(book: tuple[dict[float, int], dict[float, int]], code: int, price: float, size: int) -> None:
    bids, asks = book
    if code == 6:
        bids.clear()
        asks.clear()
    if code not in (1, 2, 3, 4, 9, 10):
        return
    side = bids if code in (2, 4, 9) else asks
    side[price] = size
    if code in (4, 9):
        for level in [level for level in bids if level > price]:
            del bids[level]
    if code in (3, 10):
        for level in [level for level in asks if level < price]:
            del asks[level]
    if code == 9:
        for level in [level for level in asks if level <= price]:
            del asks[level]
    if code == 10:
        for level in [level for level in bids if level >= price]:
            del bids[level]
    if not side[price]:
        del side[price]


def stamp_ns(text: str) -> int:
    """Nanoseconds of a stamp with seven fractional digits."""
    whole, _, rest = text.partition(".")
    assert rest[7:] == "+00:00"
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(rest[:7]) * 100


class Venue:
    """A running gateway."""

    def __init__(self, gateway: Gateway, url: str, session: aiohttp.ClientSession, truth: Truth) -> None:
        self.gateway = gateway
        self.url = url
        self.session = session
        self.truth = truth

    async def post(self, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Status and JSON answer, None if it is none."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.post(self.url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json" and text
            return answer.status, json.loads(text) if is_json else None

    async def login(self) -> str:
        status, answer = await self.post("/api/Auth/loginKey", {"userName": USER, "apiKey": KEY})
        assert status == 200
        assert answer["success"]
        return str(answer["token"])

    @asynccontextmanager
    async def connected(
        self, hello: bool = True, hub: str = "market", query: str = "", deflate_bits: int = 0
    ) -> AsyncIterator[Client]:
        token = await self.login()
        url = f"{self.url}/hubs/{hub}?access_token={token}{query}"
        async with self.session.ws_connect(url, max_msg_size=1 << 20, compress=deflate_bits) as socket:
            client = Client(socket)
            if hello:
                await client.say(protocol="json", version=1)
                assert await client.hear() == [{}]
            yield client

    def agrees(self, client: Client, contract_id: str) -> bool:
        """Whether a client's book is the truth at the client's stamp, level by level."""
        truth = self.truth[contract_id]
        tick = truth.tick_e9 / 1e9
        for levels, true in zip(
            client.books[contract_id], truth.book_at(stamp_ns(client.stamps[contract_id])), strict=True
        ):
            if {round(price / tick): size for price, size in levels.items()} != dict(true.tolist()):
                return False
        return True


Story = Callable[[Venue], Awaitable[None]]


@asynccontextmanager
async def venue(folder: Path, **changed: Any) -> AsyncIterator[Venue]:
    """A gateway and its sender, started and stopped; `changed` are keys of the job."""
    gateway = build(job(folder, **changed))
    async with serving(gateway.app, access_log=access_logger, access_log_class=AccessLog) as url:
        sending = asyncio.create_task(gateway.sender.run())
        try:
            async with aiohttp.ClientSession() as session:
                yield Venue(gateway, url, session, Truth.open(folder / "truth"))
        finally:
            sending.cancel()


def play(folder: Path, story: Story, **changed: Any) -> None:
    """Tell a story to a gateway that runs while it lasts; `changed` are keys of the job."""

    async def run() -> None:
        async with venue(folder, **changed) as running:
            await asyncio.wait_for(story(running), STORY_LIMIT_S)

    asyncio.run(run())
