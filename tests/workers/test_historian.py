"""What the historian makes, what it leaves, and that it may be killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shm.journal import journal_files
from shm.journal_entries import Lane
from shm.stretches import Stream
from tests import made_past
from tests.made_journal import BEGIN
from tests.made_past import of_lane, pieces
from tests.waiting import wait_for
from workers import waypoints
from workers.historian import Historian


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = pieces(np.random.default_rng(9), 500, Stream(7, 1), BEGIN.wall_ns)
    made_past.record(tmp_path, 7, of_lane(Lane(0, "MNQ", 7, 1, 1 << 20), made), close=False)
    return tmp_path


def with_waypoints(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.sbw"))


def test_each_closed_file_gets_its_waypoints_once(folder: Path) -> None:
    files = journal_files(folder)
    historian = Historian(folder)
    assert historian.turn() == len(files) - 1 > 2
    assert with_waypoints(folder) == [path.stem for path in files[:-1]]
    assert historian.turn() == Historian(folder).turn() == 0


def test_a_file_that_was_left_unfinished_is_closed_once_another_follows(folder: Path) -> None:
    made = pieces(np.random.default_rng(1), 5, Stream(8, 1), BEGIN.wall_ns)
    made_past.record(folder, 8, of_lane(Lane(0, "MNQ", 8, 1, 1 << 20), made))
    assert Historian(folder).turn() == len(journal_files(folder))


def test_damaged_waypoints_are_made_anew_and_those_without_a_journal_are_deleted(folder: Path) -> None:
    Historian(folder).turn()
    files = journal_files(folder)
    waypoints.path_of(files[1]).write_bytes(b"damaged")
    files[0].unlink()
    (folder / f"{files[1].stem}.sbw.tmp").write_bytes(b"half")
    (folder / "mine.sbw").write_bytes(b"not ours")
    assert Historian(folder).turn() == 1
    assert with_waypoints(folder) == [*(path.stem for path in files[1:-1]), "mine"]
    assert not list(folder.glob("*.tmp"))


def test_a_damaged_journal_file_is_left_out_and_the_others_are_done(folder: Path) -> None:
    files = journal_files(folder)
    hurt = bytearray(files[1].read_bytes())
    hurt[len(hurt) // 2] ^= 1
    files[1].write_bytes(hurt)
    historian = Historian(folder)
    assert historian.turn() == len(files) - 2
    assert historian.turn() == 0


def test_the_process_does_it_at_the_lowest_priority_and_may_be_killed(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "workers.historian"], stdin=subprocess.PIPE)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"journal": str(folder), "supervisor_pid": os.getpid()}).encode() + b"\n")
        process.stdin.close()
        wanted = len(journal_files(folder)) - 1
        wait_for(lambda: len(with_waypoints(folder)) == wanted, 110, "waypoints for every closed file")
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
    finally:
        process.kill()
        process.wait()
