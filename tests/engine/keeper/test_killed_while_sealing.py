"""The keeper's work in a process of its own, ended 20 times by SIGKILL at a random moment: every row once."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from shm.bars_frame import scan
from shm.sealed import LIVE, listing
from shm.timeframe import parse
from tests.engine.keeper import sealer
from tests.made_bars import highest, seen

KILLS = 20
HOUR = parse("1hr")

pytestmark = pytest.mark.timeout(600)  # 20 starts of polars on a machine that others use


def test_killed_while_sealing_every_row_is_there_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "bars"
    rows = sealer.rows()
    before = 0
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.engine.keeper.sealer", str(folder)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        ) as process:
            assert process.stdout is not None
            steps = process.stdout.read(chance.randrange(4, 60))
            process.kill()
        assert steps, "it ended by itself"
        found = listing(folder, HOUR, "MNQ")
        assert found.refused == ()
        through = found.through_of(LIVE)
        assert through >= before
        before = through
        assert seen(scan(folder, HOUR)) == highest(rows[:through], HOUR)
    assert before > sealer.SEALED_AT_ONCE
