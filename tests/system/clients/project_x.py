"""The unmodified project-x-py at the other end of a pipe: a command as a JSON line in, its answer as one out.

It runs in a Python of its own (environments.py), which knows nothing of shardbook. All that it asks of the package is
in the package's public API. It ends with its input, or after LIMIT_S.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from project_x_py import ProjectX, TradingSuite
from project_x_py.config import load_default_config
from project_x_py.realtime import ProjectXRealtimeClient
from project_x_py.trading_suite import Features, TradingSuiteConfig

LIMIT_S = 300
LEVELS = 1000  # more than there are
MARKET_EVENTS = ("market_trade", "quote_update", "market_depth")
USER_EVENTS = ("account_update", "order_update", "position_update", "trade_execution")

Answer = Any


class Client:
    """One suite of one instrument, the user events in the order in which they came, and how many of the market's."""

    def __init__(self, suite: TradingSuite) -> None:
        self.suite = suite
        self.events: list[list[Any]] = []
        self.called = dict.fromkeys(MARKET_EVENTS, 0)

    async def listen(self) -> None:
        for name in USER_EVENTS:
            await self.suite.realtime.add_callback(name, self._hearing(name))
        for name in MARKET_EVENTS:
            await self.suite.realtime.add_callback(name, self._counting(name))

    def _counting(self, name: str) -> Callable[[Any], Awaitable[None]]:
        async def count(data: Any) -> None:
            self.called[name] += 1

        return count

    def _hearing(self, name: str) -> Callable[[Any], Awaitable[None]]:
        async def hear(data: Any) -> None:
            self.events.append([name, data])

        return hear

    async def bars(self, timeframe: str, last: int) -> Answer:
        """The last bars: [second it begins, open, high, low, close, volume], oldest first."""
        return _rows(await self.suite.data.get_data(timeframe))[-last:]

    async def history(self, unit: int, number: int) -> Answer:
        """The same for all bars of a day, as the package's client loads them."""
        return _rows(await self.suite.client.get_bars(self.suite.symbol, days=1, unit=unit, interval=number))

    async def resubscribe(self) -> Answer:
        """Again from a snapshot: the suite's own is on its way before its book listens."""
        contract_id = self.suite.instrument_id
        await self.suite.realtime.unsubscribe_market_data([contract_id])
        return await self.suite.realtime.subscribe_market_data([contract_id])

    async def book(self) -> Answer:
        """Levels, best first."""
        book = self.suite.orderbook
        bids, asks = await book.get_orderbook_bids(LEVELS), await book.get_orderbook_asks(LEVELS)
        sides = [frame.select("price", "volume").rows() for frame in (bids, asks)]
        return {"bids": sides[0], "asks": sides[1]}

    async def counts(self) -> Answer:
        """What its callbacks were called for, and what the package says of itself: market messages that it left out
        because newer ones came, and ticks in its bars (each of which it counts twice)."""
        realtime, bars = self.suite.realtime.get_stats(), await self.suite.data.get_memory_stats()
        left_out = realtime["coalesced_quote_dropped"] + realtime["coalesced_depth_dropped"]
        return {**self.called, "left_out": left_out, "ticks": bars["ticks_processed"] // 2}

    async def place(self, **terms: Any) -> Answer:
        answer = await self.suite.orders.place_order(contract_id=self.suite.instrument_id, **terms)
        return {"order_id": answer.orderId, "success": answer.success}

    async def modify(self, order_id: int, **terms: Any) -> Answer:
        return await self.suite.orders.modify_order(order_id, **terms)

    async def cancel(self, order_id: int) -> Answer:
        return await self.suite.orders.cancel_order(order_id)

    async def close(self) -> Answer:
        answer = await self.suite.positions.close_position_direct(self.suite.instrument_id)
        return answer["success"]

    async def open_orders(self) -> Answer:
        return [order.id for order in await self.suite.orders.search_open_orders()]

    async def positions(self) -> Answer:
        return [[held.type, held.size, held.averagePrice] for held in await self.suite.client.search_open_positions()]

    async def heard(self) -> Answer:
        return self.events


def _rows(frame: Any) -> list[list[Any]]:
    rows = [] if frame is None else frame.select("timestamp", "open", "high", "low", "close", "volume").rows()
    return [[int(row[0].timestamp()), *row[1:]] for row in rows]


async def connected(symbol: str, timeframes: list[str]) -> tuple[Client, ProjectX]:
    """Log in, load bars, connect both hubs, subscribe: as the package's documents say, with addresses of ours."""
    client = ProjectX(os.environ["PROJECT_X_USERNAME"], os.environ["PROJECT_X_API_KEY"], config=load_default_config())
    await client.__aenter__()
    await client.authenticate()
    realtime = ProjectXRealtimeClient(
        jwt_token=client.session_token, account_id=str(client.account_info.id), config=client.config
    )
    wanted = TradingSuiteConfig(symbol, timeframes=timeframes, features=[Features.ORDERBOOK], initial_days=1)
    suite = TradingSuite(client, realtime, wanted)
    made = Client(suite)
    await made.listen()
    await suite.connect()
    return made, client


async def serve(out: Any) -> None:
    loop = asyncio.get_running_loop()
    symbol, *timeframes = sys.argv[1:]
    made, client = await connected(symbol, timeframes)
    said: Answer = {"contract_id": made.suite.instrument_id, "account_id": client.account_info.id}
    while True:
        print(json.dumps(said), file=out, flush=True)
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if not line:
            break
        command = json.loads(line)
        said = await getattr(made, command.pop("do"))(**command)
    await made.suite.disconnect()
    await client.__aexit__(None, None, None)


def main() -> None:
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")  # the package may print and log: to stderr then
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asyncio.run(asyncio.wait_for(serve(out), LIMIT_S))


if __name__ == "__main__":
    main()
