"""The law of `recover`: from a checkpoint, with the records behind it, as from nothing with all of them."""

import numpy as np
import pytest

from shm import layout
from shm.layout import Rows, Words
from tests.workers.rig import NOWHERE, Arrays, Rig, snapshot, task
from tests.workers.test_rerun import run
from workers import pump
from workers.pump import Memory
from workers.recovery import Checkpoint, recover, surviving
from workers.worker import Worker, map_memory

RECORDS = 300
ROWS = ("tape", "quotes", "events")
COUNTS = (layout.TAPE_COUNT, layout.QUOTE_COUNT, layout.EVENT_COUNT)


def memory(rig: Rig, book: Arrays | None = None) -> Memory:
    """A worker's, on a copy of the rig's ring; of a clean start, if `book` is not given."""
    ring = Arrays(layout.ring_regions(1 << 20))
    ring.array("words")[:] = rig.ring.array("words")
    new = Arrays(layout.book_regions(8, 64, 1 << 15, 1 << 15))
    return map_memory(ring, book or new, Arrays(layout.changed_regions()))


def whole_ring(rig: Rig) -> Words:
    """The ring's words, as if nothing had been taken out of it yet."""
    words: Words = rig.ring.array("words").copy()
    words[layout.HEAD] = 0
    return words


def applied(checkpoint: Checkpoint | None, records: Words, where: Memory) -> Memory:
    """What becomes of it when all records that are left are applied, by the worker itself."""
    worker = Worker(where, task(), NOWHERE)
    worker.memory = recover(checkpoint, records, worker.memory)
    while (code := pump.pump(worker.memory)) != pump.IDLE:
        worker.handle(code)
    return worker.memory


def check_same(one: Memory, other: Memory) -> None:
    """Book, counts, digests and all else that the next record's result depends on."""
    names = layout.STATE.names or ()
    assert {name for name in names if one.state[name][0] != other.state[name][0]} == set()
    for side, name in enumerate(("n_bids", "n_asks")):
        count = int(one.state[name][0])
        assert one.levels[side, :count].tobytes() == other.levels[side, :count].tobytes()


def rows(of: Memory, which: int) -> Rows:
    found: Rows = getattr(of, ROWS[which])[: int(of.control[COUNTS[which]])]
    return found


def test_from_every_checkpoint_with_the_records_behind_it_as_from_nothing_with_all(seed: int) -> None:
    rig, _, states = run(np.random.default_rng(seed), RECORDS)
    nothing = applied(None, whole_ring(rig), memory(rig))
    check_same(nothing, rig.memory)
    assert len(rows(nothing, 0)) > 10
    assert nothing.state["book_digest"][0] != 0
    for checkpoint in (Checkpoint(*each) for each in states):
        found = applied(checkpoint, whole_ring(rig), memory(rig))
        check_same(found, nothing)
        for which in range(len(ROWS)):
            wanted = rows(nothing, which)
            wanted = wanted[wanted["sequence"] > checkpoint.sequence]
            if which == 2:  # an event's row says too which number it has, of those that this memory shows
                found_rows = rows(found, which)
                assert found_rows["sequence"].tolist() == wanted["sequence"].tolist()
                assert found_rows["kind"].tolist() == wanted["kind"].tolist()
            else:
                assert rows(found, which).tobytes() == wanted.tobytes()


def test_what_is_shown_already_is_not_shown_again_from_whatever_checkpoint(seed: int) -> None:
    chance = np.random.default_rng(seed)
    rig, _, states = run(chance, RECORDS)
    before = [rows(rig.memory, which).tobytes() for which in range(len(ROWS))]
    for at in [-1, *chance.integers(len(states), size=20).tolist()]:
        checkpoint = None if at < 0 else Checkpoint(*states[at])
        found = applied(checkpoint, whole_ring(rig), memory(rig, rig.book))
        check_same(found, rig.memory)
        assert [rows(found, which).tobytes() for which in range(len(ROWS))] == before


def test_it_begins_where_the_checkpoint_ends_and_gives_back_what_lies_before() -> None:
    rig = Rig(levels=8, max_depth=64)
    rig.configure()
    rig.send(snapshot())
    rig.drain()
    rig.worker.finish(by_s=0.0)
    found = surviving(rig.memory)
    assert found is not None
    end = int(rig.ring.array("words")[layout.TAIL])
    words = whole_ring(rig)
    memory_of = recover(found, words, memory(rig))
    assert memory_of.ring is words
    assert [int(memory_of.notes[at]) for at in (pump.POSITION, pump.RELEASED)] == [end, end]
    assert int(words[layout.HEAD]) == end
    assert found.moved(0).sequence == found.sequence
    assert int(recover(found.moved(0), words, memory(rig)).notes[pump.POSITION]) == 0


def test_nothing_survives_where_there_was_nothing() -> None:
    assert surviving(memory(Rig(levels=8, max_depth=64))) is None


@pytest.mark.parametrize("replayed", [False, True])
def test_from_nothing_a_book_is_starting(replayed: bool) -> None:
    rig = Rig(levels=8, max_depth=64)
    where = memory(rig)
    where.notes[pump.REPLAYED] = replayed
    state = recover(None, where.ring, where).state[0]
    assert (state["state"], state["cause"]) == (layout.State.SYNCING, layout.Reason.STARTING)
    assert state["source"] == (layout.Source.REPLAY if replayed else layout.Source.VENUE)
