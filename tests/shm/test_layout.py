"""The memory map: nothing overlaps, every writer has lines of its own, and a segment's description says it all."""

import json

import numpy as np
import pytest

from shm import layout
from shm.layout import LINE_BYTES, WORDS_A_LINE, Regions

DEFAULT_RING_BYTES = 4 << 20
DEFAULT_LEVELS, DEFAULT_DEPTH = 64, 2048

SEGMENTS = [
    pytest.param(layout.ring_regions(layout.MIN_RING_BYTES), id="ring-least"),
    pytest.param(layout.ring_regions(DEFAULT_RING_BYTES), id="ring"),
    pytest.param(layout.book_regions(DEFAULT_LEVELS, DEFAULT_DEPTH), id="book"),
    pytest.param(layout.book_regions(1, 1, 2, 2), id="book-least"),
    pytest.param(layout.engine_regions(), id="engine"),
    pytest.param(layout.changed_regions(), id="changed"),
    pytest.param(layout.bell_regions(), id="bell"),
    pytest.param(layout.account_regions(), id="account"),
    pytest.param(layout.events_regions(), id="events"),
    pytest.param(layout.keeper_regions(), id="keeper"),
    pytest.param(layout.recorder_regions(), id="recorder"),
]

# Who writes which control words: layout.py's drawing said again, name by name.
RING_WRITERS = {
    "creator": ["CAPACITY"],
    "engine": [
        *("TAIL", "TAIL_PRIVATE", "HEAD_CACHED", "NEXT_SEQUENCE", "DELIVERED", "DROPPED", "OWED_GAP", "OWED_COUNT"),
        *("SIGNAL", "COMMIT"),
    ],
    "worker": ["HEAD", "PARKED", "RESYNC_WANTED", "BEGUN", "HEARTBEAT"],
}
# Words that the other side polls, or that change at a pace of their own: none may share a line with another of these.
RING_SHARED = ["CAPACITY", "TAIL", "TAIL_PRIVATE", "SIGNAL", "COMMIT", "HEAD", "PARKED", "BEGUN", "HEARTBEAT"]
BOOK_SHARED = ["PUBLISHED", "THROUGH_NS", "WAKE", "TAPE_INTENT", "QUOTE_INTENT", "EVENT_INTENT", "WAKE_NS", "LATENCY"]


@pytest.mark.parametrize("regions", SEGMENTS)
def test_regions_lie_apart_on_pages_of_their_own(regions: Regions) -> None:
    end = layout.HEADER_BYTES
    for region in sorted(regions.values(), key=lambda region: region.offset):
        assert region.offset >= end
        assert region.offset % 4096 == 0
        end = region.offset + region.nbytes
    assert end <= layout.total_bytes(regions) < end + 4096


@pytest.mark.parametrize("regions", SEGMENTS)
def test_a_description_gives_the_regions_back_and_fits_the_header(regions: Regions) -> None:
    text = layout.describe(regions)
    assert layout.DESCRIPTION_OFFSET + len(text) <= layout.HEADER_BYTES
    assert layout.read_description(text) == regions


def test_a_description_is_enough_to_read_a_book_without_our_dtypes() -> None:
    described = json.loads(layout.describe(layout.book_regions(DEFAULT_LEVELS, DEFAULT_DEPTH)))

    def dtype_of(name: str) -> np.dtype[np.void]:
        fields = described["dtypes"][name]
        parts = [
            (dtype_of("STATE") if kind == "STATE" else np.dtype(kind), tuple(shape)) for _, kind, _, shape in fields
        ]
        return np.dtype({"names": [f[0] for f in fields], "formats": parts, "offsets": [f[2] for f in fields]})

    for name in ("LEVEL", "STATE", "CELL", "SLOT", "TRADE", "QUOTE", "EVENT"):
        ours = layout.NAMED_DTYPES[name]
        theirs = dtype_of(name)
        assert theirs.itemsize == ours.itemsize
        assert {f: theirs.fields[f][1] for f in theirs.names or ()} == {f: ours.fields[f][1] for f in ours.names or ()}  # type: ignore[index]


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"regions":{"words":{}}}', b'{"regions":{"w":{"offset":1}}}'])
def test_what_is_no_description_raises_only_what_is_documented(text: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        layout.read_description(text)


def test_control_words_of_different_writers_are_on_different_lines() -> None:
    lines: dict[int, str] = {}
    for writer, names in RING_WRITERS.items():
        for name in names:
            line = int(getattr(layout, name)) // WORDS_A_LINE
            assert lines.setdefault(line, writer) == writer, name
    second_commit = (layout.COMMIT + WORDS_A_LINE) // WORDS_A_LINE
    assert lines.setdefault(second_commit, "engine") == "engine"


@pytest.mark.parametrize("names", [RING_SHARED, BOOK_SHARED])
def test_words_that_are_polled_share_no_line(names: list[str]) -> None:
    lines = [int(getattr(layout, name)) // WORDS_A_LINE for name in names]
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize("name", ["ring", "book"])
def test_control_words_lie_whole_inside_the_control_bytes(name: str) -> None:
    regions = layout.ring_regions(layout.MIN_RING_BYTES) if name == "ring" else layout.book_regions(4, 4)
    first = next(iter(regions.values()))
    assert first.offset % LINE_BYTES == 0
    assert max(layout.HEARTBEAT, layout.LATENCY + layout.LATENCY_STEPS - 1) < layout.CONTROL_BYTES // 8
    assert layout.DATA_WORD * 8 == layout.CONTROL_BYTES


def test_words_and_rows_are_aligned() -> None:
    for dtype in layout.NAMED_DTYPES.values():
        for part, offset, *_ in (dtype.fields or {}).values():
            assert offset % (4 if part.itemsize == 4 else 8) == 0, (dtype, part)
    assert layout.CELL.itemsize % 64 == layout.SLOT.itemsize % 64 == layout.STATE.itemsize % 64 == 0
    assert layout.RECORD_BYTES % 8 == 0
    assert layout.GAP.itemsize % 8 == 0


def test_a_ring_has_the_capacity_and_its_slack() -> None:
    words = layout.ring_regions(1 << 16)["words"]
    assert words.nbytes == layout.CONTROL_BYTES + (1 << 16) + layout.RING_SLACK


@pytest.mark.parametrize("capacity", [0, 8192, (1 << 16) + 8, 3 << 14, -(1 << 16)])
def test_a_capacity_that_is_no_power_of_two_or_too_small_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        layout.ring_regions(capacity)


@pytest.mark.parametrize(("levels", "depth"), [(0, 4), (5, 4), (-1, 4)])
def test_impossible_book_depths_are_refused(levels: int, depth: int) -> None:
    with pytest.raises(ValueError, match="between 1 and max_depth"):
        layout.book_regions(levels, depth)


@pytest.mark.parametrize("rows", [0, 1, 3, 1000])
def test_broadcast_rings_are_powers_of_two(rows: int) -> None:
    with pytest.raises(ValueError, match="power of two of rows"):
        layout.book_regions(4, 4, tape_rows=rows)
    with pytest.raises(ValueError, match="power of two of rows"):
        layout.book_regions(4, 4, quote_rows=rows)
    with pytest.raises(ValueError, match="power of two of rows"):
        layout.book_regions(4, 4, event_rows=rows)
    with pytest.raises(ValueError, match="power of two of rows"):
        layout.events_regions(rows)


def test_six_instruments_with_everything_fit_in_56_mib() -> None:
    one = layout.total_bytes(layout.ring_regions(DEFAULT_RING_BYTES))
    one += layout.total_bytes(layout.book_regions(DEFAULT_LEVELS, DEFAULT_DEPTH))
    regions = layout.engine_regions(), layout.changed_regions(), layout.events_regions(), layout.account_regions()
    common = sum(layout.total_bytes(each) for each in regions)
    assert 6 * one + common <= 56 << 20


def test_every_reason_has_a_sentence() -> None:
    assert set(layout.REASON_TEXT) == set(layout.Reason)
    assert all(layout.REASON_TEXT[reason] for reason in layout.Reason if reason is not layout.Reason.NONE)


def test_the_gap_reserve_holds_a_gap_record_after_the_longest_padding() -> None:
    gap = layout.RECORD_BYTES + layout.GAP.itemsize + 8
    assert (gap - 8) + gap <= layout.GAP_RESERVE  # padding is shorter than what did not fit
