"""A record that ended its worker twice: whoever runs the journal again leaves it out, and comes to the same book.

Where it is not known yet, it costs the file that it is in, and nothing else.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.inspection.__main__ import main
from shm.errors import JournalDamaged
from shm.journal import JournalFile, journal_files
from shm.layout import Reason, State
from shm.past import By
from shm.quarantine import note_path, record_path
from shm.refill import words_of
from tests import made_poison
from tests.workers.test_rerun import same
from workers import waypoints
from workers.export.moments import Moment, moments
from workers.finder import Finder
from workers.historian import Historian
from workers.rerun import Rerun

NEVER = 2**62


@pytest.fixture(autouse=True)
def _laid(monkeypatch: pytest.MonkeyPatch) -> None:
    made_poison.lay(monkeypatch)


def counts(state: Any) -> tuple[int, ...]:
    return tuple(int(state[name][0]) for name in ("applied", "quarantined", "book_digest"))


def poisoned_file(made: made_poison.Poisoned) -> Path:
    """The file that the record is in."""
    (found,) = (path for path in journal_files(made.journal) if made_poison.POISON in _bodies(path))
    return found


def _bodies(path: Path) -> bytes:
    with JournalFile(path) as file:
        return b"".join(bytes(getattr(entry, "data", b"")) for entry in file.entries())


def test_the_book_at_any_time_is_that_of_the_worker(tmp_path: Path) -> None:
    made = made_poison.made(tmp_path, is_known=True)
    found = Finder(made.journal).book_at("MNQ", NEVER, By.RECEIVE).checkpoint
    assert counts(found.state) == counts(made.state)
    assert found.state["quarantined"][0] == 1
    assert same((found.state, found.levels), (made.state, made.levels))
    assert Historian(made.journal).turn() == len(journal_files(made.journal)) - 1 > 2
    again = Finder(made.journal).book_at("MNQ", NEVER, By.RECEIVE).checkpoint
    assert same((again.state, again.levels), (made.state, made.levels))


def test_right_after_it_the_book_is_stale_for_that_reason(tmp_path: Path) -> None:
    made = made_poison.made(tmp_path, is_known=True)
    rerun = Rerun(8, 64, set_aside=(made.sequence,))
    for path in journal_files(made.journal):
        with JournalFile(path) as file:
            for entry in file.entries():
                for memory in rerun.step(words_of(bytes(getattr(entry, "data", b"")))):
                    if memory.state["sequence"][0] == made.sequence:
                        state, reason = int(memory.state["state"][0]), int(memory.state["reason"][0])
    assert (state, reason) == (State.STALE, Reason.QUARANTINED)
    assert counts(rerun.memory.state) == counts(made.state)


def test_an_export_leaves_it_out(tmp_path: Path) -> None:
    made = made_poison.made(tmp_path, is_known=True)
    found = moments(journal_files(made.journal), "MNQ")
    seen = [each.sequence for each in found if isinstance(each, Moment)]
    assert seen[-1] > made.sequence
    assert made.sequence in seen  # the book is void from there


def test_one_that_nobody_knows_costs_the_historian_its_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = made_poison.made(tmp_path, is_known=False)
    files, hurt = journal_files(made.journal), poisoned_file(made)
    one = Historian(made.journal)
    assert one.turn() == len(files) - 2
    assert [path for path in files if note_path(path).exists()] == [hurt]
    assert one.turn() == 0
    assert Historian(made.journal).turn() == 0  # nor does its successor try again
    assert main([str(made.journal)]) == 1
    assert f"{hurt.name}: a record in it ended 2 processes" in capsys.readouterr().out

    with JournalFile(hurt) as file:
        walls = [(block.first_wall_ns, block.last_wall_ns) for block in file.blocks if block.last_wall_ns]
    within, after = walls[0][0], walls[-1][1]
    finder = Finder(made.journal)
    with pytest.raises(JournalDamaged, match=r"cannot be run: .*SIGSEGV"):
        finder.book_at("MNQ", within, By.RECEIVE)
    later = finder.book_at("MNQ", NEVER, By.RECEIVE)
    assert later.wall_ns > after
    assert later.checkpoint.state["synced"][0] == 1  # by the snapshot that came

    record_path(tmp_path, "MNQ", made.sequence).parent.mkdir()
    record_path(tmp_path, "MNQ", made.sequence).write_bytes(made_poison.POISON)
    assert one.turn() == len([path for path in files if path >= hurt]) - 1  # and those that go on from it
    found = finder.book_at("MNQ", NEVER, By.RECEIVE).checkpoint
    assert counts(found.state) == counts(made.state)
    assert main([str(made.journal)]) == 0
    assert f"MNQ  sequence {made.sequence}" in capsys.readouterr().out
    hurt.unlink()
    one.turn()
    assert not note_path(hurt).exists()


def test_a_process_that_was_killed_or_found_no_room_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_poison.made(tmp_path, is_known=True)
    wanted = len(journal_files(made.journal)) - 1

    def no_room(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(waypoints, "write", no_room)
        one = Historian(made.journal)
        assert one.turn() == 0
    assert one.turn() == wanted
    assert not list(made.journal.glob("*.sbx"))


def test_any_number_of_them_is_left_out(tmp_path: Path) -> None:
    made = made_poison.made(tmp_path, is_known=True)
    for number in range(200):
        record_path(tmp_path, "MNQ", 1 + number).touch()
    found = Finder(made.journal).book_at("MNQ", NEVER, By.RECEIVE).checkpoint
    assert np.array_equal(found.state["book_digest"], made.state["book_digest"])
