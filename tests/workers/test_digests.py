"""A book, its tape and its bars are those of the records, however often their worker ends, and in whatever way."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.workers.bar_rig import SECOND, TICKS, BarRig, of_row
from tests.workers.rig import Rig, depth

TIMEFRAMES = "1s 5s=flat 7tick"
PAST_NS = 20 * SECOND  # the rig's time begins so long after that of `stamp`


class Outcome(NamedTuple):
    book: int  # digests
    tape: int
    trades: list[Any]
    bars: list[Any]


def _end_in_order(rig: Rig) -> None:
    """SIGTERM: what is in the ring is finished, and a last checkpoint written."""
    rig.worker.finish(by_s=0.0)
    rig.restart()


def _kill(rig: Rig) -> None:
    """SIGKILL: what was not in a checkpoint is applied again."""
    rig.restart()


def _run(folder: Path, seed: int, end: Callable[[Rig], None] | None) -> Outcome:
    """What the same records come to, with `end` at the same ones."""
    rng = random.Random(seed)
    rig = BarRig(folder, TIMEFRAMES)
    begin_ns = rig.wall_ns
    rig.snapshot()
    for _ in range(600):
        rig.later(rng.choice((1, 10, 100)) * 1_000_000)
        what, ticks, size = rng.randrange(6), TICKS + rng.randrange(-9, 9), rng.randrange(1, 9)
        entry = rng.choice((3, 4)), ticks / 4, size * rng.randrange(2)
        n = (rig.wall_ns - begin_ns + PAST_NS) // 100
        if what == 0:
            late_ns = rng.choice((0, 0, 2)) * SECOND
            rig.trades([(rig.wall_ns - late_ns, ticks, size, rng.randrange(2)) for _ in range(rng.randrange(1, 4))])
        elif what == 1:
            rig.clock()
        else:
            rig.put(lambda entry=entry, n=n: rig.send(depth([entry], n)))
        if rng.randrange(4) == 0:
            rig.drain()
        if rng.randrange(20) == 0:
            rig.engine.publish()
            if end is not None:
                end(rig)
    rig.clock()
    rig.drain()
    state = rig.memory.state[0]
    names = range(len(TIMEFRAMES.split()))
    bars = [([of_row(row) for row in rig.rows(i)], [of_row(row) for row in rig.forming(i)]) for i in names]
    return Outcome(int(state["book_digest"]), int(state["tape_digest"]), rig.tape(), bars)


@pytest.mark.parametrize("end", [_end_in_order, _kill])
def test_they_are_the_same_through_every_end(tmp_path: Path, seed: int, end: Callable[[Rig], None]) -> None:
    ended, whole = _run(tmp_path / "ended", seed, end), _run(tmp_path / "whole", seed, None)
    assert ended == whole
    assert all(closed for closed, _ in whole.bars)


def test_other_records_are_other_digests(tmp_path: Path, seed: int) -> None:
    one, other = _run(tmp_path / "one", seed, None), _run(tmp_path / "other", seed + 1, None)
    assert all(mine != theirs for mine, theirs in zip(one, other, strict=True))
