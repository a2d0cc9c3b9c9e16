"""The registry: replaced whole, read with every field checked; and the folders, which are this user's alone."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shm import layout, registry
from shm.errors import LayoutError
from shm.registry import Listed, Registry

LISTED = Listed(
    symbol="MNQ",
    process="quiet",
    pid=101,
    restarts=2,
    parked="",
    levels=64,
    max_depth=2048,
    ring_mib=4,
    max_lag_ms=1000,
)
FULL = Registry(
    layout_version=layout.LAYOUT_VERSION,
    name="default",
    generation=3,
    supervisor_pid=99,
    supervisor_start_ticks=12345,
    venue="simulator",
    data_folder="/tmp/data",
    engine_pid=100,
    simulator_url="http://127.0.0.1:8000",
    truth_folder="/tmp/truth",
    instruments=(LISTED, dataclasses.replace(LISTED, symbol="MES", pid=0, parked="died on 65 records")),
)


@pytest.fixture
def folder(shm_root: Path) -> Path:
    made = registry.engine_folder("default", shm_root)
    registry.make_folder(made)
    return made


def put(folder: Path, text: bytes) -> None:
    (folder / registry.FILE_NAME).write_bytes(text)


def put_changed(folder: Path, **changes: Any) -> None:
    put(folder, json.dumps(dataclasses.asdict(FULL) | changes).encode())


@pytest.mark.parametrize(
    "kept", [FULL, dataclasses.replace(FULL, simulator_url=None, truth_folder=None, instruments=())]
)
def test_what_is_written_is_read(folder: Path, kept: Registry) -> None:
    registry.write(folder, kept)
    assert registry.read(folder) == kept
    assert os.listdir(folder) == [registry.FILE_NAME]
    assert (folder / registry.FILE_NAME).stat().st_mode & 0o7777 == 0o600


def test_a_reader_keeps_the_file_it_opened(folder: Path) -> None:
    registry.write(folder, FULL)
    with (folder / registry.FILE_NAME).open("rb") as opened:
        registry.write(folder, dataclasses.replace(FULL, generation=4))
        assert json.load(opened)["generation"] == 3
    assert registry.read(folder).generation == 4


def test_a_writer_killed_before_the_rename_leaves_the_old_one(folder: Path) -> None:
    registry.write(folder, FULL)
    (folder / f"{registry.FILE_NAME}.tmp").write_bytes(b'{"layout')
    assert registry.read(folder) == FULL
    registry.write(folder, dataclasses.replace(FULL, generation=4))
    assert registry.read(folder).generation == 4


def test_none_is_not_a_damaged_one(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        registry.read(folder)
    with pytest.raises(FileNotFoundError):
        registry.read(folder.with_name("other"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"layout_version": layout.LAYOUT_VERSION + 1}, "update the older"),
        ({"layout_version": "1"}, "layout_version"),
        ({"layout_version": True}, "layout_version"),
        ({"name": "../x"}, "name"),
        ({"name": ""}, "name"),
        ({"generation": 0}, "generation"),
        ({"generation": 1.0}, "generation"),
        ({"generation": 1 << 40}, "generation"),
        ({"supervisor_pid": 0}, "supervisor_pid"),
        ({"supervisor_pid": 1 << 23}, "supervisor_pid"),
        ({"supervisor_start_ticks": -1}, "supervisor_start_ticks"),
        ({"venue": None}, "venue"),
        ({"data_folder": "x" * 5000}, "data_folder"),
        ({"data_folder": "a\0b"}, "data_folder"),
        ({"engine_pid": -1}, "engine_pid"),
        ({"keeper_pid": "1"}, "keeper_pid"),
        ({"simulator_url": 5}, "simulator_url"),
        ({"truth_folder": []}, "truth_folder"),
        ({"instruments": {}}, "instruments"),
        ({"instruments": [5]}, "an instrument is not an object"),
        ({"instruments": [{}]}, "other keys"),
        ({"instruments": [dataclasses.asdict(LISTED)] * 2}, "listed twice"),
        ({"instruments": [dataclasses.asdict(LISTED) | {"symbol": "../../etc/passwd"}]}, "symbol"),
        ({"instruments": [dataclasses.asdict(LISTED) | {"symbol": "x" * 33}]}, "symbol"),
        ({"instruments": [dataclasses.asdict(LISTED) | {"max_lag_ms": 0}]}, "max_lag_ms"),
        ({"instruments": [dataclasses.asdict(LISTED) | {"levels": "64"}]}, "levels"),
        ({"instruments": [dataclasses.asdict(LISTED) | {"pid": None}]}, "pid"),
        ({"instruments": [dataclasses.asdict(LISTED)] * 1025}, "instruments"),
        ({"more": 1}, "other keys than it should have: more"),
    ],
)
def test_every_field_is_checked(folder: Path, changes: dict[str, Any], says: str) -> None:
    put_changed(folder, **changes)
    with pytest.raises(LayoutError, match=says) as caught:
        registry.read(folder)
    assert str(folder / registry.FILE_NAME) in str(caught.value)


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(Registry)])
def test_every_field_must_be_there(folder: Path, key: str) -> None:
    row = dataclasses.asdict(FULL)
    del row[key]
    put(folder, json.dumps(row).encode())
    with pytest.raises(LayoutError, match=key):
        registry.read(folder)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"9" * 5000, b" " * (registry.MAX_FILE_BYTES + 1)]
)
def test_what_is_no_registry(folder: Path, text: bytes) -> None:
    put(folder, text)
    with pytest.raises(LayoutError, match=registry.FILE_NAME):
        registry.read(folder)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 1 << 12), data=st.binary(min_size=1, max_size=8))
def test_random_damage_never_crashes(folder: Path, place: int, data: bytes) -> None:
    text = bytearray(json.dumps(dataclasses.asdict(FULL)).encode())
    start = place % len(text)
    text[start : start + len(data)] = data
    put(folder, bytes(text))
    try:
        registry.read(folder)
    except LayoutError:
        return


def test_a_link_or_a_pipe_in_its_place(folder: Path) -> None:
    path = folder / registry.FILE_NAME
    path.symlink_to(folder / "elsewhere.json")
    with pytest.raises(LayoutError, match="symbolic links"):
        registry.read(folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(LayoutError, match="not a plain file"):
        registry.read(folder)


def test_folders_are_for_this_user_alone(shm_root: Path) -> None:
    folder = registry.engine_folder("default", shm_root)
    assert folder == shm_root / f"shardbook-{os.geteuid()}" / "default"
    for _ in range(2):
        registry.make_folder(folder)
        assert [each.stat().st_mode & 0o7777 for each in (folder, folder.parent)] == [0o700, 0o700]
    assert registry.generation_folder(folder, 3) == folder / "g3"


def test_the_root_is_the_environments(shm_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert registry.root_folder() == shm_root
    monkeypatch.setenv("SHARDBOOK_SHM", "")
    assert registry.root_folder() == Path("/dev/shm")


@pytest.mark.parametrize("which", ["folder", "parent"])
def test_a_folder_that_others_made_or_can_enter(shm_root: Path, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = registry.engine_folder("default", shm_root)
    registry.make_folder(folder)
    wrong = folder if which == "folder" else folder.parent
    wrong.chmod(0o755)
    with pytest.raises(LayoutError, match=r"has mode 0755 and must be 0700"):
        registry.make_folder(folder)
    wrong.chmod(0o700)
    moved = wrong.rename(wrong.with_name("moved"))
    wrong.symlink_to(moved)
    with pytest.raises(LayoutError, match="is not a directory"):
        registry.make_folder(folder)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(LayoutError, match="belongs to user"):
        registry.check_folder(moved)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "x" * 65, "a b", "a\n", "ä"])
def test_what_is_no_name(name: str, shm_root: Path) -> None:
    with pytest.raises(ValueError, match="no engine name"):
        registry.engine_folder(name, shm_root)
