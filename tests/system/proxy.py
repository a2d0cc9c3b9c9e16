"""A TCP proxy that does to a venue's connections what networks do: seven kinds of misery, each as a class.

It stands on a loopback port between the engine and the simulator, in a thread of its own. What goes from the venue to
the engine goes through the misery that is set; the other way is left alone. Every piece that is cut and every delay
comes from the seed, the number of the connection and what has passed. Kinds that only strain a connection are set with
`strain` and hold for the connections to come, until `relax`; kinds that end it are done to the hub connections that
are open now, with `hit`, once. Only a hub's connection is hit: a pool's idle ones have nothing to lose.
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final

CHUNK_BYTES: Final = 16 << 10
WAITING_CHUNKS: Final = 64  # between the two sides of a link; then the venue feels it
HUB: Final = b"GET /hubs/"
SWITCHED: Final = b"HTTP/1.1 101 "
LIMIT_S: Final = 30.0
_PART_S: Final = 0.02


class Misery:
    """What is done to the bytes of a link on their way to the engine. This one does nothing."""

    async def carry(self, link: "Link", data: bytes, came_s: float) -> None:
        """Pass on what came from the venue at `came_s`, in order."""
        await link.give(data)

    async def close(self, link: "Link") -> None:
        """The venue has closed its side."""


class Latency(Misery):
    """Bytes arrive later, each by another amount, and never before those in front of them."""

    def __init__(self, mean_s: float, jitter_s: float) -> None:
        self.mean_s, self.jitter_s = mean_s, jitter_s

    async def carry(self, link: "Link", data: bytes, came_s: float) -> None:
        due_s = came_s + self.mean_s + link.chance.uniform(-self.jitter_s, self.jitter_s)
        await link.pause(due_s - link.now_s(), self)
        await link.give(data)


class Bandwidth(Misery):
    """So many bytes a second, and no more."""

    def __init__(self, bytes_per_s: int) -> None:
        self.bytes_per_s = bytes_per_s

    async def carry(self, link: "Link", data: bytes, came_s: float) -> None:
        part_bytes = max(1, int(self.bytes_per_s * _PART_S))
        for at in range(0, len(data), part_bytes):
            await link.give(data[at : at + part_bytes])
            await link.pause(_PART_S, self)


class Slicing(Misery):
    """Each read of the venue's side arrives as many small segments."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    async def carry(self, link: "Link", data: bytes, came_s: float) -> None:
        at = 0
        while at < len(data):
            end = at + link.chance.randint(1, self.max_bytes)
            await link.give(data[at:end])
            link.proxy.slices += 1
            at = end
            await asyncio.sleep(0)  # not joined in our own buffer with the next


class SlowClose(Misery):
    """The venue closes; the engine is told so much later, and hears nothing until then."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s

    async def close(self, link: "Link") -> None:
        link.broken()
        await asyncio.sleep(self.delay_s)


class Timeout(Misery):
    """Nothing arrives any more, and after a while the connection is closed; None: it never is."""

    def __init__(self, closes_after_s: float | None) -> None:
        self.closes_after_s = closes_after_s

    async def carry(self, link: "Link", data: bytes, came_s: float) -> None:
        link.broken()
        if self.closes_after_s is None:
            await asyncio.Event().wait()  # the engine has to go by itself
        else:
            await asyncio.sleep(self.closes_after_s)
            link.end()


class LimitedData(Misery):
    """So many more bytes arrive, wherever in a record that is; then the connection is closed."""

    def __init__(self, more_bytes: int) -> None:
        self.more_bytes = more_bytes

    async def carry(self, link: "Link", data: bytes, came_s: float) -> None:
        await link.give(data[: self.more_bytes])
        self.more_bytes -= len(data)
        if self.more_bytes <= 0:
            link.broken()
            self.finish(link)

    def finish(self, link: "Link") -> None:
        link.end()


class Reset(LimitedData):
    """As limited data, but the end is a reset."""

    def finish(self, link: "Link") -> None:
        link.reset()


class Link:
    """One connection of the engine's and the one that was made to the venue for it."""

    def __init__(self, proxy: "Proxy", number: int, writer: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.chance = random.Random(f"{proxy.seed} {number}")
        self.is_hub = False
        self.done_to: Misery | None = None
        self._is_broken = False
        self._writer = writer
        self._venue: asyncio.StreamWriter | None = None

    @property
    def misery(self) -> Misery:
        return self.done_to or self.proxy.strained

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def pause(self, seconds: float, misery: Misery) -> None:
        """Wait so long, but only while this misery is in force."""
        ends_s = self.now_s() + seconds
        while self.misery is misery and (left_s := ends_s - self.now_s()) > 0:
            await asyncio.sleep(min(left_s, _PART_S))

    async def give(self, data: bytes) -> None:
        """Hand bytes to the engine's side."""
        self._writer.write(data)
        await self._writer.drain()

    def broken(self) -> None:
        """Count the connection as one that was ended here; once."""
        if not self._is_broken:
            self._is_broken = True
            self.proxy.injected += 1

    def end(self) -> None:
        """Close both sides in order. Both at once: the venue must not go on sending to nobody."""
        self._writer.close()
        if self._venue is not None:
            self._venue.close()

    def reset(self) -> None:
        """Close both sides, the engine's by a reset."""
        own: socket.socket = self._writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        if self._venue is not None:
            self._venue.close()

    async def run(self, reader: asyncio.StreamReader, port: int) -> None:
        """Carry both ways until one side has ended; then the other one ends too."""
        venue_reader, self._venue = await asyncio.open_connection("127.0.0.1", port)
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WAITING_CHUNKS)
        ways: list[Coroutine[Any, Any, None]] = [
            self._to_venue(reader, self._venue),
            self._from_venue(venue_reader, chunks),
            self._to_engine(chunks),
        ]
        to_venue, _, to_engine = tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait([to_venue, to_engine], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.end()

    async def _to_venue(self, reader: asyncio.StreamReader, venue: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            self.is_hub = self.is_hub or data.startswith(HUB)
            venue.write(data)
            await venue.drain()

    async def _from_venue(self, venue: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, bytes]]) -> None:
        try:
            while data := await venue.read(CHUNK_BYTES):
                if data.startswith(SWITCHED):
                    self.proxy.agreed_to_deflate = b"permessage-deflate" in data
                await chunks.put((self.now_s(), data))
        except ConnectionError:
            pass
        await chunks.put((self.now_s(), b""))

    async def _to_engine(self, chunks: asyncio.Queue[tuple[float, bytes]]) -> None:
        while True:
            came_s, data = await chunks.get()
            if not data:
                await self.misery.close(self)
                return
            await self.misery.carry(self, data, came_s)


class Proxy:
    """`with Proxy(port, seed) as proxy`: everything that is sent to `proxy.url` goes to that port of this machine.

    `injected` counts the hub connections that were ended here, `slices` the pieces that Slicing has made;
    `agreed_to_deflate` is what the venue has last said to a websocket.
    """

    def __init__(self, port: int, seed: int) -> None:
        self.seed = seed
        self.injected = 0
        self.slices = 0
        self.agreed_to_deflate = False
        self._accepted = 0
        self.strained: Misery = Misery()
        self.url = ""
        self._port = port
        self._links: set[Link] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), name="proxy")

    def __enter__(self) -> "Proxy":
        self._thread.start()
        assert self._ready.wait(LIMIT_S), "the proxy has no port"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive(), "the proxy does not end"
        self._loop.close()

    def strain(self, misery: Misery) -> None:
        """Put every connection, also those to come, under `misery`."""
        self.strained = misery

    def relax(self) -> None:
        self.strained = Misery()

    def hit(self, misery: Misery) -> None:
        """Do `misery` to the hub connections that are open now."""
        self._loop.call_soon_threadsafe(self._hit, misery)

    def cut(self) -> None:
        """End the hub connections that are open now, in the middle of whatever they carry."""
        self._loop.call_soon_threadsafe(self._cut)

    @property
    def open_hubs(self) -> int:
        return sum(link.is_hub for link in tuple(self._links))

    def _hit(self, misery: Misery) -> None:
        for link in self._links:
            if link.is_hub:
                link.done_to = misery

    def _cut(self) -> None:
        for link in self._links:
            if link.is_hub:
                link.broken()
                link.end()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._ended.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        link = Link(self, self._accepted, writer)
        self._links.add(link)
        try:
            await link.run(reader, self._port)
        except OSError:
            writer.close()  # the venue does not listen any more
        finally:
            self._links.discard(link)
