"""What scripts/inspect says of whole, damaged and foreign files."""

import dataclasses
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine import hours, inspection
from engine.feeds.session import State as FeedState
from engine.supervised import TOP
from shm import layout, registry
from shm.eventlog import EventLog
from shm.layout import EventKind, Kind, Reason, State
from shm.life import start_ticks
from shm.refill import put_present
from shm.ring import RingWriter
from shm.segment import Segment, create
from shm.timeframe import Unit
from tests.engine.test_hours import rows_of

GENERATION = 3
FIRST_SEQUENCE = GENERATION << layout.GENERATION_SHIFT


@pytest.fixture
def ring(tmp_path: Path) -> Segment:
    """A ring with three records and a gap, of 16 KiB."""
    segment = create(
        tmp_path / "MNQ.ring", Kind.RING, layout.ring_regions(1 << 14), generation=GENERATION, symbol="MNQ"
    )
    writer = RingWriter(segment.array("words"), GENERATION)
    for payload in (b"a", b"bb" * 40, b"c" * 5000):  # the last one goes in chunks
        assert writer.push(payload)
    writer.gap(Reason.DISCONNECTED)
    writer.publish()
    return segment


@pytest.fixture
def book(tmp_path: Path) -> Segment:
    """A live book of two levels a side, published eleven times, with one checkpoint, five trades and one quote."""
    segment = create(
        tmp_path / "MNQ.book",
        Kind.BOOK,
        layout.book_regions(levels=4, max_depth=8, tape_rows=4, quote_rows=4),
        generation=GENERATION,
        symbol="MNQ",
    )
    control, cells, shown = segment.array("control"), segment.array("cells"), segment.array("cell_levels")
    for number in range(1, 12):
        cell, levels = cells[number % layout.CELLS], shown[number % layout.CELLS]
        cell["begin"] = cell["end"] = number
        cell["n_bids"] = cell["n_asks"] = 2
        levels["price"][:, :2] = [[100, 99], [101, 102]]
        levels["size"][:, :2] = 5
        _fill_state(cell["state"])
    control[layout.PUBLISHED] = 11
    slot, kept = segment.array("slots")[1], segment.array("slot_levels")[1]
    slot["begin"] = slot["end"] = 1
    _fill_state(slot["state"])
    kept["price"][:, :2] = [[99, 100], [102, 101]]
    kept["size"][:, :2] = 5
    control[layout.TAPE_INTENT] = control[layout.TAPE_COUNT] = 5
    segment.array("tape")["sequence"] = np.roll(FIRST_SEQUENCE + np.array([1, 2, 3, 4]), 1)
    control[layout.QUOTE_INTENT] = control[layout.QUOTE_COUNT] = 1
    control[layout.EVENT_INTENT] = control[layout.EVENT_COUNT] = 2
    events = segment.array("events")
    events["kind"][:2], events["reason"][:2] = (EventKind.GAP, EventKind.STALE), Reason.DISCONNECTED
    events["count"][0], events["place"][1] = 3, 1
    return segment


def _fill_state(state: np.void) -> None:
    state["state"] = State.LIVE
    state["sequence"] = FIRST_SEQUENCE + 7
    state["n_bids"] = state["n_asks"] = 2
    state["best_bid"], state["best_ask"] = 100, 101
    state["best_bid_size"] = state["best_ask_size"] = 5
    state["price_increment"], state["price_scale"] = 25, 2
    state["applied"] = 1234
    state["contract"] = b"CON.F.US.MNQ.Z26"


def _faults(segment: Segment) -> list[str]:
    return [check.fault for check in inspection.examine(segment).checks if check.fault]


def test_a_ring_is_whole_and_its_records_are_counted(ring: Segment) -> None:
    report = inspection.examine(inspection.open_segment(ring.path))
    assert report.whole
    assert "records between head and tail: 6" in inspection.render(report)  # two, three chunks, a gap
    assert "delivered       3" in inspection.render(report)


def test_a_ring_that_wrapped_many_times_is_whole(ring: Segment) -> None:
    words = ring.array("words")
    writer = RingWriter(words, GENERATION)
    for size in range(2000):
        words[layout.HEAD] = words[layout.TAIL]
        assert writer.push(b"x" * (size % 1500))
        writer.publish()
    assert _faults(ring) == []


def test_a_ring_of_a_replay_has_the_sequences_that_were_recorded(tmp_path: Path) -> None:
    path = tmp_path / "MNQ.ring"
    ring = create(path, Kind.RING, layout.ring_regions(1 << 14), generation=GENERATION, symbol="MNQ")
    writer = RingWriter(ring.array("words"), GENERATION - 1)
    for _ in range(3):
        assert writer.push(b"x")
        assert put_present(ring.array("words"))
    writer.publish()
    assert _faults(ring) == []
    ring.array("words")[layout.DATA_WORD + 1] += 2
    assert any("sequence" in fault for fault in _faults(ring))


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
    faults = _faults(ring)
    assert len(faults) == 1
    assert fault in faults[0]


def test_a_book_is_whole_and_says_what_is_in_it(book: Segment) -> None:
    report = inspection.examine(inspection.open_segment(book.path))
    text = inspection.render(report)
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
    assert _faults(book) == []


def test_the_supervisors_events_are_shown(tmp_path: Path) -> None:
    segment = create(tmp_path / "events", Kind.EVENTS, layout.events_regions(4), generation=1)
    changed = create(tmp_path / "changed", Kind.CHANGED, layout.changed_regions(), generation=1)
    log = EventLog(segment, changed)
    for _ in range(6):
        log.say(EventKind.RESTART, "MNQ", who="worker", why="ended by SIGKILL")
    report = inspection.examine(inspection.open_segment(segment.path))
    assert report.whole
    text = inspection.render(report)
    assert text.count("restart · MNQ · worker · ended by SIGKILL") == 4
    assert "events: 6 rows written, 4 held" in text


def test_an_empty_book_is_whole(tmp_path: Path) -> None:
    segment = create(tmp_path / "A.book", Kind.BOOK, layout.book_regions(4, 8), generation=1, symbol="A")
    report = inspection.examine(segment)
    assert report.whole
    assert "waiting for the first snapshot" in inspection.render(report)


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
    faults = _faults(book)
    assert len(faults) == 1
    assert fault in faults[0]


def test_two_cells_or_slots_in_hand_are_a_fault(book: Segment) -> None:
    book.array("cells")["begin"][:2] = 90
    book.array("slots")["begin"] = [3, 4]
    assert len(_faults(book)) == 2


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
    text = inspection.render(inspection.examine(inspection.open_segment(segment.path)))
    assert "4,321" in text
    assert kind.name.lower() in text


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\0" * 8192, os.urandom(9000), layout.MAGIC + b"\xff" * 9000])
def test_a_foreign_file_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(content)
    path.chmod(0o600)
    assert inspection.main([str(path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert str(path) in said.err


def test_any_flipped_header_byte_is_refused_or_harmless(book: Segment) -> None:
    """No byte of a header makes it raise anything but LayoutError."""
    path = book.path
    original = path.read_bytes()
    for at in range(layout.HEADER.itemsize):
        path.write_bytes(original[:at] + bytes([original[at] ^ 0xA5]) + original[at + 1 :])
        assert inspection.main([str(path)]) in (0, 1)


def test_the_command_prints_what_is_whole_and_fails_for_what_is_not(
    ring: Segment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspection.main([str(ring.path)]) == 0
    assert capsys.readouterr().out.startswith(f"{ring.path}: whole\n")
    assert inspection.main([str(ring.path), str(tmp_path / "absent")]) == 1
    assert "does not exist" in capsys.readouterr().err
    ring.array("words")[layout.DATA_WORD] = 0
    assert inspection.main([str(ring.path)]) == 1
    assert "DAMAGED" in capsys.readouterr().out


def test_an_engine_that_does_not_run_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHARDBOOK_SHM", str(tmp_path))
    assert inspection.main(["--name", "nobody"]) == 1
    assert 'no engine runs under the name "nobody"' in capsys.readouterr().err
    assert inspection.main(["--name", "../etc"]) == 1
    assert "no engine name" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--name", "x", "file"]])
def test_wrong_use_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        inspection.main(arguments)
    assert stopped.value.code == 2
    assert "FILE" in capsys.readouterr().err


def test_all_segments_of_a_running_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHARDBOOK_SHM", str(tmp_path))
    folder = registry.engine_folder("mine")
    registry.make_folder(folder)
    generation = registry.generation_folder(folder, 1)
    generation.mkdir(0o700)
    create(generation / "changed", Kind.CHANGED, layout.changed_regions(), generation=1)
    create(generation / "engine", Kind.ENGINE, layout.engine_regions(), generation=1)
    hours.write(hours.path_of(generation, "MNQ"), rows_of(2))
    hours.path_of(generation, "MES").with_suffix(".sessions.tmp").touch()  # the keeper writes it just now
    registry.write(
        folder,
        registry.Registry(
            layout_version=layout.LAYOUT_VERSION,
            name="mine",
            generation=1,
            supervisor_pid=os.getpid(),
            supervisor_start_ticks=start_ticks(os.getpid()) or 0,
            venue="simulator",
            data_folder=str(tmp_path),
            engine_pid=0,
            simulator_url=None,
            truth_folder=None,
            instruments=(),
        ),
    )
    assert inspection.main(["--name", "mine"]) == 0
    said = capsys.readouterr().out
    assert said.count(": whole\n") == 3
    assert "has ended" not in said
    registry.write(folder, dataclasses.replace(registry.read(folder), supervisor_start_ticks=1))
    assert inspection.main(["--name", "mine"]) == 0
    assert capsys.readouterr().out.startswith("engine mine has ended")


def test_a_keepers_counters_and_wishes_are_shown(tmp_path: Path) -> None:
    segment = create(tmp_path / "keeper", Kind.KEEPER, layout.keeper_regions(), generation=1)
    segment.array("words")[layout.KEEPER_WORDS.index("sealed_rows") * layout.WORDS_A_LINE] = 4711
    wishes = segment.array("wishes")
    wishes[:2] = [
        (9, Unit.MINUTE, 5, 1_795_300_200 * 10**9, 1_795_300_800 * 10**9, b"MNQ", (0,) * 7),
        (8, 77, 5, 10**9, 2 * 10**9, b"MES", (0,) * 7),
    ]
    report = inspection.examine(inspection.open_segment(segment.path))
    text = inspection.render(report)
    assert report.whole, text
    assert re.search(r"sealed_rows +4,711\n", text)
    assert "  8  MES unit 77, 1970-01-01 00:00:01 to 1970-01-01 00:00:02\n" in text
    assert "  9  MNQ 5min, 2026-11-21 22:30:00 to 2026-11-21 22:40:00\n" in text
    wishes["number"][2:4], wishes["start_ns"][3] = 9, 1
    assert _faults(segment) == ["9", "9, 9"]


def test_a_recorders_counters_are_shown(tmp_path: Path) -> None:
    segment = create(tmp_path / "recorder", Kind.RECORDER, layout.recorder_regions(), generation=1)
    segment.array("words")[layout.RECORDING_WORDS.index("written") * layout.WORDS_A_LINE] = 4711
    report = inspection.examine(inspection.open_segment(segment.path))
    assert report.whole
    assert re.search(r"written +4,711\n", inspection.render(report))


def test_trading_hours_are_shown_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = hours.path_of(tmp_path, "MNQ")
    hours.write(path, rows_of(3))
    assert inspection.main([str(path)]) == 0
    said = capsys.readouterr().out
    for part in ("3, 0 of them with regular hours", "1970-01-03 23:00:00", "3, 1970-01-01 to 1970-01-03"):
        assert part in said
    path.write_bytes(b"nonsense")
    assert inspection.main([str(path)]) == 1
    assert "holds no trading hours" in capsys.readouterr().err


def test_who_is_not_heard_any_more_is_not_called_live(book: Segment) -> None:
    control = book.array("control")
    control[layout.THROUGH_NS] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert "\n    state           live\n" in inspection.render(inspection.examine(book))
    control[layout.THROUGH_NS] -= 5_600_000_000
    assert "live when last heard, 5." in inspection.render(inspection.examine(book))


def test_the_feeds_state_is_a_word(tmp_path: Path) -> None:
    page = create(tmp_path / "engine", Kind.ENGINE, layout.engine_regions(), generation=1)
    page.array("words")[layout.ENGINE_WORDS.index("feed_state") * layout.WORDS_A_LINE] = FeedState.STREAMING
    assert re.search(r"feed_state +streaming\n", inspection.render(inspection.examine(page)))


def test_who_has_seen_enough_gets_no_traceback(ring: Segment) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = f"import sys; from engine.console import main; sys.exit(main(['inspect', {str(ring.path)!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TOP, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_account_is_printed_and_checked(tmp_path: Path) -> None:
    segment = create(tmp_path / "account", Kind.ACCOUNT, layout.account_regions(), generation=GENERATION)
    assert "waiting for the first snapshot" in inspection.render(inspection.examine(segment))
    cell = segment.array("cells")[1]
    cell["begin"] = cell["end"] = 1
    cell["state"], cell["reason"] = State.STALE, Reason.DISCONNECTED
    cell["account_id"], cell["name"], cell["balance_e9"] = 704, b"PRAC-1", 150_000 * layout.E9
    cell["n_orders"], cell["unlisted_fills"], cell["refused"] = 2, 3, 1234
    segment.array("control")[layout.PUBLISHED] = 1
    text = inspection.render(inspection.examine(inspection.open_segment(segment.path)))
    for part in ("stale: the venue's socket is down", "PRAC-1  id 704", "150,000.00", "0, and 3 without room", "1,234"):
        assert part in text
    assert ": whole" in text
    cell["n_orders"] = layout.MAX_ORDERS + 1
    assert _faults(segment) == ["n_orders = 257"]
    cell["begin"] = 2
    assert _faults(segment) == ["no cell is whole"]
