"""A journal's bytes from the disk and from memory are the same."""

import os
from pathlib import Path

import pytest

from shm.errors import LayoutError
from shm.journal_bytes import InMemory, OnDisk, Source


def test_both_read_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "any"
    path.write_bytes(b"0123456789")
    sources: tuple[Source, ...] = (OnDisk(path), InMemory(b"0123456789"), InMemory(bytearray(b"0123456789")))
    for source in sources:
        assert source.size == 10
        read = [source.read(size, offset) for size, offset in ((4, 0), (4, 8), (4, 10), (4, 99), (0, 3))]
        assert read == [b"0123", b"89", b"", b"", b""]
        source.close()
        source.close()


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(LayoutError, match="not a regular file"):
            OnDisk(path)
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    for path in (tmp_path / "link", tmp_path / "dangling"):
        with pytest.raises(LayoutError, match=f"{path} is a symbolic link, and those are not followed"):
            OnDisk(path)
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(OSError, match="symbolic links"):  # not the file: a folder on the way to it
        OnDisk(tmp_path / "round" / "any")
    with pytest.raises(FileNotFoundError):
        OnDisk(tmp_path / "none")
