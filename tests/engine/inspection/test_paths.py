"""Whatever lies at a path is told, or refused in one sentence."""

import os
from pathlib import Path

import pytest

from engine.inspection.__main__ import main
from shm import layout
from shm.life import LifeLock


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\0" * 8192, os.urandom(9000), layout.MAGIC + b"\xff" * 9000])
def test_a_foreign_file_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(content)
    path.chmod(0o600)
    assert main([str(path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert str(path) in said.err


def test_a_lock_is_held_or_free(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "writer.lock"
    held = LifeLock.take(path)
    assert main([str(path)]) == 0
    assert "held: a process works here" in capsys.readouterr().out
    held.release()
    assert main([str(path)]) == 0
    assert "free" in capsys.readouterr().out
