"""The supervisor's events: whole rows, cut texts, a wake-up for who sleeps, and a word that others bump too."""

import multiprocessing
import threading
from pathlib import Path

import numpy as np
import pytest

from shm import layout, segment
from shm.eventlog import EventLog
from shm.layout import EventKind, Kind
from shm.segment import Segment
from shm.wake import bump, wait
from tests.shm.plain_writer import wake
from tests.waiting import wait_for

ROWS = 4
BUMPS = 20_000


@pytest.fixture
def segments(tmp_path: Path) -> tuple[Segment, Segment]:
    events = segment.create(tmp_path / "events", Kind.EVENTS, layout.events_regions(ROWS), generation=1)
    changed = segment.create(tmp_path / "changed", Kind.CHANGED, layout.changed_regions(), generation=1)
    return events, changed


def test_an_event_is_a_row_and_raises_both_words(segments: tuple[Segment, Segment]) -> None:
    events, changed = segments
    log = EventLog(*segments)
    log.say(EventKind.QUARANTINE, "MNQ", who="worker", why="ended by SIGSEGV", pid=7, sequence=9, from_wall_ns=5)
    row = events.array("events")[0]
    kept = {name: row[name].item() for name in layout.EVENT.names or () if name not in ("wall_ns", "recv_ns")}
    assert kept == {
        "sequence": 1,
        "place": 0,
        "kind": EventKind.QUARANTINE,
        "reason": 0,
        "from_sequence": 9,
        "from_wall_ns": 5,
        "count": 0,
        "pid": 7,
        "symbol": b"MNQ",
        "subject": b"worker",
        "text": b"ended by SIGSEGV",
    }
    assert row["wall_ns"] > 0 < row["recv_ns"]
    control = events.array("control")
    assert control[layout.EVENT_INTENT] == control[layout.EVENT_COUNT] == changed.array("words")[0] == 1


def test_rows_are_numbered_on_and_used_again(segments: tuple[Segment, Segment]) -> None:
    log = EventLog(*segments)
    for n in range(ROWS + 2):
        log.say(EventKind.RESTART, why="x" * 9 if n == 0 else "", count=n)
    rows = segments[0].array("events")
    assert rows["count"].tolist() == [4, 5, 2, 3]
    assert rows["sequence"].tolist() == [5, 6, 3, 4]
    assert rows["text"].tolist() == [b""] * ROWS


@pytest.mark.parametrize("text", ["é" * 39 + "aé…", "x" * 500, "é" * 40])
def test_a_long_text_is_cut_in_whole_characters(segments: tuple[Segment, Segment], text: str) -> None:
    EventLog(*segments).say(EventKind.PARKED, why=text)
    kept = segments[0].array("events")["text"][0].decode()
    assert text.startswith(kept)
    assert len(text.encode()) <= 80 or len(kept.encode()) > 76


def test_who_sleeps_on_changed_is_woken(segments: tuple[Segment, Segment]) -> None:
    changed = segments[1]
    offset = changed.regions["words"].offset
    woken: list[bool] = []
    sleeper = threading.Thread(target=lambda: woken.append(wait(changed.memory, offset, 0, 60.0)))
    sleeper.start()
    wait_for(lambda: wake(changed.array("words"), 0) > 0 or woken, 20, "a sleeper")
    EventLog(*segments).say(EventKind.ADDED, "MGC")
    sleeper.join(20)
    assert woken == [True]


def test_no_bump_is_lost_between_processes(tmp_path: Path) -> None:
    words = np.memmap(tmp_path / "word", np.int64, "w+", shape=(16,))

    def bump_often() -> None:
        for _ in range(BUMPS):
            bump(words, 3)

    processes = [multiprocessing.get_context("fork").Process(target=bump_often) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert words[3] == 2 * BUMPS
    assert words.sum() == 2 * BUMPS
