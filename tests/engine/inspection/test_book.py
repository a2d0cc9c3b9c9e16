"""What scripts/inspect says of a book: whole, empty, damaged, with a cell in hand, not heard any more."""

import time
from pathlib import Path

import pytest

from engine.inspection.report import render
from engine.inspection.segment import examine, open_segment
from shm import layout
from shm.layout import Kind
from shm.segment import Segment, create


def test_a_book_is_whole_and_says_what_is_in_it(book: Segment) -> None:
    report = examine(open_segment(book.path))
    text = render(report)
    assert report.whole, text
    for part in (
        "live",
        "25.00 × 5",
        "25.25 × 5",
        "CON.F.US.MNQ.Z26",
        "1,234",
        "cells: 8 whole",
        "5 rows written, 4 held",
        "gap · 3 lost · the venue's socket is down",
        "events: 2 rows written, 2 held",
    ):
        assert part in text
    assert max(len(line) for line in text.splitlines()[1:]) <= 100


def test_a_book_with_one_cell_and_one_slot_in_hand_is_whole(book: Segment) -> None:
    book.array("cells")["begin"][12 % layout.CELLS] = 12
    book.array("slots")["begin"][0] = 2
    assert examine(book).faults == []


def test_an_empty_book_is_whole(tmp_path: Path) -> None:
    segment = create(tmp_path / "A.book", Kind.BOOK, layout.book_regions(4, 8), generation=1, symbol="A")
    report = examine(segment)
    assert report.whole
    assert "waiting for the first snapshot" in render(report)


@pytest.mark.parametrize(
    ("region", "index", "field", "value", "fault"),
    [
        ("cells", 3, "n_bids", 9, "cell 3 says n_bids = 9"),
        ("cells", 3, "n_asks", -1, "cell 3 says n_asks = -1"),
        ("cell_levels", (2, 0, 0), "price", 98, "prices of n_bids out of order"),
        ("cell_levels", (2, 1, 1), "price", 101, "prices of n_asks out of order"),
        ("cell_levels", (2, 0, 1), "size", 0, "a level of n_bids without size"),
        ("slot_levels", (1, 1, 0), "price", 7, "slot 1: prices of n_asks out of order"),
        ("tape", 2, "sequence", 1, "rows out of order"),
        ("events", 0, "place", 2, "rows out of order"),
    ],
)
def test_a_damaged_book_is_named(
    book: Segment, region: str, index: int | tuple[int, ...], field: str, value: int, fault: str
) -> None:
    book.array(region)[field][index] = value
    faults = examine(book).faults
    assert len(faults) == 1
    assert fault in faults[0]


def test_two_cells_or_slots_in_hand_are_a_fault(book: Segment) -> None:
    book.array("cells")["begin"][:2] = 90
    book.array("slots")["begin"] = [3, 4]
    assert len(examine(book).faults) == 2


def test_who_is_not_heard_any_more_is_not_called_live(book: Segment) -> None:
    control = book.array("control")
    control[layout.THROUGH_NS] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert "\n    state           live\n" in render(examine(book))
    control[layout.THROUGH_NS] -= 5_600_000_000
    assert "live when last heard, 5." in render(examine(book))
