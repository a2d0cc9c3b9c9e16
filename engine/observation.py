"""What a running engine shows to anybody who may read it: rows for the table, results for the summary.

The public reader API and /proc, nothing else: if this file can show it, so can a user's program.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from shm import Instrument, Latency, Market, Status
from shm.errors import Stale, UnknownSymbol
from shm.status import quantile_ns

from .summary import REMOVED, Result, Verdict
from .table import Quote, Row, decimals

MEMORY_EVERY_S = 2.0  # reading smaps takes a process milliseconds
RECENT_S = 5.0  # of so long are the latencies of a row, so that one pause does not stay in them


class Observer:
    """Looks at all instruments of a market, those too that come later; keeps what a rate needs: the look before.

    Of an instrument that was removed the last look is kept, for the results.
    """

    def __init__(self, market: Market, shared_folder: Path) -> None:
        """`shared_folder`: where this engine's segments lie; what is mapped from there is not a worker's own."""
        self._market = market
        self._seen: dict[str, Status] = {}
        self._shared_folder = shared_folder
        self._before: dict[str, tuple[float, int]] = {}
        self._latencies: dict[str, deque[tuple[float, Latency]]] = {}
        self._memory: dict[int, float | None] = {}
        self._measured_s = -math.inf

    def statuses(self) -> dict[str, Status]:
        """Of what the engine carries now."""
        found = {}
        for symbol in self._market.symbols:
            with suppress(UnknownSymbol):  # it was removed just now
                found[symbol] = self._market[symbol].status()
        self._seen |= found
        return found

    def rows(self, now_s: float) -> list[Row]:
        """One row an instrument, at `now_s` of a clock that goes on; rates are since the call before, latencies of
        the last RECENT_S, as far as it was called in them."""
        statuses = self.statuses()
        if now_s - self._measured_s >= MEMORY_EVERY_S:
            self._memory = memory_shares([status.pid for status in statuses.values()], self._measure)
            self._measured_s = now_s
        rows = []
        for symbol, status in statuses.items():
            before_s, before = self._before.get(symbol, (now_s, status.delivered))
            self._before[symbol] = now_s, status.delivered
            passed_s = now_s - before_s
            rate = (status.delivered - before) / passed_s if passed_s > 0 else 0.0
            latency_us = self._recent_latency_us(symbol, now_s)
            uss_mib = self._memory.get(status.pid)
            rows.append(_row(self._market[symbol], status, max(0.0, rate), latency_us, uss_mib))
        return rows

    def _recent_latency_us(self, symbol: str, now_s: float) -> tuple[float, float] | None:
        seen = self._latencies.setdefault(symbol, deque())
        newest = self._market[symbol].latency()
        seen.append((now_s, newest))
        while len(seen) > 1 and seen[1][0] <= now_s - RECENT_S:
            seen.popleft()
        recent = newest.since(seen[0][1]) if len(seen) > 1 else newest
        if not any(recent.counts):
            return None
        return quantile_ns(recent.counts, 0.50) / 1000, quantile_ns(recent.counts, 0.99) / 1000

    def results(self, states: Mapping[str, str], verdicts: Mapping[str, Verdict]) -> list[Result]:
        """The end of a run: counts of now, `states` of before the stop, what the judge found if there was one."""
        carried = self.statuses()
        memory = memory_shares([status.pid for status in carried.values()], self._measure)
        return [
            Result(
                symbol=symbol,
                contract=status.contract,
                pid=status.pid,
                state=states.get(symbol, status.state) if symbol in carried else REMOVED,
                parked=status.parked,
                records=status.delivered,
                applied=status.applied,
                refused=status.refused,
                dropped=status.dropped,
                quarantined=status.quarantined,
                trades=status.trades,
                resyncs=status.resyncs,
                latency_us=_latency_us(status),
                uss_mib=memory[status.pid] if symbol in carried else None,
                verdict=verdicts.get(symbol),
            )
            for symbol, status in self._seen.items()
        ]

    def _measure(self, pid: int) -> float | None:
        return own_mib(pid, self._shared_folder)


def accounted(statuses: Sequence[Status]) -> bool:
    """Whether each delivered record was applied, refused, dropped or set aside: none is under way in a ring."""
    return all(
        status.delivered == status.applied + status.refused + status.dropped + status.quarantined for status in statuses
    )


def memory_shares(pids: Sequence[int], measure: Callable[[int], float | None]) -> dict[int, float | None]:
    """What falls to one instrument of each process, given the process of every instrument: those of one pay equally.

    So the sum over instruments is what all workers take. Each process is measured once.
    """
    of_process = {pid: measure(pid) for pid in set(pids)}
    return {pid: None if mib is None else mib / pids.count(pid) for pid, mib in of_process.items()}


def own_mib(pid: int, shared_folder: Path) -> float | None:
    """What of a process's memory is in no other (USS), less what it maps from `shared_folder`; None if it is gone."""
    folder = f"{shared_folder}{os.sep}"
    try:
        maps = psutil.Process(pid).memory_maps(grouped=False)
    except psutil.Error:
        return None
    own = sum(part.private_clean + part.private_dirty for part in maps if not part.path.startswith(folder))
    return float(own) / 2**20


def _row(
    instrument: Instrument,
    status: Status,
    records_per_s: float,
    latency_us: tuple[float, float] | None,
    uss_mib: float | None,
) -> Row:
    bid = ask = last = None
    try:
        quote = instrument.quote(allow_stale=True)
    except (Stale, UnknownSymbol):
        quote = None  # nothing could be read whole at this moment, or it was just removed: the row says so by its state
    if quote is not None and quote.price_increment > 0:
        digits = decimals(quote.price_increment, quote.price_scale)
        bid = Quote(quote.bid, quote.bid_size, digits) if quote.bid_units else None
        ask = Quote(quote.ask, quote.ask_size, digits) if quote.ask_units else None
        last = Quote(status.last_price, status.last_size, digits) if status.last_size > 0 else None
    return Row(
        symbol=status.symbol,
        state=status.state,
        reason=status.parked or status.reason,
        bid=bid,
        ask=ask,
        last=last,
        records_per_s=records_per_s,
        latency_us=latency_us,
        dropped=status.dropped,
        resyncs=status.resyncs,
        uss_mib=uss_mib,
    )


def _latency_us(status: Status) -> tuple[float, float] | None:
    if not status.latency_p99_ns:
        return None
    return status.latency_p50_ns / 1000, status.latency_p99_ns / 1000
