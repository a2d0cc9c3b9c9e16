"""The folder of a running command: it goes with it, and what a killed one left goes with the next one."""

import os
import tempfile
from pathlib import Path

import pytest

from engine.temporary import YOUNG_S, sweep, temporary_folder
from shm.life import LifeLock

PREFIX = "shardbook-launch-"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def made(place: Path, name: str, *, has_lock: bool, age_s: float = 0.0) -> Path:
    folder = place / name
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "file").write_text("x")
    if has_lock:
        LifeLock.take(folder / "lock").release()
    os.utime(folder, (folder.stat().st_mtime - age_s,) * 2)
    return folder


def test_it_is_there_and_goes(place: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "data").mkdir()
    assert list(place.iterdir()) == []


def test_the_next_one_removes_what_a_killed_one_left_and_nothing_that_lives(place: Path) -> None:
    own = f"{PREFIX}{os.geteuid()}-"
    dead = made(place, f"{own}dead", has_lock=True)
    beginning = made(place, f"{own}beginning", has_lock=False)
    never = made(place, f"{own}never", has_lock=False, age_s=YOUNG_S + 1)
    other = made(place, f"{PREFIX}{os.geteuid() + 1}-other", has_lock=True)
    with temporary_folder() as living, temporary_folder() as second:
        assert sorted(place.iterdir()) == sorted((living, second, beginning, other))
        assert not dead.exists()
        assert not never.exists()


def test_a_link_is_not_followed(place: Path) -> None:
    target = made(place, "target", has_lock=True)
    (place / "own-link").symlink_to(target)
    sweep(place, "own-", 0.0)
    assert (target / "data" / "file").exists()
    assert (place / "own-link").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_left_alone(place: Path) -> None:
    foreign = made(place, "own-foreign", has_lock=True)
    os.chown(foreign, 65534, -1)
    sweep(place, "own-", 0.0)
    assert foreign.exists()
