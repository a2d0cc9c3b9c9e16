"""A venue that keeps bars and serves them as the fact sheet says, or as it leaves open: for tests of what asks it."""

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.cache import Caches
from engine.http import VenueError, VenueRefusal

SECOND_NS = 1_000_000_000
TICK = 250_000_000
MNQ = "CON.F.US.MNQ.Z26"


def sent(start_s: int, close: float = 100.25, volume: int = 3) -> dict[str, Any]:
    """A bar as the wire has it."""
    stamp = datetime.fromtimestamp(start_s, UTC).isoformat()
    return {"t": stamp, "o": 100.0, "h": max(100.0, close), "l": min(100.0, close), "c": close, "v": volume}


def seconds(stamp: object) -> float:
    return datetime.fromisoformat(str(stamp)).timestamp()


class KeptBars:
    """`bars`: the wire's, by contract, of whatever timeframe, in order of time. The knobs are what is not promised."""

    def __init__(self, bars: Mapping[str, list[dict[str, Any]]]) -> None:
        self.bars_of = bars
        self.start_is_in, self.end_is_in, self.keeps_newest = True, False, True
        self.chance: random.Random | None = None  # shuffles each page
        self.gate: asyncio.Event | None = None  # answers wait for it
        self.failing: set[int] = set()  # requests by number that fail
        self.caches = Caches()
        self.asked: list[dict[str, object]] = []
        self.under_way = self.most_under_way = 0

    async def bars(self, body: dict[str, object], limit: int) -> list[Any]:
        number = len(self.asked)
        self.asked.append(body)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.gate is not None:
                await self.gate.wait()
            else:
                await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        if number in self.failing:
            raise VenueError(f"request {number} failed")
        kept = self.bars_of.get(str(body["contractId"]))
        if kept is None:
            raise VenueRefusal("no such contract")
        start_s, end_s = seconds(body["startTime"]), seconds(body["endTime"])
        found = [
            bar
            for bar in kept
            if (start_s <= (at_s := seconds(bar["t"])) if self.start_is_in else start_s < (at_s := seconds(bar["t"])))
            and (at_s <= end_s if self.end_is_in else at_s < end_s)
        ]
        page = found[-limit:][::-1] if self.keeps_newest else found[:limit]
        if self.chance is not None:
            self.chance.shuffle(page)
        return page
