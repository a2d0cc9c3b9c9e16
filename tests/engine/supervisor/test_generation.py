"""The generation number: it only grows, through whatever happens to the file."""

from pathlib import Path

import pytest

from engine.supervisor.errors import CannotStart
from engine.supervisor.generation import FILE_NAME, take_generation
from shm.segment import MAX_GENERATION


def test_it_begins_with_one_and_grows(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    assert [take_generation(folder) for _ in range(3)] == [1, 2, 3]
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_kill_before_the_rename_costs_nothing(tmp_path: Path) -> None:
    take_generation(tmp_path)
    (tmp_path / f"{FILE_NAME}.tmp").write_bytes(b"9")
    assert take_generation(tmp_path) == 2


@pytest.mark.parametrize("text", [b"", b"x", b"-1", b"0", b"1.5", b"1 2", b"9" * 33, b"%d" % (MAX_GENERATION - 1)])
def test_a_damaged_number_is_not_guessed_at(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(text)
    with pytest.raises(CannotStart, match=r"does not hold a generation number: write one .* --data"):
        take_generation(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == text


def test_the_last_number_that_there_is(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"%d" % (MAX_GENERATION - 2))
    assert take_generation(tmp_path) == MAX_GENERATION - 1


def test_a_data_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"cannot be kept \(File exists\): .* --data"):
        take_generation(tmp_path / "file")
