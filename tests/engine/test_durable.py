"""Bytes get to a new file, all of them, and an error of the disk is told."""

import errno
import os
from pathlib import Path

import pytest

from engine import durable


def test_a_new_file_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    os.close(durable.create(path))
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        durable.create(path)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        durable.create(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_disk_that_takes_a_part_is_given_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    descriptor = durable.create(tmp_path / "file")
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", lambda to, data, offset: whole(to, data[:3], offset))
        durable.write(descriptor, b"0123456789", 2)
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"\0\x000123456789"


@pytest.mark.parametrize("name", ["file", "."])
def test_a_file_and_a_folder_are_synced_and_closed(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    synced: list[int] = []

    def broken(descriptor: int) -> None:
        synced.append(descriptor)
        raise OSError(errno.EIO, "as a broken disk says")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="broken"):
        durable.sync(tmp_path / name)
    (descriptor,) = synced
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
