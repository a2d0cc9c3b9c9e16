"""Cells: what a publication says, a reader beside a writer that never pauses, a writer killed half way, wake-ups."""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.cells import count_latency, move_through, near_size, pay_owed_wake, publish_cell, wake_readers
from shm.layout import Kind
from shm.segment import Segment, attach, create
from tests.shm.interpreted import Moments, Rows, StoredWords, interpret
from tests.shm.stress import cells as stress
from tests.shm.stress.processes import GENERATION, make_flags, running, shared_folder

KERNEL_READS = 500_000
PLAIN_READS = 20_000


class Book:
    """A book in the test's own memory."""

    def __init__(self, levels: int = stress.LEVELS, depth: int = stress.DEPTH) -> None:
        self.arrays: dict[str, Any] = {
            name: np.zeros(region.shape, region.dtype)
            for name, region in layout.book_regions(levels, depth, 16, 16).items()
        }
        self.control = self.arrays["control"].view(np.int64)
        self.cells = self.arrays["cells"]
        self.cell_words = self.cells.view(np.int64)
        self.cell_levels = self.arrays["cell_levels"]
        self.state = self.arrays["state"]
        self.levels = self.arrays["levels"]

    def put(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        for side, rows in enumerate((bids, asks)):
            self.levels[side, : len(rows)] = rows
        self.state["n_bids"], self.state["n_asks"] = len(bids), len(asks)

    def publish(self, now_ns: int = 5, records: int = 1) -> Any:
        cell = self.control, self.cell_words, self.cells, self.cell_levels
        publish_cell(*cell, self.state, self.levels[0], self.levels[1], now_ns, records)
        return self.cells[int(self.control[layout.PUBLISHED]) % layout.CELLS]


def test_a_publication_shows_the_best_levels_first_and_their_analytics() -> None:
    book = Book(levels=2, depth=4)
    book.put([(98, 7), (99, 5), (100, 30)], [(111, 4), (103, 10)])
    cell = book.publish(now_ns=77, records=3)
    assert int(book.control[layout.PUBLISHED]) == 1
    assert (cell["begin"], cell["end"], cell["publish_ns"], cell["batch_records"]) == (1, 1, 77, 3)
    assert (cell["n_bids"], cell["n_asks"]) == (2, 2)
    assert book.cell_levels[1, 0].tolist() == [(100, 30), (99, 5)]
    assert book.cell_levels[1, 1].tolist() == [(103, 10), (111, 4)]
    assert cell["spread"] == 3
    assert cell["microprice_e6"] == 2_250_000  # 30 of 40 lots bid: three quarters of the way to the ask
    assert cell["imbalance_e6"] == 500_000
    assert (cell["near_bid_size"], cell["near_ask_size"]) == (42, 14)


def test_a_side_that_is_empty_has_no_analytics() -> None:
    book = Book(levels=2, depth=4)
    book.put([(98, 7), (100, 30)], [(103, 10)])
    book.publish()
    book.put([], [(103, 10)])
    cell = book.publish()
    assert (cell["n_bids"], cell["n_asks"]) == (0, 1)
    assert [int(cell[name]) for name in ("spread", "microprice_e6", "imbalance_e6", "near_bid_size")] == [0, 0, 0, 0]


@pytest.mark.parametrize(("far", "total"), [(10, 8), (11, 5)])
def test_near_is_up_to_ten_ticks_from_the_best(far: int, total: int) -> None:
    levels = np.array([(100 - far, 3), (100, 5)], layout.LEVEL)
    assert near_size(levels, 2) == total


def test_cells_rotate_and_the_state_is_copied_whole() -> None:
    book = Book()
    for number in range(1, 3 * layout.CELLS):
        stress.fill(book.state.view(np.int64), book.levels, number)
        cell = book.publish(number * 3, number & 255)
        i = number % layout.CELLS
        assert cell["begin"] == number
        assert stress.is_whole(_words(cell), _words(book.cell_levels[i]), number)


def _words_of(count: int) -> Any:
    return np.zeros(count, np.int64)


def _words(thing: Any) -> Any:
    return np.frombuffer(thing.tobytes(), np.int64).copy()


@pytest.mark.parametrize(("where", "word"), [("cell", 40), ("cell", 0), ("levels", 3), ("levels", 128)])
def test_the_stress_check_itself_sees_one_wrong_word(where: str, word: int) -> None:
    book = Book()
    stress.fill(book.state.view(np.int64), book.levels, 1)
    cell, levels = _words(book.publish(3, 1)), _words(book.cell_levels[1])
    assert stress.is_whole(cell, levels, 1)
    (cell if where == "cell" else levels)[word] += 1
    assert not stress.is_whole(cell, levels, 1)


# ── beside a writer that never pauses ───────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def read_only() -> Iterator[Segment]:
    """A book that another process publishes into without a pause."""
    with shared_folder() as folder:
        regions = layout.book_regions(stress.LEVELS, stress.DEPTH, 16, 16)
        create(folder / stress.BOOK, Kind.BOOK, regions, generation=GENERATION).close()
        flags = make_flags(folder)
        with running("cells", folder, flags):
            yield attach(folder / stress.BOOK, Kind.BOOK, generation=GENERATION)


def test_a_kernel_reader_never_gets_a_torn_cell(read_only: Segment) -> None:
    array = read_only.array
    control, cells, levels = (array(name).reshape(-1).view(np.int64) for name in ("control", "cells", "cell_levels"))
    copies = np.zeros(layout.CELL.itemsize // 8, np.int64), np.zeros(2 * stress.LEVELS * 2, np.int64)
    counts = np.zeros(stress.COUNTS, np.int64)
    first = int(control[layout.PUBLISHED])
    stress.read(control, cells, levels, *copies, counts, KERNEL_READS)
    published = int(control[layout.PUBLISHED]) - first
    print(f"{KERNEL_READS:,} reads, {published:,} publications, retries and worst {counts[2:4].tolist()}")
    assert published > layout.CELLS * 100
    assert counts[stress.READS] == KERNEL_READS
    assert counts[stress.TORN] == 0
    assert counts[stress.BACK] == 0
    assert counts[stress.WORST] < stress.MAX_RETRIES


def test_a_plain_python_reader_never_gets_a_torn_cell(read_only: Segment) -> None:
    """On x86-64 loads are made in order, so plain Python may follow the protocol."""
    regions = read_only.regions
    memory = read_only.memory
    words = memory[regions["control"].offset :][: layout.CONTROL_BYTES].cast("q")
    begin = struct.Struct("<q")
    cell_bytes, level_bytes = layout.CELL.itemsize, 2 * stress.LEVELS * layout.LEVEL.itemsize
    retries = torn = 0
    for _ in range(PLAIN_READS):
        for _ in range(stress.MAX_RETRIES):
            number = words[layout.PUBLISHED]
            i = number % layout.CELLS
            cell_at = regions["cells"].offset + i * cell_bytes
            level_at = regions["cell_levels"].offset + i * level_bytes
            cell, levels = (
                bytes(memory[cell_at : cell_at + cell_bytes]),
                bytes(memory[level_at : level_at + level_bytes]),
            )
            if begin.unpack_from(memory, cell_at)[0] == number:
                break
            retries += 1
        else:
            pytest.fail("no whole cell within the limit of retries")
        torn += not stress.is_whole(np.frombuffer(cell, np.int64), np.frombuffer(levels, np.int64), number)
    print(f"{PLAIN_READS:,} reads, {retries:,} retries")
    assert torn == 0


# ── a writer killed half way ────────────────────────────────────────────────────────────────────────────────


def test_a_writer_killed_at_any_mark_leaves_the_published_cell_whole() -> None:
    book = Book()
    moments: list[dict[str, Any]] = []
    note = Moments(lambda: moments.append({name: array.copy() for name, array in book.arrays.items()}))
    interpreted = interpret("cells", note)
    for number in range(1, layout.CELLS + 3):
        stress.fill(book.state.view(np.int64), book.levels, number)
        interpreted.publish_cell(
            StoredWords(book.control, note),
            StoredWords(book.cell_words, note),
            Rows(book.cells),
            Rows(book.cell_levels),
            Rows(book.state),
            *(Rows(side) for side in book.levels),
            number * 3,
            number & 255,
        )
        interpreted.move_through(StoredWords(book.control, note), number)
    assert len(moments) > 5 * layout.CELLS
    for moment in moments:
        left = Book()
        for name, array in moment.items():
            left.arrays[name][:] = array
        published = int(left.control[layout.PUBLISHED])
        assert published == 0 or _published_is_whole(left)
        assert left.control[layout.THROUGH_NS] <= published
        stress.fill(left.state.view(np.int64), left.levels, published + 1)  # the successor goes on with the counter
        left.publish((published + 1) * 3, (published + 1) & 255)
        assert int(left.control[layout.PUBLISHED]) == published + 1
        assert _published_is_whole(left)


def _published_is_whole(book: Book) -> bool:
    number = int(book.control[layout.PUBLISHED])
    i = number % layout.CELLS
    return stress.is_whole(_words(book.cells[i]), _words(book.cell_levels[i]), number)


# ── stamps, latency, wake-ups ───────────────────────────────────────────────────────────────────────────────


def test_through_never_goes_back() -> None:
    control: Any = np.zeros(512, np.int64)
    for stamp, through in ((5, 5), (3, 5), (5, 5), (9, 9)):
        move_through(control, stamp)
        assert control[layout.THROUGH_NS] == through


@pytest.mark.parametrize("latency", [-5, 0, 1, 2, 3, 7, 8, 999, 1000, 123_456, 10**9, 3600 * 10**9, 1 << 60])
def test_a_latency_is_counted_in_the_bucket_that_holds_it(latency: int) -> None:
    control: Any = np.zeros(512, np.int64)
    count_latency(control, latency)
    buckets = control[layout.LATENCY : layout.LATENCY + layout.LATENCY_STEPS]
    assert buckets.sum() == control.sum() == 1
    i = int(buckets.argmax())
    low, high = (((4 + step % 4) << (step // 4)) for step in (i, i + 1))
    assert low <= 4 * max(latency, 1) < high or i == layout.LATENCY_STEPS - 1


def test_readers_are_told_each_time_and_woken_at_most_once_a_millisecond_when_they_are_many() -> None:
    control, changed = _words_of(512), _words_of(16)
    wake_readers(control, changed, 1_000_000)
    assert (control[layout.WAKE], changed[0], control[layout.WAKE_OWED]) == (1, 1, 0)
    control[layout.WAKE_WOKEN] = 5  # as if the last call had woken five
    wake_readers(control, changed, 1_999_999)
    assert (control[layout.WAKE], changed[0], control[layout.WAKE_OWED]) == (2, 2, 1)
    pay_owed_wake(control, changed, 2_000_000)
    assert (control[layout.WAKE], changed[0], control[layout.WAKE_OWED], control[layout.WAKE_WOKEN]) == (2, 2, 0, 0)
    control[layout.WAKE_WOKEN] = 5
    wake_readers(control, changed, 3_000_000)
    assert (control[layout.WAKE_OWED], control[layout.WAKE_NS]) == (0, 3_000_000)
    control[layout.WAKE_WOKEN] = 4
    wake_readers(control, changed, 3_000_001)
    assert (control[layout.WAKE_OWED], control[layout.WAKE_NS]) == (0, 3_000_001)
