"""The calls on a real file system."""

import os
from pathlib import Path

import pytest

from engine.recorder.disk import Disk, Kept
from shm.journal import Name


def test_a_file_is_made_written_and_shortened(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "data" / "journal"
    disk.make_folder(folder)
    disk.make_folder(folder)
    path = folder / Name(1, 0).text
    descriptor = disk.create(path)
    disk.write(descriptor, b"0123456789" * 1000, 4)
    disk.write(descriptor, b"abcd", 0)
    disk.shorten(descriptor, 10)
    disk.sync(descriptor)
    disk.sync_folder(folder)
    disk.close(descriptor)
    assert path.read_bytes() == b"abcd012345"
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        disk.create(path)
    (folder / Name(1, 1).text).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        disk.create(folder / Name(1, 1).text)
    assert not (tmp_path / "elsewhere").exists()


def test_files_are_listed_oldest_first_and_only_ours(tmp_path: Path) -> None:
    disk = Disk()
    for i, name in enumerate((Name(2, 0), Name(1, 11), Name(1, 2))):
        path = tmp_path / name.text
        path.write_bytes(bytes(i))
        os.utime(path, ns=(0, i))
    (tmp_path / "notes.txt").touch()
    paths = [tmp_path / name.text for name in (Name(1, 2), Name(1, 11), Name(2, 0))]
    assert disk.files(tmp_path) == [Kept(path, size, size) for path, size in zip(paths, (2, 1, 0), strict=True)]
    disk.unlink(paths[0])
    assert [kept.path for kept in disk.files(tmp_path)] == paths[1:]
    assert disk.files(tmp_path / "none") == []
