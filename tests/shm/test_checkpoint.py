"""Checkpoints: of two slots one is whole, whenever the writer dies; and no copy taken beside a writer is torn."""

from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.checkpoint import load_slot, newest_slot, write_slot
from shm.layout import Kind
from shm.segment import attach, create
from tests.shm.interpreted import Moments, Rows, StoredWords, interpret
from tests.shm.stress import cells
from tests.shm.stress import slots as stress
from tests.shm.stress.processes import GENERATION, make_flags, running, shared_folder

READS = 300_000
TRIES_AT_ONCE = 50_000
WRITES = 100_000


class Memory:
    """Working copy and slots, in the test's own memory."""

    def __init__(self) -> None:
        regions = layout.book_regions(4, stress.DEPTH, 16, 16)
        names = ("state", "levels", "slots", "slot_levels")
        arrays: list[Any] = [np.zeros(regions[name].shape, regions[name].dtype) for name in names]
        self.state, self.levels, self.slots, self.slot_levels = arrays
        self.slot_words = self.slots.view(np.int64)

    def fill(self, number: int) -> None:
        cells.fill(self.state.view(np.int64), self.levels, number)

    def write(self) -> None:
        write_slot(self.slot_words, self.slots, self.slot_levels, self.state, self.levels)

    def load(self) -> bool:
        return load_slot(self.slot_words, self.slots, self.slot_levels, self.state, self.levels)

    def holds(self, number: int) -> bool:
        return stress.is_whole(self.state.view(np.int64), self.levels.reshape(-1).view(np.int64), number)

    def marks(self, slot: int) -> tuple[int, int]:
        return int(self.slots[slot]["begin"]), int(self.slots[slot]["end"])


def test_nothing_is_loaded_where_nothing_was_written() -> None:
    memory = Memory()
    memory.fill(7)
    assert newest_slot(memory.slot_words) == -1
    assert not memory.load()
    assert memory.holds(7), "the working copy is not touched"


def test_slots_alternate_and_the_newest_comes_back_whole() -> None:
    memory = Memory()
    for number in range(1, 20):
        memory.fill(number)
        memory.write()
        assert newest_slot(memory.slot_words) == (number - 1) % 2
        assert memory.marks((number - 1) % 2) == (number, number)
        memory.fill(1000)
        assert memory.load()
        assert memory.holds(number)


@pytest.mark.parametrize(
    ("marks", "newest"),
    [
        (((0, 0), (0, 0)), -1),
        (((1, 0), (0, 0)), -1),  # died in the very first
        (((1, 1), (0, 0)), 0),
        (((1, 1), (2, 0)), 0),  # died in the second
        (((1, 1), (2, 2)), 1),
        (((3, 1), (2, 2)), 1),  # died in the third
        (((3, 3), (2, 2)), 0),
        (((3, 3), (4, 2)), 0),
    ],
)
def test_only_a_slot_whose_marks_agree_counts(marks: Any, newest: int) -> None:
    memory = Memory()
    for slot in range(2):
        memory.slots[slot]["begin"], memory.slots[slot]["end"] = marks[slot]
    assert newest_slot(memory.slot_words) == newest


def test_a_writer_killed_at_any_store_leaves_a_whole_slot() -> None:
    memory = Memory()
    moments: list[tuple[int, Any, Any]] = []
    done = 0
    note = Moments(lambda: moments.append((done, memory.slots.copy(), memory.slot_levels.copy())))
    interpreted = interpret("checkpoint", note)
    words = StoredWords(memory.slot_words, note)
    for number in range(1, 7):
        memory.fill(number)
        interpreted.write_slot(words, memory.slots, memory.slot_levels, Rows(memory.state), memory.levels)
        done = number
    assert len(moments) == 6 * (2 + 3 * 2)  # two marks, and three copies that are looked at before and half way
    for whole, slots, slot_levels in moments:
        left = Memory()
        left.slots[:], left.slot_levels[:] = slots, slot_levels
        assert left.load() is (whole > 0)
        assert whole == 0 or left.holds(whole)
        left.fill(whole + 1)  # a successor goes on, over the half written slot
        left.write()
        left.fill(1000)
        assert left.load()
        assert left.holds(whole + 1)


def test_no_copy_beside_a_writer_that_never_pauses_is_torn() -> None:
    with shared_folder() as folder:
        regions = layout.book_regions(4, stress.DEPTH, 16, 16)
        create(folder / stress.BOOK, Kind.BOOK, regions, generation=GENERATION).close()
        flags = make_flags(folder)
        copies = np.zeros(layout.STATE.itemsize // 8, np.int64), np.zeros(2 * stress.DEPTH * 2, np.int64)
        counts = np.zeros(stress.COUNTS, np.int64)
        with running("slots", folder, flags):
            book = attach(folder / stress.BOOK, Kind.BOOK, generation=GENERATION)
            slots, levels = (book.array(name).reshape(-1).view(np.int64) for name in ("slots", "slot_levels"))
            # The writer comes back to a slot after one checkpoint, so many a copy is overtaken: those are not counted.
            while counts[stress.READS] < READS or counts[stress.NEWEST] < WRITES:
                stress.read(slots, slots, levels, *copies, counts, TRIES_AT_ONCE)
        print(f"reads, torn, retries, checkpoints: {counts.tolist()}")
        assert counts[stress.TORN] == 0
