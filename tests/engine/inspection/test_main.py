"""The command scripts/inspect: its options, what it prints, and its status."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import hours
from engine.inspection.__main__ import main
from engine.supervised import TOP
from shm import layout, registry
from shm.layout import Kind
from shm.life import start_ticks
from shm.segment import Segment, create
from tests.engine.test_hours import rows_of


def test_the_command_prints_what_is_whole_and_fails_for_what_is_not(
    ring: Segment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(ring.path)]) == 0
    assert capsys.readouterr().out.startswith(f"{ring.path}: whole\n")
    assert main([str(ring.path), str(tmp_path / "absent")]) == 1
    assert "does not exist" in capsys.readouterr().err
    ring.array("words")[layout.DATA_WORD] = 0
    assert main([str(ring.path)]) == 1
    assert "DAMAGED" in capsys.readouterr().out


def test_an_engine_that_does_not_run_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHARDBOOK_SHM", str(tmp_path))
    assert main(["--name", "nobody"]) == 1
    assert 'no engine runs under the name "nobody"' in capsys.readouterr().err
    assert main(["--name", "../etc"]) == 1
    assert "no engine name" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--name", "x", "file"]])
def test_wrong_use_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "FILE" in capsys.readouterr().err


def test_all_segments_of_a_running_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHARDBOOK_SHM", str(tmp_path))
    folder = registry.engine_folder("mine")
    registry.make_folder(folder)
    generation = registry.generation_folder(folder, 1)
    generation.mkdir(0o700)
    create(generation / "changed", Kind.CHANGED, layout.changed_regions(), generation=1)
    create(generation / "engine", Kind.ENGINE, layout.engine_regions(), generation=1)
    hours.write(hours.path_of(generation, "MNQ"), rows_of(2))
    hours.path_of(generation, "MES").with_suffix(".sessions.tmp").touch()  # the keeper writes it just now
    registry.write(
        folder,
        registry.Registry(
            layout_version=layout.LAYOUT_VERSION,
            name="mine",
            generation=1,
            supervisor_pid=os.getpid(),
            supervisor_start_ticks=start_ticks(os.getpid()) or 0,
            venue="simulator",
            data_folder=str(tmp_path),
            engine_pid=0,
            simulator_url=None,
            truth_folder=None,
            instruments=(),
        ),
    )
    assert main(["--name", "mine"]) == 0
    said = capsys.readouterr().out
    assert said.count(": whole\n") == 3
    assert "has ended" not in said
    registry.write(folder, dataclasses.replace(registry.read(folder), supervisor_start_ticks=1))
    assert main(["--name", "mine"]) == 0
    assert capsys.readouterr().out.startswith("engine mine has ended")


def test_who_has_seen_enough_gets_no_traceback(ring: Segment) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = f"import sys; from engine.console import main; sys.exit(main(['inspect', {str(ring.path)!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TOP, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
