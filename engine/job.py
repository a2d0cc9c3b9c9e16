"""The job of a process of the engine's: one JSON object in the first line of its standard input."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .config import Settings
from .lines import MAX_LINE_BYTES
from .rules import ConfigError


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: `folder` is the engine's, with the generation's segments below it."""

    settings: Settings
    generation: int
    folder: Path
    supervisor_pid: int


def parse(data: bytes, source: str) -> Job:
    """The job that a line holds; `source` is the sentence's word for it. Raises ConfigError."""
    return _checked(_object(data), source)


def parse_with(data: bytes, source: str, key: str) -> tuple[Job, object]:
    """The job, and what stands beside it under `key`, unchecked: None if nothing does. Raises ConfigError."""
    found = _object(data)
    beside = found.pop(key, None) if isinstance(found, dict) else None
    return _checked(found, source), beside


def _object(data: bytes) -> object:
    """What the line says in JSON; None if it is none."""
    try:
        found: object = json.loads(data) if len(data) <= MAX_LINE_BYTES else None
    except (ValueError, RecursionError):
        found = None
    return found


def _checked(job: object, source: str) -> Job:
    if not isinstance(job, Mapping) or set(job) != {"settings", "generation", "folder", "supervisor_pid"}:
        raise ConfigError(f"{source}: is not the JSON object it must be: start the engine with scripts/launch")
    for key in ("generation", "supervisor_pid"):
        if type(job[key]) is not int or job[key] < 1:
            raise ConfigError(f"{source}: {key} must be a whole number above 0: start it with scripts/launch")
    if not isinstance(job["folder"], str):
        raise ConfigError(f"{source}: folder must be text: start it with scripts/launch")
    settings = Settings.from_json(job["settings"], source)
    return Job(settings, job["generation"], Path(job["folder"]), job["supervisor_pid"])
