"""The sender: keeps the schedule, whatever the clients do, and hands each of them its frames once a tick.

A late tick sends all that is due by then and counts how late it was; nothing is left out. A client that lets more
than MAX_BEHIND_BYTES pile up is cut off: it must not cost the others their time or us our memory. Only a flow that
is sent as fast as possible looks at the clients: it waits while any of them is UNPACED_BEHIND_BYTES behind.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import numpy as np

from .channel import MAX_RUN, Channel
from .flow import Kind
from .schedule import Schedule

MAX_BEHIND_BYTES = 8 << 20
UNPACED_BEHIND_BYTES = 256 << 10
UNPACED_RUN = 128
TICK_S = 0.001
IDLE_S = 0.05
LATE_S = 0.05  # a tick later than this is counted
OUT_BYTES = 1 << 20
_DEPTH_AND_TRADES = 1 << Kind.DEPTH | 1 << Kind.TRADES


class Client(Protocol):
    """What the sender wants of a connection."""

    wanted: dict[str, int]  # symbol → bits 1 << Kind

    def write(self, frames: bytes) -> None: ...

    def behind_bytes(self) -> int: ...

    def cut_off(self, why: str) -> None: ...


class Sender:
    """Owns the channels' positions. One thread: every method is called from the event loop."""

    def __init__(
        self,
        channels: dict[str, Channel],
        schedules: dict[str, Schedule],
        now_ns: Callable[[], int] = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
        gaps_s: Mapping[str, float] | None = None,
        spare: Collection[str] = (),
    ) -> None:
        """gaps_s: by symbol, the least time between two records, which then leave one at a time (plain.py).
        spare: whose flow begins when a client has depth and trades of it."""
        self.channels = channels
        self.clients: set[Client] = set()
        self.paused = False
        self.ticks = 0
        self.late_ticks = 0
        self.late_s_max = 0.0
        self.cut_off = 0
        self._schedules = schedules
        self._gaps_s = gaps_s or {}
        self._now_ns = now_ns
        self._monotonic_s = monotonic_s
        self._out = np.empty(OUT_BYTES, np.uint8)
        # Seconds a contract has been running, and when that was brought up to date. A recorded flow does not run
        # before a client has asked for its depth and its trades, because it is sent once; a spare one, because it
        # would cost time for nobody.
        self._elapsed_s = dict.fromkeys(channels, 0.0)
        self._running = {symbol: channel.flow.loops and symbol not in spare for symbol, channel in channels.items()}
        self._next_s = {symbol: schedules[symbol].due_at(0) for symbol in channels}
        self._read_s = monotonic_s()
        self._active_s = 0.0

    @property
    def active_s(self) -> float:
        """Seconds not paused."""
        return self._active_s

    def pause(self) -> None:
        """Send nothing more until `resume`; the schedule stands still."""
        self._pass_time()
        self.paused = True

    def resume(self) -> None:
        self._pass_time()
        self.paused = False

    def start_flows(self, client: Client) -> None:
        """Start the flows that wait until a client has depth and trades of them."""
        self._pass_time()
        for symbol, wanted in client.wanted.items():
            if wanted & _DEPTH_AND_TRADES == _DEPTH_AND_TRADES:
                self._running[symbol] = True

    def finished(self, symbol: str) -> bool:
        """A recorded flow of which everything was sent."""
        channel = self.channels[symbol]
        return not channel.flow.loops and channel.position >= len(channel.flow)

    def _pass_time(self) -> None:
        now_s = self._monotonic_s()
        passed_s, self._read_s = now_s - self._read_s, now_s
        if self.paused:
            return
        self._active_s += passed_s
        for symbol, running in self._running.items():
            if running:
                self._elapsed_s[symbol] += passed_s

    def tick(self) -> float:
        """Send what is due. Returns in how many seconds more will be."""
        if self.paused:
            return IDLE_S
        self._pass_time()
        self.ticks += 1
        now_ns = self._now_ns()
        begins: dict[str, int] = {}
        late_s, wait_s = 0.0, IDLE_S
        for symbol, channel in self.channels.items():
            if not self._running[symbol]:
                continue
            elapsed_s = self._elapsed_s[symbol]
            next_s = self._next_s[symbol]
            if next_s <= elapsed_s:
                late_s = max(late_s, elapsed_s - next_s)
                begins[symbol] = channel.log.count
                next_s = self._advance(symbol, channel, elapsed_s, now_ns)
            wait_s = min(wait_s, next_s - elapsed_s)
        self.late_s_max = max(self.late_s_max, late_s)
        self.late_ticks += late_s > LATE_S
        if begins:
            for client in list(self.clients):
                self._send(client, begins)
        return wait_s if wait_s <= 0 else max(wait_s, TICK_S)

    def _advance(self, symbol: str, channel: Channel, elapsed_s: float, now_ns: int) -> float:
        """Stamp what is due of one contract. Returns when the next record of it will be."""
        schedule = self._schedules[symbol]
        n = min(schedule.due(elapsed_s) - channel.position, MAX_RUN)
        if schedule.unpaced:
            behind_bytes = max((client.behind_bytes() for client in self.clients if symbol in client.wanted), default=0)
            n = min(n, UNPACED_RUN) if behind_bytes <= UNPACED_BEHIND_BYTES else 0
        gap_s = self._gaps_s.get(symbol, 0.0)
        if gap_s:
            n = min(n, 1)
        if n > 0:
            channel.advance(n, now_ns)
        due_s = schedule.due_at(channel.position)
        if gap_s:
            due_s = max(due_s, elapsed_s + gap_s)
        if schedule.unpaced and due_s <= elapsed_s:
            due_s = elapsed_s if n > 0 else elapsed_s + TICK_S
        self._next_s[symbol] = due_s
        return due_s

    def _send(self, client: Client, begins: dict[str, int]) -> None:
        at = 0
        for symbol, begin in begins.items():
            wanted = client.wanted.get(symbol, 0)
            channel = self.channels[symbol]
            while wanted and begin < channel.log.count:
                begin, at = channel.copy(begin, wanted, self._out, at)
                if begin < channel.log.count:  # the buffer is full
                    client.write(self._out[:at].tobytes())
                    at = 0
        if at:
            client.write(self._out[:at].tobytes())
        if client.behind_bytes() > MAX_BEHIND_BYTES:
            self.cut_off += 1
            client.cut_off(f"more than {MAX_BEHIND_BYTES >> 20} MiB behind")

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self.tick())
