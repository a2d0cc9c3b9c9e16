"""What is to be played, as it travels to the player."""

import json
from pathlib import Path

import pytest

from engine.replayer.job import Wanted
from engine.rules import ConfigError

GOOD = Wanted((Path("/a"), Path("/b.sbj")), 2.0, 5, None)


def test_it_comes_back_as_it_was() -> None:
    assert Wanted.from_json(json.loads(json.dumps(GOOD.to_json()))) == GOOD


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {},
        GOOD.to_json() | {"more": 1},
        GOOD.to_json() | {"places": "/a"},
        GOOD.to_json() | {"places": [1]},
        GOOD.to_json() | {"speed": 0.0},
        GOOD.to_json() | {"speed": 1e-300},
        GOOD.to_json() | {"speed": 2e6},
        GOOD.to_json() | {"speed": "max"},
        GOOD.to_json() | {"to_wall_ns": 1.5},
        GOOD.to_json() | {"to_wall_ns": 1 << 63},
        GOOD.to_json() | {"from_wall_ns": -1},
    ],
)
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match="scripts/replay"):
        Wanted.from_json(wrong)
