"""What a record costs a worker, from the ring to the published cell, in batches; and the same in plain Python.

The rig is one ring and one book in private memory, so the time is the pump's alone: no wake-up, no other process.
Rings hold at most a quarter of their bytes before a checkpoint, so a round fills just that: pumped, then
checkpointed. "With checkpoint" is both.
"""

import statistics
import tempfile
import time
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from shm import layout
from tests.workers.rig import NOWHERE, Rig
from workers import pump
from workers.hotfile import Plan, plan

from . import records
from .row import Promise, Row

RING_BYTES = 4 << 20
LEVELS = 64
BATCHES = (16, 256)
TRADES_A_RECORD = 3
BAR_COUNTS = (1, 5, 13)
TIMEFRAMES = ["1s", "1m", "5m", "1h", "15s", "5s", "30s", "15m", "30m", "4h", "100tick", "500vol", "1000000usd"]
PROMISED_US = Promise(4.5)  # of a depth record of 20 entries


def rows(quick: bool) -> Iterator[Row]:
    rounds = 3 if quick else 15
    kinds = [(f"depth of {n}", records.depths(2000, [n])) for n in (1, 6, 20)]
    kinds.append((f"trades of {TRADES_A_RECORD}", records.trades(2000, TRADES_A_RECORD)))
    for name, messages in kinds:
        for batch in BATCHES:
            yield from _compare(name, messages, batch, rounds)
    yield from _bars(rounds)
    yield Row("worker", "a pump that finds an empty ring", _empty_us(rounds), "us")


def _compare(name: str, messages: Sequence[bytes], batch: int, rounds: int) -> Iterator[Row]:
    part = messages[: RING_BYTES // 4 // (max(map(len, messages)) + layout.RECORD_BYTES + 8)]
    ours = Ours(batch)
    plain = Plain()
    plain_us = statistics.median(plain.round_us(part, batch) for _ in range(rounds))
    ours.round_us(part)
    timed = [ours.round_us(part) for _ in range(rounds)]
    ours.check()
    pumped_us = statistics.median(pumped for pumped, _ in timed)
    whole_us = statistics.median(pumped + checkpoint for pumped, checkpoint in timed)
    promise = PROMISED_US if name == "depth of 20" and batch == BATCHES[0] else None
    compared = f"orjson, dict and bisect: {plain_us:.3g} us"
    yield Row("worker", f"{name}, batch {batch}", pumped_us, "us", compared, plain_us)
    yield Row("worker", f"{name}, batch {batch}, with checkpoint", whole_us, "us", compared, plain_us, promise)


def _bars(rounds: int) -> Iterator[Row]:
    """What a trade costs more for its bars: each record is committed once a timeframe."""
    messages = records.trades(2000, TRADES_A_RECORD)
    part = messages[: RING_BYTES // 4 // (max(map(len, messages)) + layout.RECORD_BYTES + 8)]
    with tempfile.TemporaryDirectory() as folder:
        without_us = 0.0
        for count in (0, *BAR_COUNTS):
            wanted = plan(" ".join(TIMEFRAMES[:count]), 250, 1 << 15) if count else None
            ours = Ours(BATCHES[1], Path(folder) / str(count), wanted)
            ours.round_us(part)
            trade_us = statistics.median(ours.round_us(part)[0] for _ in range(rounds)) / TRADES_A_RECORD
            ours.check()
            without_us = without_us or trade_us
            if count:
                name = f"a trade, {TRADES_A_RECORD} a record, {count} timeframe{'s' if count > 1 else ''}"
                yield Row("worker", name, trade_us, "us", f"without bars: {without_us:.3g} us", without_us)


class Ours:
    """The pump as a worker runs it."""

    def __init__(self, batch: int, bars: Path = NOWHERE, wanted: Plan | None = None) -> None:
        self._rig = Rig(RING_BYTES, LEVELS, max_depth=2048, batch=batch, bars=bars, plan=wanted)
        self._rig.configure()
        self._rig.send(records.snapshot())
        self._rig.drain()

    def round_us(self, messages: Sequence[bytes]) -> tuple[float, float]:
        """Microseconds a record: in the pump, and in the checkpoint after all of them."""
        for message in messages:
            self._rig.engine.push(message)
        self._rig.engine.publish()
        memory = self._rig.memory
        begin_ns = time.process_time_ns()
        while pump.pump(memory) == pump.MORE:
            pass
        pumped_ns = time.process_time_ns()
        pump.checkpoint(memory)
        end_ns = time.process_time_ns()
        return (pumped_ns - begin_ns) / 1e3 / len(messages), (end_ns - pumped_ns) / 1e3 / len(messages)

    def check(self) -> None:
        """A wrong book costs nothing to make: what was measured must have been right."""
        state = self._rig.state
        assert state["state"] == layout.State.LIVE, state["reason"]
        assert state["slow_records"] == state["refused"] == state["dropped"] == 0


class Plain:
    """What people write: parse, a dict and a sorted list a side, the best levels as a list once a batch."""

    def __init__(self) -> None:
        self._sizes: tuple[dict[float, int], dict[float, int]] = ({}, {})
        self._prices: tuple[list[float], list[float]] = ([], [])
        self.tape: list[tuple[float, int, int, str]] = []
        self.shown: list[list[tuple[float, int]]] = []
        self.best: tuple[float, float] = (0.0, 0.0)
        self._apply(orjson.loads(records.snapshot()))

    def round_us(self, messages: Sequence[bytes], batch: int) -> float:
        """Microseconds a record."""
        self.tape.clear()
        begin_ns = time.process_time_ns()
        for first in range(0, len(messages), batch):
            for message in messages[first : first + batch]:
                self._apply(orjson.loads(message))
            self._show()
        return (time.process_time_ns() - begin_ns) / 1e3 / len(messages)

    def _apply(self, message: Any) -> None:
        rows = message["arguments"][1]
        if message["target"] == "GatewayTrade":
            self.tape += [(row["price"], row["volume"], row["type"], row["timestamp"]) for row in rows]
            return
        for row in rows:
            kind = row["type"]
            if kind == 6:
                continue
            sizes, prices = self._sizes[kind - 1], self._prices[kind - 1]
            price, size = row["price"], row["volume"]
            if size:
                if price not in sizes:
                    insort(prices, price)
                sizes[price] = size
            elif price in sizes:
                del sizes[price]
                del prices[bisect_left(prices, price)]
        asks, bids = self._prices
        self.best = bids[-1], asks[0]

    def _show(self) -> None:
        asks, bids = self._prices
        ask_sizes, bid_sizes = self._sizes
        self.shown = [
            [(price, bid_sizes[price]) for price in bids[: -LEVELS - 1 : -1]],
            [(price, ask_sizes[price]) for price in asks[:LEVELS]],
        ]


def _empty_us(rounds: int) -> float:
    rig = Rig()
    rig.configure()
    rig.drain()
    calls = 2000

    def measure() -> float:
        begin_ns = time.process_time_ns()
        for _ in range(calls):
            pump.pump(rig.memory)
        return (time.process_time_ns() - begin_ns) / 1e3 / calls

    return statistics.median(measure() for _ in range(rounds))
