"""What runs under a name: one JSON file that the supervisor replaces by rename and anybody reads.

It says which generation is the present one, who writes it, and which instruments there are; it is the one thing a
reader looks at when its data is stale. Here too: where an engine's folder lies, and that nobody else made it.
"""

import dataclasses
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import layout
from .errors import LayoutError
from .segment import MAX_GENERATION, MAX_MADE, MAX_PID

FILE_NAME = "registry.json"
MAX_FILE_BYTES = 1 << 20
MAX_INSTRUMENTS = 1024
MAX_TEXT = 4096  # characters: room for any path

ENGINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SYMBOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")  # it becomes a file name


@dataclass(frozen=True, slots=True)
class Listed:
    """One instrument: its worker, and the numbers that a reader needs to judge and to read it."""

    symbol: str
    process: str  # of its worker: the symbol, or a name that it shares with others; what follows is that process's
    pid: int  # 0: no worker lives now
    restarts: int
    parked: str  # why its worker is not started again; empty while it is
    levels: int
    max_depth: int
    ring_mib: int
    max_lag_ms: int
    made: int = 1  # of its segments: one more each time they are made anew in this generation


@dataclass(frozen=True, slots=True)
class Registry:
    """All that is published under a name, at one moment."""

    layout_version: int
    name: str
    generation: int
    supervisor_pid: int
    supervisor_start_ticks: int
    venue: str
    data_folder: str
    engine_pid: int  # 0: no engine lives now
    simulator_url: str | None
    truth_folder: str | None
    instruments: tuple[Listed, ...]
    keeper_pid: int = 0  # 0: no keeper lives now
    recorder_pid: int = 0  # 0: no recorder lives now, or nothing is recorded
    historian_pid: int = 0  # likewise

    @property
    def engine(self) -> tuple[int, int, int]:
        """What tells this engine from all others of its name: with a new data folder generations begin again."""
        return self.generation, self.supervisor_pid, self.supervisor_start_ticks


def root_folder() -> Path:
    """The tmpfs that holds all engines of this machine: SHARDBOOK_SHM, or /dev/shm."""
    return Path(os.environ.get("SHARDBOOK_SHM") or "/dev/shm")


def engine_folder(name: str, root: Path | None = None) -> Path:
    """Where the engine `name` of this user keeps its segments. Raises ValueError for a name that is none."""
    if not ENGINE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no engine name: letters, digits, '.', '_' and '-', at most 64, no '.' first")
    return (root or root_folder()) / f"shardbook-{os.geteuid()}" / name


def generation_folder(folder: Path, generation: int) -> Path:
    """Where the segments of one generation lie, in the engine's folder."""
    return folder / f"g{generation}"


def make_folder(folder: Path) -> None:
    """Make an engine's folder and the user's above it, for this user alone; both are checked if they exist.

    Raises LayoutError if a folder is a link, another user's, or open to others. FileNotFoundError: no such root.
    """
    for each in (folder.parent, folder):
        try:
            each.mkdir(mode=0o700)
        except FileExistsError:
            check_folder(each)


def check_folder(folder: Path) -> None:
    """Raise LayoutError unless `folder` is a real directory of this user with mode 0700. FileNotFoundError passes."""
    status = os.stat(folder, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        raise LayoutError(f"{folder} is not a directory: remove it, or name another place in SHARDBOOK_SHM")
    if status.st_uid != os.geteuid():
        raise LayoutError(f"{folder} belongs to user {status.st_uid}: name another place in SHARDBOOK_SHM")
    if stat.S_IMODE(status.st_mode) != 0o700:
        mode = stat.S_IMODE(status.st_mode)
        raise LayoutError(f"{folder} has mode {mode:04o} and must be 0700: remove it, or chmod 700 it")


def write(folder: Path, registry: Registry) -> None:
    """Replace the registry of `folder`. A reader sees the old one or this one, never a part."""
    text = json.dumps(dataclasses.asdict(registry), indent=1).encode()
    assert len(text) <= MAX_FILE_BYTES, len(text)
    building = folder / f"{FILE_NAME}.tmp"
    building.unlink(missing_ok=True)  # of a writer that was killed here
    descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(text)
    building.rename(folder / FILE_NAME)


def read(folder: Path) -> Registry:
    """The registry of `folder`, every field checked. Raises LayoutError; FileNotFoundError if there is none."""
    path = folder / FILE_NAME
    check_folder(folder)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LayoutError(f"{path} is no registry of ours: {os.strerror(error.errno or 0)}") from None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise LayoutError(f"{path} is no registry of ours: it is not a plain file of this user")
        text = file.read(MAX_FILE_BYTES + 1)
    if len(text) > MAX_FILE_BYTES:
        raise LayoutError(f"{path} is larger than any registry, {MAX_FILE_BYTES} bytes: it is damaged")
    try:
        return _parse(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise LayoutError(f"{path} is no registry that this program can read: {error}") from None


def _parse(value: Any) -> Registry:
    """A Registry out of parsed JSON. Raises ValueError that says which field is wrong and how."""
    row = _object(value, "the registry")
    version = _number(row, "layout_version", 0, 1 << 32)
    if version != layout.LAYOUT_VERSION:
        raise ValueError(
            f"its layout version is {version}, this program's is {layout.LAYOUT_VERSION}; update the older"
        )
    _exact_keys(row, Registry, "the registry")
    listed = row["instruments"]
    if not isinstance(listed, list) or len(listed) > MAX_INSTRUMENTS:
        raise ValueError(f"instruments is not a list of at most {MAX_INSTRUMENTS}")
    instruments = tuple(_parse_listed(each) for each in listed)
    if len({each.symbol for each in instruments}) != len(instruments):
        raise ValueError("an instrument is listed twice")
    return Registry(
        layout_version=version,
        name=_name(row, "name", ENGINE_NAME),
        generation=_number(row, "generation", 1, MAX_GENERATION - 1),
        supervisor_pid=_number(row, "supervisor_pid", 1, MAX_PID),
        supervisor_start_ticks=_number(row, "supervisor_start_ticks", 0, 1 << 62),
        venue=_text(row, "venue"),
        data_folder=_text(row, "data_folder"),
        engine_pid=_number(row, "engine_pid", 0, MAX_PID),
        simulator_url=None if row["simulator_url"] is None else _text(row, "simulator_url"),
        truth_folder=None if row["truth_folder"] is None else _text(row, "truth_folder"),
        instruments=instruments,
        keeper_pid=_number(row, "keeper_pid", 0, MAX_PID),
        recorder_pid=_number(row, "recorder_pid", 0, MAX_PID),
        historian_pid=_number(row, "historian_pid", 0, MAX_PID),
    )


def _parse_listed(value: Any) -> Listed:
    row = _object(value, "an instrument")
    _exact_keys(row, Listed, "an instrument")
    return Listed(
        symbol=_name(row, "symbol", SYMBOL_NAME),
        process=_name(row, "process", SYMBOL_NAME),
        pid=_number(row, "pid", 0, MAX_PID),
        restarts=_number(row, "restarts", 0, 1 << 62),
        parked=_text(row, "parked"),
        levels=_number(row, "levels", 1, 1 << 20),
        max_depth=_number(row, "max_depth", 1, 1 << 20),
        ring_mib=_number(row, "ring_mib", 1, 1 << 20),
        max_lag_ms=_number(row, "max_lag_ms", 1, 1 << 31),
        made=_number(row, "made", 1, MAX_MADE - 1),
    )


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not an object")
    return value


def _exact_keys(row: dict[str, Any], kind: type[Registry] | type[Listed], what: str) -> None:
    wanted = {field.name for field in dataclasses.fields(kind)}
    if row.keys() != wanted:
        odd = ", ".join(sorted(row.keys() ^ wanted))[:200]
        raise ValueError(f"{what} has other keys than it should have: {odd}")


def _number(row: dict[str, Any], key: str, low: int, high: int) -> int:
    value = row.get(key)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{key} is not a whole number from {low} to {high}")
    return value


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or len(value) > MAX_TEXT or "\0" in value:
        raise ValueError(f"{key} is not a text of at most {MAX_TEXT} characters")
    return value


def _name(row: dict[str, Any], key: str, form: re.Pattern[str]) -> str:
    value = _text(row, key)
    if not form.fullmatch(value):
        raise ValueError(f"{key} is {value[:80]!r}, which is no such name")
    return value
