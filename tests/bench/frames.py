"""What a frame costs the I/O process from the socket to the ring, above what aiohttp's bare receive costs.

Another process floods a loopback websocket, so the receiver is never idle and its CPU time is all work. First a bare
`receive()` loop takes the frames and throws them away; then the engine's own feed, router and rings do. Rings are
emptied by a third process that only moves their release position: no worker competes for the two cores.
"""

import asyncio
import mmap
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import aiohttp
import numpy as np
import uvloop

from engine.clock import Clock
from engine.config import Credentials, FeedSettings, HttpSettings, SymbolSettings
from engine.feeds import projectx
from engine.feeds.gateway import Contract, Gateway
from engine.feeds.market import Feed
from engine.http import HttpPool
from engine.page import Page
from engine.router import Lane, Router
from shm import layout
from shm.layout import Words
from shm.ring import RingWriter

from . import flood, records
from .forked import forked
from .row import Promise, Row

SYMBOLS = ("MNQ", "MES", "NQ", "ES", "GC", "CL")
DISTINCT = 1200  # records of one instrument: together about the size of a cache
RING_BYTES = 4 << 20
DRAIN_EVERY_S = 0.001
PROMISED_US = Promise(1.0)


def rows(quick: bool) -> Iterator[Row]:
    repeats, rounds = (3, 3) if quick else (15, 9)
    payloads = _payloads()
    count = len(payloads) * repeats
    here, there = socket.socketpair()
    with ExitStack() as stack:
        server = stack.enter_context(flood.listen())
        stack.enter_context(here)
        stack.enter_context(there)
        rings = [_shared_ring() for _ in SYMBOLS]
        stack.enter_context(forked(partial(flood.serve, server, there, payloads, repeats)))
        stack.enter_context(forked(partial(_drain, rings)))
        url = f"http://127.0.0.1:{server.getsockname()[1]}/hub"
        bare, whole = [], []
        for _ in range(rounds + 1):  # the first does not count
            bare.append(uvloop.run(_bare_s(url, here, count)) * 1e6 / count)
            whole.append(uvloop.run(_engine_s(url, here, rings, count)) * 1e6 / count)
    bare_us, whole_us = statistics.median(bare[1:]), statistics.median(whole[1:])
    above_us = statistics.median(b - a for a, b in zip(bare[1:], whole[1:], strict=True))
    compared = f"aiohttp's bare receive: {bare_us:.3g} us"
    size = sum(map(len, payloads)) // len(payloads)
    yield Row("frames", f"bare receive of {size} bytes, CPU", bare_us, "us")
    yield Row("frames", "socket to ring, CPU", whole_us, "us", compared, bare_us)
    yield Row("frames", "the engine's share of it", above_us, "us", compared, bare_us, PROMISED_US)
    yield Row("frames", "RingWriter.push by itself, CPU", _push_us(payloads, 3 if quick else 9), "us")


def _payloads() -> list[bytes]:
    """Frames of one record each, the instruments in turn; one in six is a list of trades."""
    streams = []
    for number, symbol in enumerate(SYMBOLS):
        contract = _contract(symbol).contract_id
        stream = records.depths(DISTINCT, records.ENTRIES, contract, seed=number)
        stream[::6] = records.trades(len(stream[::6]), 2, contract, seed=number)
        streams.append(stream)
    return [record + projectx.SEPARATOR for turn in zip(*streams, strict=True) for record in turn]


def _contract(symbol: str) -> Contract:
    return Contract(f"CON.F.US.{symbol}.Z26", f"{symbol}Z6", 250_000_000)


class NoGateway(Gateway):
    """Contracts and a token without a venue to ask."""

    async def token(self) -> str:
        return "none"

    async def accounts(self) -> int:
        return 0

    async def contract(self, settings: SymbolSettings) -> Contract:
        return _contract(settings.symbol)


async def _bare_s(url: str, go: socket.socket, count: int) -> float:
    """CPU seconds of this process for `count` frames, received as the engine receives them and forgotten."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            url, decode_text=False, compress=0, max_msg_size=projectx.MAX_RECORD_BYTES, autoping=False
        ) as connection,
    ):
        receive = connection.receive
        await receive()  # the hub's answer to a handshake
        begin_s = time.process_time()
        go.send(b"g")
        for _ in range(count):
            await receive()
        return time.process_time() - begin_s


async def _engine_s(url: str, go: socket.socket, rings: list[Words], count: int) -> float:
    """CPU seconds of this process until `count` messages are in the rings."""
    page = Page(np.zeros(layout.ENGINE_BYTES // 8, layout.WORDS))
    writers = [RingWriter(ring, 1) for ring in rings]
    lanes = [Lane(SymbolSettings(symbol), writer) for symbol, writer in zip(SYMBOLS, writers, strict=True)]
    clock = Clock(writers, page, _boottime_ns)
    loop = asyncio.get_running_loop()
    router = Router(projectx.KEY_PLACE, loop.call_soon, _boottime_ns, clock.notice)
    streaming = asyncio.Event()
    async with HttpPool(HttpSettings()) as pool:
        gateway = NoGateway(pool, url, Credentials("bench", "none"), time.time)
        said = streaming.set, lambda lane, refusal: None, lambda lane: None
        feed = Feed(FeedSettings(), url, pool, gateway, router, lanes, page, _boottime_ns, *said)
        running = loop.create_task(feed.run())
        await streaming.wait()
        wanted = count + sum(writer.delivered for writer in writers)
        clock.tick()
        begin_s = time.process_time()
        go.send(b"g")
        while sum(writer.delivered for writer in writers) < wanted:
            await asyncio.sleep(0.002)
            clock.tick()
        spent_s = time.process_time() - begin_s
        running.cancel()
        await asyncio.wait([running])
    assert page.read("refused_frames") == page.read("unrouted") == 0
    assert all(writer.dropped == 0 for writer in writers)
    return spent_s


def _push_us(payloads: list[bytes], rounds: int) -> float:
    """What putting in and publishing costs by itself, sixteen records a publication."""
    ring = _shared_ring()
    writer = RingWriter(ring, 1)
    times = []
    for _ in range(rounds + 1):
        begin_ns = time.process_time_ns()
        for first in range(0, len(payloads), 16):
            for payload in payloads[first : first + 16]:
                writer.push(payload)
            writer.publish()
            ring[layout.HEAD] = ring[layout.TAIL]
        times.append((time.process_time_ns() - begin_ns) / 1e3 / len(payloads))
    return statistics.median(times[1:])


def _shared_ring() -> Words:
    """A ring in memory that forks share; every page of it touched."""
    regions = layout.ring_regions(RING_BYTES)
    memory: Any = mmap.mmap(-1, regions["words"].nbytes)
    words: Words = np.frombuffer(memory, layout.WORDS)
    words[:] = 0
    words[layout.CAPACITY] = RING_BYTES
    return words


def _drain(rings: list[Words]) -> None:
    """Release whatever is published, as a worker with no work would."""
    while True:
        for ring in rings:
            ring[layout.HEAD] = ring[layout.TAIL]
        time.sleep(DRAIN_EVERY_S)


def _boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
