"""The power goes at a random step, and any subset of what was not synced is missing: 500 cases, bytes in memory."""

import random
from pathlib import Path

import pytest

from engine.keeper.retention import GRACE_NS
from engine.keeper.store import Store
from shm.bars_frame import scan
from shm.sealed import LIVE, listing
from shm.timeframe import parse
from tests import made_bars
from tests.engine.keeper.stopping import LosingDisk, Stopped
from tests.made_bars import BEGIN_NS, DAY_NS, highest, revised, seen

pytestmark = pytest.mark.timeout(600)  # many small files, each synced for real as well
CASES = 500
HOUR = parse("1hr")
LATER_NS = BEGIN_NS + 400 * DAY_NS


def test_a_power_loss_leaves_every_row_that_was_acknowledged_and_no_wrong_one(tmp_path: Path, seed: int) -> None:
    """What `seal` returned is there after it; what it had not returned is there whole or not at all."""
    chance = random.Random(seed)
    rows = revised(chance, 400)
    refused = 0
    for case in range(CASES):
        lives, left = tmp_path / f"{case}", tmp_path / f"{case}-left"
        left.mkdir()
        steps = chance.randrange(60)

        def on_step() -> None:
            nonlocal steps
            steps -= 1
            if steps < 0:
                raise Stopped

        lives.mkdir()
        disk = LosingDisk(on_step)
        acknowledged = 0
        try:
            store = Store(lives, made_bars.subject("1hr"), disk)
            while acknowledged < len(rows):
                acknowledged = store.seal(rows[acknowledged : acknowledged + chance.randrange(20, 200)], 1)
                if chance.random() < 0.4:
                    store.compact(LATER_NS)
                    store.sweep(LATER_NS + 1000 * DAY_NS + 2 * GRACE_NS)
        except Stopped:
            pass
        disk.lose(left, chance)
        found = listing(left, HOUR, "MNQ")
        refused += len(found.refused)
        through = found.through_of(LIVE)
        assert through >= acknowledged, f"case {case}"
        assert seen(scan(left, HOUR)) == highest(rows[:through], HOUR), f"case {case}"
        again = Store(left, made_bars.subject("1hr"))  # and the keeper goes on from there
        again.seal(rows[again.sealed_through() :], 1)
        again.compact(LATER_NS)
        assert seen(scan(left, HOUR)) == highest(rows, HOUR), f"case {case}"
    assert refused == 0
