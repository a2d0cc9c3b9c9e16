"""A journal of many more seconds than the hot rows hold, replayed faster than the keeper can seal: no bar is lost."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from shm.bars import Bars
from shm.registry import engine_folder, read
from tests import recorded_day
from tests.system.test_replay import LIMIT_S, ended, pid_of, replaying
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(600)  # several engines, one after the other

SECOND = 1_000_000_000
LENGTH_S = 3000
A_SECOND = 4  # records, of which a quarter are trades
HOT_ROWS = 256  # the fewest
KILLS = 3


def _keeper_of(name: str) -> int:
    return read(engine_folder(name)).keeper_pid


def _is_replaced(name: str, pid: int) -> bool:
    return _keeper_of(name) not in (0, pid)


def test_bars_are_those_of_any_pace_though_the_keeper_is_slower_and_killed(tmp_path: Path, seed: int) -> None:
    journal, name = tmp_path / "journal", f"outrun-{os.getpid()}"
    recorded_day.write(journal, np.random.default_rng(seed), LENGTH_S * A_SECOND, LENGTH_S * SECOND)
    files = tmp_path / "symbols"
    files.mkdir()
    (files / "MNQ.toml").write_text(f'hot_rows = {HOT_ROWS}\ntimeframes = ["1s", "1m"]\n')
    found = {}
    for speed in ("max", "300"):
        arguments = ("--symbols-dir", str(files), "--speed", speed, "--digest", "--data", str(tmp_path / speed))
        with replaying(name, journal, *arguments) as process:
            found[speed] = ended(process)
    arguments = ("--symbols-dir", str(files), "--speed", "max", "--digest", "--data", str(tmp_path / "killed"))
    with replaying(name, journal, *arguments) as process:
        wait_for(lambda: pid_of(name, "player"), LIMIT_S, "it runs")
        pid = 0
        for _ in range(KILLS):
            wait_for(partial(_is_replaced, name, pid), LIMIT_S, "a keeper")
            pid = _keeper_of(name)
            os.kill(pid, signal.SIGKILL)
        found["killed"] = ended(process)
    assert len(set(found.values())) == 1, found
    for data in found:
        bars = Bars(tmp_path / data, "MNQ", "1s")
        assert bars.lost == 0
        assert len(bars.to_polars()) > 4 * HOT_ROWS, "or there was nothing to wait for"
