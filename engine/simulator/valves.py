"""What a fault puts between a connection and its socket: a valve is written to in place of the transport.

Only whole chunks go on, as they were written, but for the one that a Cut breaks in two: so nothing that the websocket
says of itself, such as the answer to a ping, ever lands in the middle of a frame.
"""

import asyncio
from collections import deque
from typing import Protocol

TICK_S = 0.02


class Valve(Protocol):
    """held_bytes: what was written and has not gone on. `open` lets go of all of it, before the valve is taken out."""

    held_bytes: int

    def write(self, chunk: bytes) -> None: ...

    def open(self) -> None: ...


class Held:
    """Nothing goes through."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.held_bytes = 0
        self._transport = transport
        self._chunks: deque[bytes] = deque()

    def write(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self.held_bytes += len(chunk)

    def open(self) -> None:
        self._let_go(self.held_bytes)

    def _let_go(self, upto_bytes: int) -> int:
        """Write chunks as long as they begin within so many bytes. Returns how many bytes that was."""
        gone = 0
        while self._chunks and gone < upto_bytes and not self._transport.is_closing():
            chunk = self._chunks.popleft()
            self._transport.write(chunk)
            gone += len(chunk)
        self.held_bytes -= gone
        return gone


class Dripping(Held):
    """Only so many bytes a second go through, as into the socket of a client that reads no faster."""

    def __init__(self, transport: asyncio.Transport, bytes_per_s: int) -> None:
        super().__init__(transport)
        self._bytes_a_tick = bytes_per_s * TICK_S
        self._due_bytes = 0.0
        self._task = asyncio.create_task(self._drip())

    def open(self) -> None:
        self._task.cancel()
        super().open()

    async def _drip(self) -> None:
        while not self._transport.is_closing():
            await asyncio.sleep(TICK_S)
            self._due_bytes = min(self._due_bytes, 0.0) + self._bytes_a_tick  # what was not used is gone
            if self._due_bytes > 0:
                self._due_bytes -= self._let_go(1)  # one chunk at a time, however large, and then its time is paid for


class Cut:
    """The first half of the next chunk goes through, and then the socket is closed."""

    held_bytes = 0

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, chunk: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(chunk[: max(1, len(chunk) // 2)])
            self._transport.close()

    def open(self) -> None:
        """There is nothing to let go of."""
