"""Recorded bytes run once more in private memory: the same book, tape and digests, from any checkpoint on."""

from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.errors import LayoutError
from shm.layout import Reason
from shm.refill import words_of
from tests.shm.test_refill import recorded
from tests.workers.rig import Rig, depth, quote, snapshot, trades
from workers.recovery import Checkpoint
from workers.rerun import Rerun

SAME = [
    name
    for name in layout.STATE.names or ()
    if name not in ("position", "source", "sequence", "recv_ns")  # where it lay in the ring, and that it is a replay
]


def run(rng: np.random.Generator, records: int) -> tuple[Rig, list[bytes], list[Any]]:
    """A live worker; the bytes of each publication of its engine, and the state after each."""
    rig = Rig(levels=8, max_depth=64)
    pieces, states = [], []
    rig.configure()
    rig.send(snapshot())
    for n in range(records):
        what = rng.integers(8)
        price = 21000.0 + 0.25 * int(rng.integers(-9, 9))
        if what == 0:
            rig.send(trades([(price, int(rng.integers(1, 9)), int(rng.integers(2)))], n))
        elif what == 1:
            rig.engine.clock()
        elif what == 2:
            rig.send(quote(lastPrice=price))
        elif what == 3 and rng.integers(20) == 0:
            rig.engine.gap(Reason.DISCONNECTED)
            rig.send(snapshot(n=n))
        else:
            rig.send(depth([(int(rng.integers(3, 5)), price, int(rng.integers(0, 9)))], n))
        before = int(rig.ring.array("words")[layout.TAIL])
        rig.drain()
        pieces.append(recorded(rig.ring.array("words"), before, int(rig.ring.array("words")[layout.TAIL])))
        states.append((rig.memory.state.copy(), rig.memory.levels.copy()))
    return rig, pieces, states


def same(one: Any, other: Any) -> bool:
    sides = [(i, int(one[0][name][0])) for i, name in enumerate(("n_bids", "n_asks"))]
    return all(one[0][name] == other[0][name] for name in SAME) and all(
        one[1][side, :count].tobytes() == other[1][side, :count].tobytes() for side, count in sides
    )


def test_the_same_bytes_make_the_same_book_tape_and_digests(seed: int) -> None:
    rig, pieces, states = run(np.random.default_rng(seed), 400)
    rerun = Rerun(8, 64)
    rerun.take(words_of(b"".join(pieces)))
    memory = rerun.memory
    assert same((memory.state, memory.levels), states[-1])
    assert memory.tape[:50].tobytes() == rig.memory.tape[:50].tobytes()
    assert memory.state["book_digest"][0] != 0
    assert memory.state["tape_digest"][0] != 0


def test_it_goes_on_from_any_checkpoint(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, pieces, states = run(rng, 200)
    for _ in range(20):
        at = int(rng.integers(len(pieces)))
        rerun = Rerun(8, 64, checkpoint=Checkpoint(*states[at]))
        rerun.take(words_of(b"".join(pieces[max(0, at - 5) :])))  # what is older than the checkpoint is passed over
        assert same((rerun.memory.state, rerun.memory.levels), states[-1])


def test_it_can_be_looked_at_after_each_record(seed: int) -> None:
    _, pieces, states = run(np.random.default_rng(seed), 120)
    rerun = Rerun(8, 64)
    rerun.take(words_of(pieces[0]))
    shown = [(m.state.copy(), m.levels.copy()) for m in rerun.step(words_of(b"".join(pieces[1:])))]
    wanted = [state for piece, state in zip(pieces[1:], states[1:], strict=True) if piece]
    assert len(shown) >= len(wanted)
    assert same(shown[-1], wanted[-1])
    numbers = [int(state["sequence"][0]) for state, _ in shown]
    assert numbers == sorted(numbers)


def test_another_level_is_another_digest(seed: int) -> None:
    _, pieces, _ = run(np.random.default_rng(seed), 50)
    digests = []
    for price in (b'"price":21', b'"price":22'):
        rerun = Rerun(8, 64)
        rerun.take(words_of(b"".join(pieces).replace(b'"price":21', price)))
        digests.append(int(rerun.memory.state["book_digest"][0]))
    assert digests[0] != digests[1]


def test_foreign_bytes_are_refused_after_what_is_good(seed: int) -> None:
    _, pieces, states = run(np.random.default_rng(seed), 30)
    rerun = Rerun(8, 64)
    with pytest.raises(LayoutError, match="no records"):
        rerun.take(words_of(b"".join(pieces) + b"\xee" * 80))
    assert same((rerun.memory.state, rerun.memory.levels), states[-1])


def test_a_trace_says_the_stamps_after_each_record_and_stops_where_it_is_told(seed: int) -> None:
    _, pieces, _ = run(np.random.default_rng(seed), 120)
    recorded = words_of(b"".join(pieces))
    seen = [
        (int(m.state["wall_ns"][0]), int(m.state["venue_ns"][0]), int(m.state["sequence"][0]))
        for m in Rerun(8, 64).step(recorded)
    ]
    whole = Rerun(8, 64)
    assert [tuple(row) for row in whole.trace(recorded).tolist()] == [each[:2] for each in seen]
    assert whole.is_between_messages
    for most in np.random.default_rng(seed).integers(1, len(seen), size=10).tolist():
        part = Rerun(8, 64)
        assert len(part.trace(recorded, most)) == most
        assert part.memory.state["sequence"][0] == seen[most - 1][2]


def test_what_is_missing_leaves_the_book_unknown_until_the_next_snapshot(seed: int) -> None:
    rig, pieces, states = run(np.random.default_rng(seed), 60)
    rerun = Rerun(8, 64)
    rerun.take(words_of(b"".join(pieces)))
    wall_ns = int(rerun.memory.state["wall_ns"][0])
    assert rerun.lose().tolist() == [[wall_ns + 1, int(rerun.memory.state["venue_ns"][0])]]
    state = rerun.memory.state[0]
    assert (state["synced"], state["cause"], state["state"]) == (0, Reason.DROPPED, layout.State.STALE)
    assert state["dropped"] == states[-1][0]["dropped"][0]
    rig.engine.clock()  # it has a sequence, and is among what is missing
    rig.send(snapshot(n=100))
    before = int(rig.ring.array("words")[layout.TAIL])
    rig.drain()
    rerun.take(words_of(recorded(rig.ring.array("words"), before, int(rig.ring.array("words")[layout.TAIL]))))
    assert rerun.memory.state["synced"][0] == 1
