"""Bars of a running engine whose worker is killed again and again: every trade is in each timeframe once."""

import os
import random
import signal
from functools import partial
from pathlib import Path

from shm import Market
from shm.bars import FILE_NAME, Bars, HotBars
from shm.timeframe import parse
from tests.system.running import Running, running, wait_live
from tests.waiting import wait_for

KILLS = 5
ALL = 1 << 20


def _has_traded(market: Market, wanted: int) -> bool:
    return market["MNQ"].status().trades >= wanted


def _is_replaced(engine: Running, pid: int) -> bool:
    return engine.worker_pid("MNQ") not in (0, pid)


def _trades(hot: HotBars, name: str) -> int:
    """Of all bars that the worker made, closed and forming; of those that were repaired the venue tells no trades."""
    t = hot.timeframes.index(parse(name))
    return int(hot.newest(t, ALL)["trades"].sum() + hot.slot(t).bars["trades"].sum())


def test_bars_of_a_killed_worker_have_every_trade_once(
    left_nothing: Path, tmp_path: Path, engine_name: str, seed: int
) -> None:
    rng = random.Random(seed)
    with running(engine_name, "--rate", "20000", data=tmp_path) as engine, engine.attach() as market:
        wait_live(market)
        live = market["MNQ"].bars("1s")
        for _ in range(KILLS):
            pid = engine.worker_pid("MNQ")
            wanted = market["MNQ"].status().trades + rng.randrange(1, 2000)
            wait_for(partial(_has_traded, market, wanted), 20, "more trades")
            os.kill(pid, signal.SIGKILL)
            wait_for(partial(_is_replaced, engine, pid), 10, "a successor")
        wait_for(lambda: len(live.last(3)) == 3, 20, "bars that are closed")
        assert len(live.forming()) in (0, 1, 2)
        assert (live.last(3)["high"] >= live.last(3)["low"]).all()
        summary = engine.stop()
    assert engine.status == 0, engine.errors
    (row,) = (row for row in summary["instruments"] if row["symbol"] == "MNQ")
    hot = HotBars(tmp_path / "bars" / "MNQ" / FILE_NAME, "MNQ")
    for name in ("1s", "1m", "5m", "1h"):
        assert _trades(hot, name) == row["trades"], name
    unplaced = Bars(tmp_path, "MNQ", "1d").unplaced
    assert _trades(hot, "1d") + unplaced == row["trades"]  # the trading hours came while it ran
