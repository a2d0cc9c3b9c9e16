"""The writer of bars killed while it writes: single-stepped until a row is written that is not committed, or a slot is
half written, or some timeframes have a record and others not; and at random moments. In the end rows, forming bars and
counts must equal those of a worker that was never killed, and at no moment may a checksum vouch for anything else."""

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shm import layout
from tests.waiting import wait_for
from tests.workers import rig
from tests.workers.bar_rig import SECOND, TICKS, BarRig, of_row
from tests.workers.stepping import Stepper
from tests.workers.test_kill_inside import Mapped
from workers.worker import Worker

KILLS = int(os.environ.get("SHARDBOOK_BAR_KILLS", "100"))  # while something is half written, and as many at random
PLACES = "row", "slot", "between"
KEPT_ROWS = 128
TIMEFRAMES = "1s 5s=flat 1m 4tick 1d"
_COUNTS = ("through", "count", "lost", "unplaced", "closed_ns", "last_close", "empty_ns", "gap_ns", "whole_ns", "late")


class SharedBarRig(BarRig):
    """Its worker is a child process."""

    def __init__(self, folder: Path) -> None:
        original = rig.Arrays
        rig.Arrays = Mapped  # type: ignore[assignment]
        try:
            super().__init__(folder, TIMEFRAMES, hot_rows=256)
        finally:
            rig.Arrays = original

    def fork(self) -> int:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                Worker(self.mapped(), self.task, rig.NOWHERE, self.hot).run()
                code = 0
            finally:
                os._exit(code)
        return pid

    def is_idle(self) -> bool:
        words = self.engine.words
        return bool(words[layout.PARKED] == 1 and words[layout.HEAD] == words[layout.TAIL])


def _marks(shared: BarRig) -> dict[str, Callable[[], bool]]:
    """Asked after every instruction: so each is one look at words that are found before."""
    hot: Any = shared.hot
    slots, frame = hot.array("slots"), hot.array("frames")[0]
    numbers = hot.array("rows")["number"][int(frame["first"]) : int(frame["first"] + frame["rows"])]
    control = hot.array("control")
    begins, ends, throughs = slots["begin"], slots["end"], slots["through"]
    last = len(numbers) - 1
    return {
        "row": lambda: 0 < control[layout.bars_line(0)] == numbers[control[layout.bars_line(0)] & last],
        "slot": lambda: begins.tobytes() != ends.tobytes(),
        "between": lambda: throughs[0].max() > throughs[2].max(),
    }


def _outcome(any_rig: BarRig) -> Any:
    n = len(TIMEFRAMES.split())
    return [
        (
            [of_row(row) for row in any_rig.rows(i)],
            [of_row(row) for row in any_rig.forming(i)],
            [int(any_rig.slot(i)[name]) for name in _COUNTS],
        )
        for i in range(n)
    ]


def _feed(rigs: tuple[BarRig, ...], rng: random.Random) -> None:
    """The same record to each: trades, of them some late, and now and then a clock frame behind them."""
    step = rng.choice((50, 300, 900)) * 1_000_000
    late = rng.choice((0, 0, 3)) * SECOND
    offers = [(TICKS + rng.randrange(9), rng.randrange(1, 9), rng.randrange(2)) for _ in range(rng.randrange(1, 5))]
    what = rng.random()
    for each in rigs:
        each.later(step)
        each.trades([(each.wall_ns - late, *offer) for offer in offers])
        if what < 0.6:
            each.clock()
        if what < 0.03:
            each.gap()
            each.snapshot()


@pytest.mark.skipif(sys.platform != "linux", reason="ptrace is Linux's")
@pytest.mark.timeout(max(300, 10 * KILLS))
@pytest.mark.parametrize("where", PLACES)
def test_killed_while_it_writes_bars_recovers_exactly(tmp_path: Path, seed: int, where: str) -> None:
    rng = random.Random(f"{seed} {where}")
    shared, whole = SharedBarRig(tmp_path / "shared"), BarRig(tmp_path / "whole", TIMEFRAMES, hot_rows=256)
    for each in (shared, whole):
        each.snapshot()
        each.engine.publish()
    whole.drain()
    kills = -(-KILLS // len(PLACES))
    reached = 0
    inside = _marks(shared)[where]
    for _ in range(kills):
        pid = shared.fork()
        wait_for(shared.is_idle, 60, "the worker sleeps")
        stepper = Stepper(pid)
        for _ in range(20):
            _feed((shared, whole), rng)
            shared.engine.publish()
            whole.drain()
            if stepper.step_until(inside, 8_000):
                reached += 1
                for _ in range(rng.randrange(60)):
                    stepper.step()
                break
        stepper.kill()
        _outcome(shared)  # asserts that what is committed is whole
        assert _is_before(shared, whole)
        _seal((shared, whole))
    assert reached > kills // 2, f"the worker was hardly ever seen where a {where} is half done"
    shared.restart()
    shared.drain()
    assert _outcome(shared) == _outcome(whole)


def _seal(rigs: tuple[BarRig, ...]) -> None:
    """The keeper's part, so that there is room: both see it at one record, when neither is short of it."""
    for i in range(len(TIMEFRAMES.split())):
        sealed = max(0, min(int(each.slot(i)["count"]) for each in rigs) - KEPT_ROWS)
        for each in rigs:
            each.hot.array("control")[layout.sealed_line(i)] = sealed  # type: ignore[union-attr]


def _is_before(shared: BarRig, whole: BarRig) -> bool:
    """Every committed row is one that the other has too."""
    for i in range(len(TIMEFRAMES.split())):
        there = {int(row["number"]): of_row(row) for row in whole.rows(i)}
        numbers = [row for row in shared.rows(i) if int(row["number"]) >= min(there, default=0)]
        if any(of_row(row) != there[int(row["number"])] for row in numbers):
            return False
    return True


@pytest.mark.timeout(max(300, 10 * KILLS))
def test_killed_at_random_moments_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    shared, whole = SharedBarRig(tmp_path / "shared"), BarRig(tmp_path / "whole", TIMEFRAMES, hot_rows=256)
    for each in (shared, whole):
        each.snapshot()
        each.engine.publish()
    whole.drain()
    for _ in range(KILLS):
        pid = shared.fork()
        wait_for(shared.is_idle, 60, "the worker sleeps")
        for _ in range(rng.randrange(1, 40)):
            _feed((shared, whole), rng)
            shared.engine.publish()
            whole.drain()
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        _seal((shared, whole))
    shared.restart()
    shared.drain()
    assert _outcome(shared) == _outcome(whole)
