"""Workers killed again and again at random moments: exact and live again each time, neighbours untouched."""

import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest

from shm import Market
from tests.system.running import Running, is_exact, running, wait_live
from tests.waiting import wait_for

KILLS = int(os.environ.get("SHARDBOOK_KILLS", "50"))

pytestmark = pytest.mark.timeout(120 + 5 * KILLS)


def _has_applied(market: Market, symbol: str, wanted: int) -> bool:
    return market[symbol].status().applied >= wanted


def _is_replaced(engine: Running, symbol: str, pid: int) -> bool:
    return engine.worker_pid(symbol) not in (0, pid)


def _is_live(market: Market, symbol: str) -> bool:
    return market[symbol].status().live


def test_workers_killed_come_back_exact(left_nothing: Path, engine_name: str, seed: int) -> None:
    rng = random.Random(seed)
    with running(engine_name, "--rate", "20000") as engine, engine.attach() as market:
        wait_live(market)
        symbols = list(market.symbols)
        kills, seen = dict.fromkeys(symbols, 0), dict.fromkeys(symbols, 0)
        for _ in range(KILLS):
            victim = rng.choice(symbols)
            pids = {symbol: engine.worker_pid(symbol) for symbol in symbols}
            # A random moment: after some number of further records.
            wanted = market[victim].status().applied + rng.randrange(1, 400)
            wait_for(partial(_has_applied, market, victim, wanted), 20, "more records")
            os.kill(pids[victim], signal.SIGKILL)
            wait_for(partial(_is_replaced, engine, victim, pids[victim]), 20, "a successor")
            wait_for(partial(_is_live, market, victim), 20, "live again")
            book = market[victim].book(allow_stale=True)
            assert book.sequence >= seen[victim], "the book went back"
            seen[victim] = book.sequence
            kills[victim] += 1
            others = [symbol for symbol in symbols if symbol != victim]
            assert {symbol: engine.worker_pid(symbol) for symbol in others} == {
                symbol: pids[symbol] for symbol in others
            }
        assert {symbol: market[symbol].status().restarts for symbol in symbols} == kills
        summary = engine.stop()
    assert engine.status == 0, engine.errors
    assert is_exact(summary), summary
    assert all(row["resyncs"] == 0 and row["dropped"] == 0 for row in summary["instruments"])
