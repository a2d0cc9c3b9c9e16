"""What the pool of connections and the kept answers save: each beside the same work without it.

The venue is a loopback server in a fork, which answers at once. Over a real network and TLS a new connection costs
several times the distance more, so these ratios are the least that can be had.
"""

import asyncio
import itertools
import math
import random
import socket
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

import orjson
import uvloop

from engine.cache import Caches, kept
from engine.config import HttpSettings
from engine.http import HttpPool

from . import flood
from .forked import forked
from .row import Row, median_of

CONTRACTS = 20  # as many as a search gives
REQUESTS = 60  # a round: below the budget of a minute, which a new pool begins anew
CLOSES = 1440  # a day of minutes
BODY: dict[str, object] = {"searchText": "MNQ", "live": False}
ANSWER = {
    "contracts": [
        {"id": f"CON.F.US.M{n:02}.Z26", "name": f"M{n:02}Z6", "tickSize": 0.25, "activeContract": True}
        for n in range(CONTRACTS)
    ],
    "success": True,
    "errorCode": 0,
    "errorMessage": None,
}


def rows(quick: bool) -> Iterator[Row]:
    rounds = 2 if quick else 15
    with flood.listen() as server, forked(partial(_serve, server)):
        url = f"http://127.0.0.1:{server.getsockname()[1]}/api/Contract/search"
        measured = [uvloop.run(_round_us(url)) for _ in range(rounds + 1)][1:]  # the first does not count
    alone, pooled, cached, joined = (statistics.median(times) for times in zip(*measured, strict=True))
    over_pool = f"over the pool: {pooled:.3g} us"
    yield Row("http", "request over a session and connection of its own", alone, "us")
    yield Row("http", "request over the pool", pooled, "us", f"a session each: {alone:.3g} us", alone)
    yield Row("http", "the same answer from the cache", cached, "us", over_pool, pooled)
    yield Row("http", f"each of {REQUESTS} fetches at once", joined, "us", over_pool, pooled)
    closes = [random.Random(7).uniform(20_000, 21_000) for _ in range(CLOSES)]
    keeping = kept(Caches().calculations)(_volatility)
    made_us = median_of(rounds, lambda: _call_us(_volatility, closes))
    kept_us = median_of(rounds, lambda: _call_us(keeping, closes))
    compared = f"calculated: {made_us:.3g} us"
    yield Row("http", f"volatility of {CLOSES} closes, kept", kept_us, "us", compared, made_us)


async def _round_us(url: str) -> tuple[float, float, float, float]:
    """Microseconds a request: over new connections, over the pool, from the cache, of fetches that are joined."""

    async def alone() -> object:
        async with HttpPool(HttpSettings()) as pool:
            return await pool.post(url, BODY)

    alone_us = await _each_us(alone)
    async with HttpPool(HttpSettings()) as pool:
        fetch = partial(pool.post, url, BODY)
        await fetch()
        pooled_us = await _each_us(fetch)
        cache = Caches().market_data
        cached_us = await _each_us(lambda: cache.fetch("contracts", fetch))
        begin_ns = time.perf_counter_ns()
        await asyncio.gather(*(cache.fetch("again", fetch) for _ in range(REQUESTS)))
        joined_us = (time.perf_counter_ns() - begin_ns) / 1e3 / REQUESTS
        assert pool.requests == 1 + REQUESTS + 2
    return alone_us, pooled_us, cached_us, joined_us


async def _each_us(ask: Callable[[], Awaitable[object]]) -> float:
    """REQUESTS of them, one after the other."""
    begin_ns = time.perf_counter_ns()
    for _ in range(REQUESTS):
        await ask()
    return (time.perf_counter_ns() - begin_ns) / 1e3 / REQUESTS


def _volatility(closes: Sequence[float]) -> float:
    return statistics.stdev(math.log(b / a) for a, b in itertools.pairwise(closes))


def _call_us(calculate: Callable[[Sequence[float]], float], closes: Sequence[float]) -> float:
    begin_ns = time.perf_counter_ns()
    calculate(closes)
    return (time.perf_counter_ns() - begin_ns) / 1e3


def _serve(server: socket.socket) -> None:
    """Answer every request with the same bytes; on bare streams, because it shares two cores with what is measured."""
    body = orjson.dumps(ANSWER)
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(maxsplit=1)[0]))
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def listen() -> None:
        await (await asyncio.start_server(talk, sock=server)).serve_forever()

    uvloop.run(listen())
