"""What a frame costs the I/O process from the socket to the ring, above what aiohttp's bare receive costs.

Another process floods a loopback websocket, so the receiver is never idle and its CPU time is all work. First a bare
`receive()` loop takes the frames and throws them away; then the engine's own feed, router and rings do. Rings are
emptied by a third process that only moves their release position: no worker competes for the two cores. With a
recorder, every publication is copied into its ring too, which is emptied in the same way.
"""

import asyncio
import mmap
import socket
import statistics
import time
from collections.abc import Iterable, Iterator
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
RECORDER_BYTES = 8 << 20
BATCH = 16  # records a publication, where pushing is measured by itself
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
        recorder = _shared_ring(RECORDER_BYTES)
        stack.enter_context(forked(partial(flood.serve, server, there, payloads, repeats)))
        stack.enter_context(forked(partial(_drain, [*rings, recorder])))
        url = f"http://127.0.0.1:{server.getsockname()[1]}/hub"
        bare, whole, recorded = [], [], []
        for _ in range(rounds + 1):  # the first does not count
            bare.append(uvloop.run(_bare_s(url, here, count)) * 1e6 / count)
            whole.append(uvloop.run(_engine_s(url, here, rings, None, count)) * 1e6 / count)
            recorded.append(uvloop.run(_engine_s(url, here, rings, recorder, count)) * 1e6 / count)
    bare_us, whole_us, recorded_us = (statistics.median(each[1:]) for each in (bare, whole, recorded))
    above_us = statistics.median(b - a for a, b in zip(bare[1:], whole[1:], strict=True))
    compared = f"aiohttp's bare receive: {bare_us:.3g} us"
    size = sum(map(len, payloads)) // len(payloads)
    yield Row("frames", f"bare receive of {size} bytes, CPU", bare_us, "us")
    yield Row("frames", "socket to ring, CPU", whole_us, "us", compared, bare_us)
    yield Row("frames", "the engine's share of it", above_us, "us", compared, bare_us, PROMISED_US)
    without = f"without a recorder: {whole_us:.3g} us"
    yield Row("frames", "socket to ring and recorder's ring, CPU", recorded_us, "us", without, whole_us)
    push_us, recorded_us = _push_us(payloads, rounds)
    yield Row("frames", f"RingWriter.push by itself, {BATCH} a publication, CPU", push_us, "us")
    without = f"without a recorder: {push_us:.3g} us"
    yield Row("frames", "the same with a recorder's ring", recorded_us, "us", without, push_us)


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


async def _engine_s(url: str, go: socket.socket, rings: list[Words], recorder: Words | None, count: int) -> float:
    """CPU seconds of this process until `count` messages are in the rings."""
    page = Page(np.zeros(layout.ENGINE_BYTES // 8, layout.WORDS))
    writers = _writers(rings, recorder)
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


def _writers(rings: list[Words], recorder: Words | None) -> list[RingWriter]:
    writers = [RingWriter(ring, 1) for ring in rings]
    if recorder is not None:
        RingWriter(recorder, 1)
        for symbol, writer in zip(SYMBOLS, writers, strict=False):
            writer.record(recorder, symbol, 1)
    return writers


def _push_us(payloads: list[bytes], rounds: int) -> tuple[float, float]:
    """What putting in and publishing costs by itself, without a recorder and with one."""
    rings = _shared_ring(), _shared_ring(RECORDER_BYTES)
    without, recorded = [], []
    for _ in range(rounds + 1):
        without.append(_pushed_us(payloads, rings, None))
        recorded.append(_pushed_us(payloads, rings, rings[1]))
        assert rings[0][layout.UNRECORDED_BYTES] == 0
    return statistics.median(without[1:]), statistics.median(recorded[1:])


def _pushed_us(payloads: list[bytes], rings: tuple[Words, ...], recorder: Words | None) -> float:
    """The first of the rings is pushed into; all are emptied after each publication."""
    (writer,) = _writers([rings[0]], recorder)
    begin_ns = time.process_time_ns()
    for first in range(0, len(payloads), BATCH):
        for payload in payloads[first : first + BATCH]:
            writer.push(payload)
        writer.publish()
        _empty(rings)
    return (time.process_time_ns() - begin_ns) / 1e3 / len(payloads)


def _shared_ring(capacity: int = RING_BYTES) -> Words:
    """A ring in memory that forks share; every page of it touched."""
    regions = layout.ring_regions(capacity)
    memory: Any = mmap.mmap(-1, regions["words"].nbytes)
    words: Words = np.frombuffer(memory, layout.WORDS)
    words[:] = 0
    words[layout.CAPACITY] = capacity
    return words


def _drain(rings: list[Words]) -> None:
    """Release whatever is published, as a worker with no work would."""
    while True:
        _empty(rings)
        time.sleep(DRAIN_EVERY_S)


def _empty(rings: Iterable[Words]) -> None:
    for ring in rings:
        ring[layout.HEAD] = ring[layout.TAIL]


def _boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
