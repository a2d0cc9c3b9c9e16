"""What scripts/inspect says of any segment, and of the small ones."""

import re
from pathlib import Path

import pytest

from engine.feeds.session import State as FeedState
from engine.inspection.__main__ import main
from engine.inspection.report import render
from engine.inspection.segment import examine, open_segment
from shm import layout
from shm.eventlog import EventLog
from shm.layout import EventKind, Kind
from shm.segment import Segment, create


def test_any_flipped_header_byte_is_refused_or_harmless(book: Segment) -> None:
    """No byte of a header makes it raise anything but LayoutError."""
    path = book.path
    original = path.read_bytes()
    for at in range(layout.HEADER.itemsize):
        path.write_bytes(original[:at] + bytes([original[at] ^ 0xA5]) + original[at + 1 :])
        assert main([str(path)]) in (0, 1)


@pytest.mark.parametrize(
    ("kind", "regions"),
    [
        (Kind.ENGINE, layout.engine_regions()),
        (Kind.CHANGED, layout.changed_regions()),
        (Kind.BELL, layout.bell_regions()),
    ],
)
def test_the_small_segments_are_printed(tmp_path: Path, kind: Kind, regions: layout.Regions) -> None:
    segment = create(tmp_path / "segment", kind, regions, generation=1)
    segment.array("words")[0] = 4321
    text = render(examine(open_segment(segment.path)))
    assert "4,321" in text
    assert kind.name.lower() in text


def test_the_feeds_state_is_a_word(tmp_path: Path) -> None:
    page = create(tmp_path / "engine", Kind.ENGINE, layout.engine_regions(), generation=1)
    page.array("words")[layout.ENGINE_WORDS.index("feed_state") * layout.WORDS_A_LINE] = FeedState.STREAMING
    assert re.search(r"feed_state +streaming\n", render(examine(page)))


def test_a_recorders_counters_are_shown(tmp_path: Path) -> None:
    segment = create(tmp_path / "recorder", Kind.RECORDER, layout.recorder_regions(), generation=1)
    segment.array("words")[layout.RECORDING_WORDS.index("written") * layout.WORDS_A_LINE] = 4711
    report = examine(open_segment(segment.path))
    assert report.whole
    assert re.search(r"written +4,711\n", render(report))


def test_the_supervisors_events_are_shown(tmp_path: Path) -> None:
    segment = create(tmp_path / "events", Kind.EVENTS, layout.events_regions(4), generation=1)
    changed = create(tmp_path / "changed", Kind.CHANGED, layout.changed_regions(), generation=1)
    log = EventLog(segment, changed)
    for _ in range(6):
        log.say(EventKind.RESTART, "MNQ", who="worker", why="ended by SIGKILL")
    report = examine(open_segment(segment.path))
    assert report.whole
    text = render(report)
    assert text.count("restart · MNQ · worker · ended by SIGKILL") == 4
    assert "events: 6 rows written, 4 held" in text
