"""A strategy's skeleton: who is in a hurry? It reads the tapes of some instruments and sends nothing anywhere.

    python docs/examples/flow.py MNQ MES

One asyncio task an instrument follows its tape and keeps what aggressors bought and sold in the last seconds of the
venue's own time. A tape that was read too slowly says how much was lost: then the sums begin anew, since a sum with
a hole in it is worse than none.
"""

import asyncio
import sys
from collections import deque

from shm import BUY, Market, Trade, attach

WINDOW_NS = 5_000_000_000
ONE_SIDED = 0.6  # (bought - sold) / (bought + sold), either way
LEAST_TRADES = 20


class Flow:
    """What was bought and sold within the window that ends with the newest trade."""

    def __init__(self) -> None:
        self._trades: deque[Trade] = deque()
        self._net = 0.0
        self._total = 0.0

    def add(self, trade: Trade) -> None:
        self._trades.append(trade)
        self._count(trade, 1)
        while trade.venue_ns - self._trades[0].venue_ns > WINDOW_NS:
            self._count(self._trades.popleft(), -1)

    def clear(self) -> None:
        self._trades.clear()
        self._net = self._total = 0.0

    def decide(self) -> str:
        """ "buyers", "sellers" or "both"."""
        if len(self._trades) < LEAST_TRADES or abs(self._net) < ONE_SIDED * self._total:
            return "both"
        return "buyers" if self._net > 0 else "sellers"

    def _count(self, trade: Trade, sign: int) -> None:
        self._total += sign * trade.size
        self._net += sign * (trade.size if trade.side == BUY else -trade.size)


async def follow(market: Market, symbol: str) -> None:
    """Print every change of mind about one instrument, for ever."""
    flow = Flow()
    tape = market[symbol].tape()
    lost = 0
    said = ""
    async for trade in tape:
        if tape.lost != lost:
            lost = tape.lost
            flow.clear()
        flow.add(trade)
        says = flow.decide()
        if says != said:
            said = says
            print(f"{symbol} {says}", flush=True)


async def main(symbols: list[str]) -> None:
    with attach() as market:
        await asyncio.gather(*(follow(market, symbol) for symbol in symbols))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ["MNQ", "MES"]))
