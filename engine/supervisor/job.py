"""What launch tells the supervisor, as one JSON object on its standard input. It holds no secret."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config import Settings
from .errors import CannotStart

MAX_JOB_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Watched:
    """The folder whose symbol files are followed while the engine runs."""

    folder: Path
    symbols: tuple[str, ...] | None  # the only ones that count; None: all

    @classmethod
    def from_json(cls, value: Any) -> "Watched":
        """Raises CannotStart."""
        if not isinstance(value, dict) or value.keys() != {"folder", "symbols"}:
            raise CannotStart("the supervisor's job has a watched folder with other keys than folder and symbols")
        folder, symbols = value["folder"], value["symbols"]
        named = [] if symbols is None else symbols
        if not isinstance(named, list) or not all(isinstance(text, str) for text in (folder, *named)):
            raise CannotStart("the supervisor's job has a watched folder of another type than it must have")
        return cls(Path(folder), None if symbols is None else tuple(symbols))


@dataclass(frozen=True, slots=True)
class Job:
    """One run of an engine."""

    settings: Settings
    simulator: dict[str, Any] | None  # the simulator's own job, which it checks itself; None for a real venue
    launch_pid: int
    watched: Watched | None = None  # None: the symbols stay as they are
    replay: dict[str, Any] | None = None  # what is to be played, which the player checks; None: a venue is spoken with
    set_aside: dict[str, tuple[int, ...]] = field(default_factory=dict)  # by symbol: what no worker of a replay runs

    @classmethod
    def from_json(cls, text: bytes) -> "Job":
        """Raises CannotStart for what is no job, ConfigError for settings that are none."""
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CannotStart(f"the supervisor's job is not JSON ({error}): it is started by scripts/launch") from None
        if not isinstance(value, dict) or value.keys() - {"watched", "replay", "set_aside"} != {
            "settings",
            "simulator",
            "launch_pid",
        }:
            raise CannotStart(
                "the supervisor's job has other keys than settings, simulator, launch_pid, watched, replay, set_aside"
            )
        simulator, launch_pid, replay = value["simulator"], value["launch_pid"], value.get("replay")
        if not isinstance(simulator, dict | None) or not isinstance(replay, dict | None) or type(launch_pid) is not int:
            raise CannotStart(
                "the supervisor's job has a simulator, a replay or a launch_pid of another type than it must have"
            )
        watched = value.get("watched")
        return cls(
            Settings.from_json(value["settings"]),
            simulator,
            launch_pid,
            None if watched is None else Watched.from_json(watched),
            replay,
            _set_aside(value.get("set_aside", {})),
        )


def _set_aside(value: Any) -> dict[str, tuple[int, ...]]:
    """Raises CannotStart."""
    if not isinstance(value, dict) or not all(
        isinstance(each, list) and all(type(number) is int for number in each) for each in value.values()
    ):
        raise CannotStart("the supervisor's job has records to set aside that are no lists of sequences by symbol")
    return {symbol: tuple(each) for symbol, each in value.items()}
