"""What `scripts/replay` wants to be played: it travels from the command through the supervisor to the player."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..arguments import LAST_NS, MAX_SPEED, MIN_SPEED
from ..rules import ConfigError

_SOURCE = "the job of the player"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`places`: journal files, or folders of them. Times are of the engine that recorded; None is without a bound."""

    places: tuple[Path, ...]
    speed: float | None = None  # times as fast as recorded; None: as fast as the workers take it
    from_wall_ns: int | None = None
    to_wall_ns: int | None = None  # exclusive

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"places": [str(place) for place in self.places]}

    @classmethod
    def from_json(cls, value: object) -> "Wanted":
        """Raises ConfigError."""
        if not isinstance(value, Mapping) or set(value) != {"places", "speed", "from_wall_ns", "to_wall_ns"}:
            raise ConfigError(f"{_SOURCE}: has no journal to play: start it with scripts/replay")
        places, speed = value["places"], value["speed"]
        times = value["from_wall_ns"], value["to_wall_ns"]
        if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
            raise ConfigError(f"{_SOURCE}: places must be a list of text: start it with scripts/replay")
        if not (speed is None or (type(speed) is float and MIN_SPEED <= speed <= MAX_SPEED)):
            limits = f"{MIN_SPEED:g} to {MAX_SPEED:,.0f}"
            raise ConfigError(f"{_SOURCE}: speed must be a number from {limits}: start it with scripts/replay")
        if not all(time is None or (type(time) is int and 0 <= time <= LAST_NS) for time in times):
            raise ConfigError(f"{_SOURCE}: times must be ns from 0 to {LAST_NS}: start it with scripts/replay")
        return cls(tuple(Path(place) for place in places), speed, *times)
