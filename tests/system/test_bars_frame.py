"""Bars of an engine as one frame, from other processes: while it runs, and from its data folder when it has ended."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

from shm import Bars
from shm.bars import FILE_NAME, HotBars
from shm.timeframe import parse
from tests.system.running import TOP, running, wait_live
from tests.waiting import wait_for

EXAMPLE = TOP / "docs" / "examples" / "bars.py"
BARS = 12  # of a second: enough for the example's windows
LIMIT_S = 60.0


def _example(*arguments: str) -> str:
    command = [sys.executable, str(EXAMPLE), *arguments]
    found = os.environ | {"PYTHONPATH": str(TOP)}  # the package need not be installed
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=found, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_example_runs_with_an_engine_and_without(left_nothing: Path, tmp_path: Path) -> None:
    with running("default", "--symbols", "MNQ", data=tmp_path) as engine, engine.attach() as market:
        wait_live(market)
        bars = market["MNQ"].bars("1s")
        wait_for(lambda: np.count_nonzero(bars.last(BARS)["trades"]) == BARS, LIMIT_S, "bars of our own, all of them")
        assert "trend" in _example("MNQ", "1s")
        scanned = bars.scan()
        frame, newest = scanned.collect(), bars.last(1 << 16)
        assert frame["number"].to_list() == newest["number"][: len(frame)].tolist()
        summary = engine.stop()
    assert engine.status == 0, engine.errors
    (row,) = summary["instruments"]
    said = _example("MNQ", "1sec", str(tmp_path))
    assert "trend" in said
    assert "null" not in said.partition("trades")[0]  # of minutes before the start the venue tells no trades
    ended = Bars(tmp_path, "MNQ", "1s")
    closed = ended.to_polars()
    assert closed["start"].is_unique().all()
    # Of a bar that was repaired, as the one in which the feed began, only the worker knew how many trades it has.
    told = closed.filter(pl.col("trades").is_null())["start"].to_physical()
    hot = HotBars(tmp_path / "bars" / "MNQ" / FILE_NAME, "MNQ")
    own = hot.newest(hot.timeframes.index(parse("1s")), 1 << 16)
    untold = own["trades"][np.isin(own["start_ns"], told)].sum()
    assert closed["trades"].sum() + untold + ended.forming()["trades"].sum() == row["trades"]
    assert scanned.collect().equals(ended.to_polars().head(len(frame)))
