"""The prefix of a damaged journal file as a file that is whole, and what happens when it cannot be written."""

import errno
import os
import random
from pathlib import Path

import pytest

from engine.recorder.disk import Disk
from engine.recorder.recorder import Options
from engine.recorder.salvage import Salvaged, salvage
from shm.errors import JournalDamaged, LayoutError
from shm.journal import BLOCK, JournalFile, journal_files, records
from tests import made_journal
from tests.made_journal import Made, later


@pytest.fixture
def made(seed: int) -> Made:
    return made_journal.stream(random.Random(seed), 200)


@pytest.fixture
def path(tmp_path: Path, made: Made) -> Path:
    recorder = made_journal.record(tmp_path / "journal", made.entries, Options(block_bytes=2000, block_ns=10**18))
    recorder.close(later(10**6))
    return journal_files(tmp_path / "journal")[0]


def test_what_lies_before_the_damage_is_a_whole_file(tmp_path: Path, path: Path, made: Made) -> None:
    with JournalFile(path) as file:
        blocks, name = file.blocks, file.name
    data = bytearray(path.read_bytes())
    data[blocks[5].offset + BLOCK.itemsize + 7] ^= 1
    path.write_bytes(data)
    out = tmp_path / "out.sbj"
    done = salvage(path, out)
    assert done[:3] == (5, sum(block.entries for block in blocks[:5]), len(data) - blocks[5].offset)
    assert "checksum" in done.fault
    assert out.stat().st_mode & 0o777 == 0o600
    with JournalFile(out) as file:
        assert file.finished
        assert (file.blocks, file.name) == (blocks[:5], name)
        assert list(file.verify()) == []
        found = list(records([file]))
    assert 0 < len(found) < len(made.records)
    assert found == made.records[: len(found)]


def test_a_whole_file_is_copied_and_an_unfinished_one_is_closed(tmp_path: Path, path: Path) -> None:
    whole = path.read_bytes()
    with JournalFile(path) as file:
        counts = len(file.blocks), sum(block.entries for block in file.blocks)
        end = file.blocks[-1].end
    for left in (whole, whole[:-3], whole[:end], whole[: end + 50]):
        path.write_bytes(left)
        out = tmp_path / f"{len(left)}"
        assert salvage(path, out) == Salvaged(*counts, 0, "")
        assert out.read_bytes() == whole


def test_a_file_without_a_whole_header_has_nothing(tmp_path: Path, path: Path) -> None:
    data = path.read_bytes()
    for left, error in ((data[:10], LayoutError), (data[:20] + b"x" + data[21:], JournalDamaged), (b"no", LayoutError)):
        path.write_bytes(left)
        with pytest.raises(error):
            salvage(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_of_a_copy_that_fails_nothing_stays(tmp_path: Path, path: Path) -> None:
    class Full(Disk):
        def sync(self, descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        salvage(path, tmp_path / "out", Full())
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_bytes(b"another's")
    with pytest.raises(FileExistsError):
        salvage(path, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"another's"
