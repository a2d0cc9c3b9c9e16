"""One ring and one worker in the test's own memory: what the engine does is a call, and so is a batch of the worker."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from shm import layout
from shm.ring import RingWriter
from workers import pump
from workers.hotfile import HotFile, Plan
from workers.job import Task
from workers.private import Private
from workers.worker import Worker, map_memory

CONTRACT = "CON.F.US.MNQ.Z26"
Arrays = Private  # tests with a child process put memory that both see in its place
NOWHERE = Path("/nonexistent")


def task(quarantine: tuple[int, ...] = (), batch: int = 256) -> Task:
    return Task("MNQ", batch, 1_000_000, 0, quarantine)


def config(contract: str = CONTRACT, tick_e9: int = 250_000_000, max_venue_lag_ns: int = 10**18) -> bytes:
    row = np.zeros(1, layout.CONFIG)
    row["contract"] = contract.encode()
    row["price_scale"], row["price_increment"] = 9, tick_e9
    row["size_scale"], row["size_increment"] = 0, 1
    row["source"] = int(layout.Source.VENUE)
    row["max_venue_lag_ns"] = max_venue_lag_ns
    return row.tobytes()


class Rig:
    """Ring, book, engine's end and worker's end. A kill is `restart`: a new worker on the memory the old one left."""

    def __init__(
        self,
        ring_bytes: int = 1 << 20,
        levels: int = 64,
        max_depth: int = 256,
        rows: int = 1 << 15,
        batch: int = 256,
        bars: Path = NOWHERE,
        plan: Plan | None = None,
        generation: int = 1,
    ) -> None:
        """`bars`: the folder of its hot bars, if it shall have some."""
        self.ring = Arrays(layout.ring_regions(ring_bytes))
        self.book = Arrays(layout.book_regions(levels, max_depth, rows, rows))
        self.changed = Arrays(layout.changed_regions())
        self.ring.array("words")[layout.CAPACITY] = ring_bytes
        self.task = task(batch=batch)
        self.engine = RingWriter(self.ring.array("words"), generation)
        self._generation = generation
        self._bars = bars
        self._plan = plan
        self.hot: HotFile | None = None
        self.restart()

    def restart(self, task: Task | None = None, data_folder: Path = NOWHERE) -> None:
        if self.hot is not None:
            self.hot.close()
        if self._plan is not None:
            self.hot = HotFile(self._bars, "MNQ", self._generation, self._plan)
        self.worker = Worker(self.mapped(), task or self.task, data_folder, self.hot)

    def mapped(self) -> pump.Memory:
        return map_memory(self.ring, self.book, self.changed)

    def configure(self, **changes: Any) -> None:
        assert self.engine.configure(config(**changes))

    def send(self, message: str | bytes) -> bool:
        return self.engine.push(message if isinstance(message, bytes) else message.encode())

    def drain(self) -> None:
        """Publish what was sent and let the worker take all of it."""
        self.engine.publish()
        while (code := pump.pump(self.worker.memory)) != pump.IDLE:
            if code != pump.MORE:
                self.worker.handle(code)

    @property
    def memory(self) -> pump.Memory:
        return self.worker.memory

    @property
    def cell(self) -> Any:
        return self.memory.cells[int(self.memory.control[layout.PUBLISHED]) % layout.CELLS]

    @property
    def state(self) -> Any:
        return self.cell["state"]

    def published(self, side: int) -> list[tuple[int, int]]:
        """The published levels of a side, best first, in ticks and sizes."""
        i = int(self.memory.control[layout.PUBLISHED]) % layout.CELLS
        n = int(self.cell["n_bids" if side == layout.BID else "n_asks"])
        rows = self.memory.cell_levels[i, side, :n]
        return [(int(row["price"]), int(row["size"])) for row in rows]

    def working(self, side: int) -> list[tuple[int, int]]:
        """All levels of a side, best first."""
        n = int(self.memory.state["n_bids" if side == layout.BID else "n_asks"][0])
        rows = self.memory.levels[side, :n][::-1]
        return [(int(row["price"]), int(row["size"])) for row in rows]

    def tape(self) -> list[tuple[int, int, int, int, int]]:
        """Every committed trade that the ring of rows still holds: sequence, index, price, size, side."""
        count = int(self.memory.control[layout.TAPE_COUNT])
        kept = len(self.memory.tape)
        rows = [self.memory.tape[i % kept] for i in range(max(0, count - kept), count)]
        return [tuple(int(row[f]) for f in ("sequence", "place", "price", "size", "side")) for row in rows]  # type: ignore[misc]

    def events(self) -> list[tuple[str, int, int, int]]:
        """Every committed event that its ring still holds: kind, from sequence, sequence, count."""
        count = int(self.memory.control[layout.EVENT_COUNT])
        kept = len(self.memory.events)
        held = [self.memory.events[i % kept] for i in range(max(0, count - kept), count)]
        return [
            (
                layout.EventKind(row["kind"]).name.lower(),
                int(row["from_sequence"]),
                int(row["sequence"]),
                int(row["count"]),
            )
            for row in held
        ]


def stamp(n: int) -> str:
    """A venue stamp: `n` times 100 ns into a minute of 2026-11-22."""
    return f"2026-11-22T14:33:{n // 10_000_000:02d}.{n % 10_000_000:07d}+00:00"


def depth(entries: list[tuple[int, float, int]], n: int = 1, contract: str = CONTRACT) -> str:
    """A GatewayDepth message; entries are (DomType, price, volume)."""
    rows = [{"timestamp": stamp(n), "type": t, "price": p, "volume": v, "currentVolume": v} for t, p, v in entries]
    return _message("GatewayDepth", rows, contract)


def trades(entries: list[tuple[float, int, int]], n: int = 1, contract: str = CONTRACT) -> str:
    """A GatewayTrade message; entries are (price, volume, 0 buy or 1 sell)."""
    rows = [{"symbolId": "F.US.MNQ", "price": p, "timestamp": stamp(n), "type": t, "volume": v} for p, v, t in entries]
    return _message("GatewayTrade", rows, contract)


def quote(contract: str = CONTRACT, **fields: Any) -> str:
    return _message("GatewayQuote", {"symbol": "F.US.MNQ", **fields}, contract)


def _message(target: str, payload: Any, contract: str) -> str:
    return json.dumps({"type": 1, "target": target, "arguments": [contract, payload]}, separators=(",", ":"))


def snapshot(bids: int = 50, asks: int = 50, mid: float = 21000.0, n: int = 1) -> str:
    """A list led by Reset: `bids` and `asks` levels around `mid`, of sizes 1, 2, 3 …"""
    entries = [(6, 0.0, 0)]
    entries += [(2, mid - 0.25 * k, k) for k in range(1, bids + 1)]
    entries += [(1, mid + 0.25 * k, k) for k in range(1, asks + 1)]
    return depth(entries, n)
