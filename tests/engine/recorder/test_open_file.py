"""The order in which a journal file gets to disk, and what a call that failed leaves of it."""

import errno
import random
from pathlib import Path

import pytest

from engine.recorder.disk import Disk
from engine.recorder.gathering import Gathering
from engine.recorder.open_file import DAY_NS, OpenFile, SyncFailed
from shm.journal import JournalFile, Name
from tests import made_journal
from tests.made_journal import BEGIN

NAME = Name(7, 3)


class Told(Disk):
    """The real one. Keeps the names of its calls; those in `failing` fail, a write in the middle."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failing: set[str] = set()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise OSError(errno.EIO, name)

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        super().write(descriptor, data[: len(data) // 2], offset)
        self._call("write")
        super().write(descriptor, data, offset)

    def shorten(self, descriptor: int, size: int) -> None:
        self._call("shorten")
        super().shorten(descriptor, size)

    def sync(self, descriptor: int) -> None:
        self._call("sync")

    def sync_folder(self, folder: Path) -> None:
        self._call("sync_folder")


def _gathered(seed: int) -> Gathering:
    made = Gathering()
    for entry in made_journal.stream(random.Random(seed), 10).entries:
        made.add(entry)
    return made


def test_header_and_blocks_are_synced_before_what_relies_on_them(tmp_path: Path, seed: int) -> None:
    disk = Told()
    file = OpenFile(disk, tmp_path, NAME, BEGIN.wall_ns)
    assert file.day == BEGIN.wall_ns // DAY_NS
    block = file.append(_gathered(seed))
    assert not file.is_synced
    file.finish()
    file.close()
    assert disk.calls == ["write", "sync", "sync_folder", "write", "sync", "write", "sync"]
    with JournalFile(tmp_path / NAME.text) as read:
        assert (read.name, read.begun_wall_ns, read.blocks) == (NAME, BEGIN.wall_ns, (block,))
        assert read.finished


def test_the_rest_of_a_block_that_failed_is_cut_off_first(tmp_path: Path, seed: int) -> None:
    disk = Told()
    file = OpenFile(disk, tmp_path, NAME, BEGIN.wall_ns)
    end = file.end
    disk.failing = {"write"}
    with pytest.raises(OSError, match="write"):
        file.append(_gathered(seed))
    assert (file.end, file.blocks) == (end, [])
    assert file.path.stat().st_size > end
    disk.failing = set()
    disk.calls.clear()
    block = file.append(_gathered(seed + 1))
    assert disk.calls == ["shorten", "write"]
    file.close()
    assert file.path.stat().st_size == block.end
    with JournalFile(file.path) as read:
        assert read.blocks == (block,)


@pytest.mark.parametrize("call", ["write", "sync", "sync_folder"])
def test_a_file_that_could_not_be_begun_is_gone(tmp_path: Path, call: str) -> None:
    disk = Told()
    disk.failing = {call}
    with pytest.raises(SyncFailed if call == "sync" else OSError, match=call):
        OpenFile(disk, tmp_path, NAME, BEGIN.wall_ns)
    assert list(tmp_path.iterdir()) == []
