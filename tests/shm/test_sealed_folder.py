"""A folder of sealed files: each change of it is seen, and an old folder that stays as it is is not looked through."""

import os
import time
from pathlib import Path

import pytest

from engine.keeper.store import Store
from shm import sealed
from shm.sealed_folder import SealedFolder
from shm.timeframe import parse
from tests import made_bars


def _numbers(folder: SealedFolder) -> list[int]:
    return [file.name.last for file in folder.listing().read]


def test_every_change_is_seen_and_only_a_change_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    listing = sealed.listing

    def counted(*arguments: object) -> object:
        looks.append(arguments)
        return listing(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("shm.sealed_folder.listing", counted)
    path = tmp_path / "1min"
    folder = SealedFolder(path, parse("1min"), "MNQ")
    assert _numbers(folder) == []
    store = Store(path, made_bars.subject())
    now_ns = time.time_ns()
    for first in (0, 10, 20):
        store.seal(made_bars.plain(10, first), 1)
        os.utime(path, ns=(now_ns, now_ns))  # changes within one tick of the file system
        assert _numbers(folder)[-1] == first + 10
    os.utime(path, ns=(1, 1))
    assert _numbers(folder) == [10, 20, 30]
    seen = len(looks)
    assert _numbers(folder) == [10, 20, 30]
    assert len(looks) == seen
    store.seal(made_bars.plain(10, 30), 1)
    assert _numbers(folder) == [10, 20, 30, 40]
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    assert _numbers(folder) == []
