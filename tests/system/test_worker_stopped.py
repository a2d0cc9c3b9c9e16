"""A worker stopped for two seconds: its book reads stale, the others notice nothing, and it comes back exact."""

import os
import signal
import time
from pathlib import Path

import pytest

from shm import Stale
from tests.system.running import is_exact, running, wait_live
from tests.waiting import wait_for

STOPPED_S = 2.0


def test_worker_stopped_is_stale_and_comes_back(left_nothing: Path, engine_name: str) -> None:
    with running(engine_name, "--rate", "60000") as engine, engine.attach() as market:
        wait_live(market)
        others = [symbol for symbol in market.symbols if symbol != "MNQ"]
        before = {symbol: market[symbol].status() for symbol in others}
        pid = engine.worker_pid("MNQ")
        os.kill(pid, signal.SIGSTOP)
        stopped_s = time.monotonic()
        try:
            wait_for(lambda: not market["MNQ"].status().live, 3, "the stopped worker's book is stale")
            with pytest.raises(Stale):
                market["MNQ"].book()
            market["MNQ"].book(allow_stale=True)
            wait_for(lambda: time.monotonic() - stopped_s > STOPPED_S, STOPPED_S + 1, "two seconds have passed")
            for symbol in others:
                assert market[symbol].status().live, f"{symbol} noticed: {market[symbol].status()}"
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: market["MNQ"].status().live, 10, "live again")
        for symbol in others:
            after = market[symbol].status()
            assert (after.pid, after.resyncs, after.dropped) == (before[symbol].pid, before[symbol].resyncs, 0)
        summary = engine.stop()
    row = next(row for row in summary["instruments"] if row["symbol"] == "MNQ")
    assert row["pid"] == pid
    assert row["resyncs"] <= 1
    assert row["wrong_levels"] == 0
    if row["dropped"] == 0:
        assert is_exact(summary), summary
        assert engine.status == 0, engine.errors
