"""What scripts/inspect says of a ring: whole, wrapped, replayed, damaged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.inspection.report import render
from engine.inspection.segment import examine, open_segment
from shm import layout
from shm.layout import Kind
from shm.refill import put_present
from shm.ring import RingWriter
from shm.segment import Segment, create

GENERATION = 3


def test_a_ring_is_whole_and_its_records_are_counted(ring: Segment) -> None:
    report = examine(open_segment(ring.path))
    assert report.whole
    assert "records between head and tail: 6" in render(report)  # two, three chunks, a gap
    assert "delivered       3" in render(report)


def test_a_ring_that_wrapped_many_times_is_whole(ring: Segment) -> None:
    words = ring.array("words")
    writer = RingWriter(words, GENERATION)
    for size in range(2000):
        words[layout.HEAD] = words[layout.TAIL]
        assert writer.push(b"x" * (size % 1500))
        writer.publish()
    assert examine(ring).faults == []


def test_a_ring_of_a_replay_has_the_sequences_that_were_recorded(tmp_path: Path) -> None:
    path = tmp_path / "MNQ.ring"
    ring = create(path, Kind.RING, layout.ring_regions(1 << 14), generation=GENERATION, symbol="MNQ")
    writer = RingWriter(ring.array("words"), GENERATION - 1)
    for _ in range(3):
        assert writer.push(b"x")
        assert put_present(ring.array("words"))
    writer.publish()
    assert examine(ring).faults == []
    ring.array("words")[layout.DATA_WORD + 1] += 2
    assert any("sequence" in fault for fault in examine(ring).faults)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda words: words.__setitem__(layout.HEAD, words[layout.TAIL] + 8), "head"),
        (lambda words: words.__setitem__(layout.TAIL, words[layout.TAIL] + 4), "tail"),
        (lambda words: words.__setitem__(layout.TAIL, 1 << 20), "tail 1,048,576"),
        (lambda words: words.__setitem__(layout.CAPACITY, 1 << 20), "1,048,576 bytes"),
        (lambda words: words.__setitem__(layout.DATA_WORD, 99 << 32), "no such kind of record, 99"),
        (lambda words: words.__setitem__(layout.DATA_WORD, 1 << 32 | 1 << 20), "a record of"),
        (lambda words: words.__setitem__(layout.DATA_WORD + 1, 5), "sequence 5 after"),
        (lambda words: words.__setitem__(layout.DATA_WORD, -1 << 32), "a record of 0 bytes"),
    ],
)
def test_a_damaged_ring_is_named(ring: Segment, damage: Callable[[layout.Words], None], fault: str) -> None:
    damage(ring.array("words"))
    faults = examine(ring).faults
    assert len(faults) == 1
    assert fault in faults[0]
