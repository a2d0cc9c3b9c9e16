"""POST /api/History/retrieveBars (fact sheet 4.3): the request as values, the window, and the answer's text.

A window holds the bars that begin in it: at startTime or later, before endTime. They come newest first, `limit` keeps
the newest, and one that is not over yet comes only with includePartialBar. `live` makes no difference here.
"""

import asyncio
import time
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from aiohttp import web

from shm.timeframe import Unit

from .bars import CLOSE, HIGH, LOW, OPEN, START, UNITS, VOLUME, begins, joined, opening_ticks
from .contracts import E9
from .envelope import answer, body_of, flag_of, moment_of, text_of, whole_of
from .flow import Ints
from .listing import Listing
from .past import Past

MAX_BARS = 20_000
MAX_UNIT_NUMBER = 100_000


class BarsCode(IntEnum):
    """The endpoint's error codes."""

    DONE = 0
    CONTRACT_NOT_FOUND = 1
    UNIT_INVALID = 2
    UNIT_NUMBER_INVALID = 3
    LIMIT_INVALID = 4


class Window(NamedTuple):
    """What is asked for. start_s, end_s: whole seconds of the epoch, rounded up; the end is not in it."""

    start_s: int
    end_s: int
    unit: Unit
    number: int
    limit: int
    partial: bool


def select(seconds: Ints, window: Window, now_s: float) -> Ints:
    """The bars of a window, newest first, made of one-second ones in order of time."""
    starts, ends = begins(seconds[:, START], window.unit, window.number)
    wanted = (starts >= window.start_s) & (starts < window.end_s)
    if not window.partial:
        wanted &= ends <= now_s
    return joined(seconds[wanted], starts[wanted])[: -window.limit - 1 : -1]


def bars_text(bars: Ints, tick_e9: int) -> str:
    """The answer's payload. Prices have nine decimals, as the venue writes them."""
    prices = {}
    for ticks in np.unique(bars[:, OPEN:VOLUME]).tolist():
        units, rest = divmod(abs(ticks) * tick_e9, E9)
        prices[ticks] = f"{'-' if ticks < 0 else ''}{units}.{rest:09d}"
    stamps = np.datetime_as_string(bars[:, START].astype("M8[s]")).tolist()
    rows = [
        f'{{"t":"{stamp}+00:00","o":{prices[row[OPEN]]},"h":{prices[row[HIGH]]},"l":{prices[row[LOW]]},'
        f'"c":{prices[row[CLOSE]]},"v":{row[VOLUME]}}}'
        for stamp, row in zip(stamps, bars.tolist(), strict=True)
    ]
    return f'"bars":[{",".join(rows)}]'


class History:
    """A contract that does not trade, or not any more, has no bars; after a roll the new one has all of them."""

    def __init__(self, listing: Listing) -> None:
        self._channels = listing.channels
        self._pasts = {
            channel.contract.symbol: Past(channel.contract.symbol, opening_ticks(channel.flow), channel.start_s)
            for channel in listing.channels.values()
        }
        self._listed = listing.known

    async def retrieve(self, request: web.Request) -> web.Response:
        """The route's handler."""
        body = await body_of(request)
        contract_id, _ = text_of(body, "contractId"), flag_of(body, "live")
        unit, number, limit = whole_of(body, "unit"), whole_of(body, "unitNumber"), whole_of(body, "limit")
        start, end = moment_of(body, "startTime"), moment_of(body, "endTime")
        partial = flag_of(body, "includePartialBar")
        code = self._refusal(contract_id, unit, number, limit)
        if code:
            return answer('"bars":null', code)
        channel = self._channels.get(contract_id)
        if channel is None:
            return answer('"bars":[]')
        start_s, end_s = (int(-(-at.timestamp() // 1)) for at in (start, end))
        window = Window(start_s, end_s, Unit(unit), number, limit, partial)
        channel.bars.take(channel.log)
        sent = channel.bars.since(start_s)
        past, tick_e9, now_s = self._pasts[channel.contract.symbol], channel.contract.tick_e9, time.time()

        def work() -> str:
            return bars_text(select(np.vstack((past.since(start_s), sent)), window, now_s), tick_e9)

        # Half a million rows and 20,000 lines of text take longer than the sender may be late.
        return answer(await asyncio.to_thread(work))

    def _refusal(self, contract_id: str, unit: int, number: int, limit: int) -> BarsCode:
        if contract_id not in self._listed:
            return BarsCode.CONTRACT_NOT_FOUND
        if unit not in UNITS:
            return BarsCode.UNIT_INVALID
        if not 1 <= number <= MAX_UNIT_NUMBER:
            return BarsCode.UNIT_NUMBER_INVALID
        return BarsCode.DONE if 1 <= limit <= MAX_BARS else BarsCode.LIMIT_INVALID
