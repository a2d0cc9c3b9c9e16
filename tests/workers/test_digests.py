"""The digests of a book and its tape are those of its records, however often its worker ends, and in whatever way."""

import random
from collections.abc import Callable

import pytest

from tests.workers.rig import Rig, depth, snapshot, trades


def _end_in_order(rig: Rig) -> None:
    """SIGTERM: what is in the ring is finished, and a last checkpoint written."""
    rig.worker.finish(by_s=0.0)
    rig.restart()


def _kill(rig: Rig) -> None:
    """SIGKILL: what was not in a checkpoint is applied again."""
    rig.restart()


def _run(seed: int, end: Callable[[Rig], None] | None) -> tuple[int, int]:
    """The digests of the same records, with `end` at the same ones."""
    rng = random.Random(seed)
    rig = Rig(levels=8, max_depth=64)
    rig.configure()
    rig.send(snapshot())
    for n in range(2, 600):
        what, price, size = rng.randrange(6), 21000 + 0.25 * rng.randrange(-9, 9), rng.randrange(1, 9)
        if what == 0:
            rig.send(trades([(price, size, rng.randrange(2))], n))
        elif what == 1:
            rig.engine.clock()
        else:
            rig.send(depth([(rng.choice((3, 4)), price, size * rng.randrange(2))], n))
        if rng.randrange(4) == 0:
            rig.drain()
        if rng.randrange(20) == 0:
            rig.engine.publish()
            if end is not None:
                end(rig)
    rig.engine.clock()
    rig.drain()
    state = rig.memory.state[0]
    return int(state["book_digest"]), int(state["tape_digest"])


@pytest.mark.parametrize("end", [_end_in_order, _kill])
def test_they_are_the_same_through_every_end(seed: int, end: Callable[[Rig], None]) -> None:
    assert _run(seed, end) == _run(seed, None)


def test_other_records_are_other_digests(seed: int) -> None:
    book, tape = _run(seed, None)
    other_book, other_tape = _run(seed + 1, None)
    assert book != other_book
    assert tape != other_tape
