"""What benchmarks measure is what they say it is: the journal that they make, and the cases around it."""

from pathlib import Path

import pytest

from engine.recorder.recorder import Options
from shm.journal import JournalFile, files_of, records
from shm.layout import Record
from shm.refill import words_of
from shm.stretches import StretchReader
from tests.bench import past, plain, recorded, replay
from tests.bench.recorded import MESSAGES_A_S, SYMBOLS
from tests.made_journal import BEGIN
from workers.rerun import Rerun

SECONDS = 2


def test_the_made_journal_has_each_message_once_at_its_time(tmp_path: Path) -> None:
    written = recorded.write(tmp_path / "journal", SECONDS, Options())
    (path,) = files_of([tmp_path / "journal"])
    with JournalFile(path) as file:
        assert file.finished
        found = list(records([file]))
    assert found == list(recorded.frames(SECONDS))
    messages = [record.payload for record in found if record.kind == Record.DATA]
    assert (len(messages), sum(map(len, messages))) == (written.messages, written.payload_bytes)
    assert written.messages == SECONDS * MESSAGES_A_S - 1 + len(SYMBOLS)  # snapshots come in the first step
    ticks = [record.wall_ns for record in found if record.kind == Record.CLOCK and record.lane == 0]
    assert ticks == [BEGIN.wall_ns + n * 100_000_000 for n in range(1, SECONDS * 10)]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_worker_takes_all_of_the_made_journal(tmp_path: Path, symbol: str) -> None:
    recorded.write(tmp_path / "journal", SECONDS, Options())
    rerun = Rerun()
    for path in files_of([tmp_path / "journal"]):
        with JournalFile(path) as file:
            for stretch in StretchReader(symbol).read(file.entries()):
                assert stretch.data is not None
                rerun.take(words_of(bytes(stretch.data)))
    state = rerun.memory.state[0]
    assert (state["synced"], state["refused"]) == (1, 0)
    assert state["applied"] >= SECONDS * MESSAGES_A_S // len(SYMBOLS)
    last_ns = BEGIN.wall_ns + SECONDS * 1_000_000_000
    assert last_ns - 100_000_000 < state["venue_ns"] < last_ns  # its stamps are those of its times


def test_a_plain_file_gives_back_its_frames(tmp_path: Path) -> None:
    frames = [b"a", b"", b"longer than the others" * 1000]
    plain.write(tmp_path / "plain", frames)
    assert list(plain.read(tmp_path / "plain")) == frames


def test_the_past_is_measured_on_answers_that_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "QUICK_SECONDS", SECONDS)
    rows = list(past.rows(quick=True))
    assert all(row.value and row.value > 0 for row in rows)
    assert any("waypoints" in row.name for row in rows)


@pytest.mark.timeout(300)
def test_a_replay_is_measured_from_its_first_messages_to_its_last(
    left_nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "QUICK_SECONDS", 10 * SECONDS)
    rows = {row.name: row for row in replay.rows(quick=True)}
    assert all(row.value and row.value > 0 for row in rows.values() if not row.name.startswith("CPU"))
    played, speed = rows["messages replayed"].value, rows["multiple of real time"].value
    assert played is not None
    assert speed == pytest.approx(played / MESSAGES_A_S, rel=0.01)
