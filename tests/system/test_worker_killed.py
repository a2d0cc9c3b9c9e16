"""A worker killed again and again at random moments: exact and live again each time, nothing lost, nothing doubled."""

import os
import random
import signal
from functools import partial
from pathlib import Path

from shm import Market
from tests.system.running import Running, is_exact, running, wait_live
from tests.waiting import wait_for

KILLS = int(os.environ.get("SHARDBOOK_KILLS", "20"))


def _has_applied(market: Market, wanted: int) -> bool:
    return market["MNQ"].status().applied >= wanted


def _is_replaced(engine: Running, pid: int) -> bool:
    return engine.worker_pid("MNQ") not in (0, pid)


def test_worker_killed_comes_back_exact(left_nothing: Path, engine_name: str, seed: int) -> None:
    rng = random.Random(seed)
    with running(engine_name, "--rate", "20000") as engine, engine.attach() as market:
        wait_live(market)
        others = [symbol for symbol in market.symbols if symbol != "MNQ"]
        before = {symbol: market[symbol].status() for symbol in others}
        seen = 0
        for _ in range(KILLS):
            pid = engine.worker_pid("MNQ")
            status = market["MNQ"].status()
            # A random moment: after some number of further trades.
            wanted = status.applied + rng.randrange(1, 400)
            wait_for(partial(_has_applied, market, wanted), 20, "more records")
            os.kill(pid, signal.SIGKILL)
            wait_for(partial(_is_replaced, engine, pid), 10, "a successor")
            wait_for(lambda: market["MNQ"].status().live, 10, "live again")
            book = market["MNQ"].book(allow_stale=True)
            assert book.sequence >= seen, "the book went back"
            seen = book.sequence
        for symbol in others:
            after = market[symbol].status()
            assert after.live
            assert (after.pid, after.resyncs, after.dropped) == (before[symbol].pid, before[symbol].resyncs, 0)
        assert market["MNQ"].status().restarts == KILLS
        summary = engine.stop()
    assert engine.status == 0, engine.errors
    assert is_exact(summary), summary
    assert all(row["resyncs"] == 0 and row["dropped"] == 0 for row in summary["instruments"])
