"""What launch may tell the supervisor, and what it may not."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.rules import ConfigError
from engine.supervisor.errors import CannotStart
from engine.supervisor.job import Job, Watched
from tests.engine.supervisor.stand_ins import TWO, settings_of

SETTINGS = settings_of("default", Path("/dev/shm"), Path("/data"), TWO)
GOOD: dict[str, Any] = {"settings": SETTINGS.to_json(), "simulator": {"seed": 7}, "launch_pid": os.getpid()}


def test_a_job_is_read_as_it_was_written() -> None:
    assert Job.from_json(json.dumps(GOOD).encode()) == Job(SETTINGS, {"seed": 7}, os.getpid())
    assert Job.from_json(json.dumps(GOOD | {"simulator": None}).encode()).simulator is None
    assert Job.from_json(json.dumps(GOOD | {"replay": {"speed": 1.0}}).encode()).replay == {"speed": 1.0}
    assert Job.from_json(json.dumps(GOOD | {"set_aside": {"MNQ": [7, 8]}}).encode()).set_aside == {"MNQ": (7, 8)}


@pytest.mark.parametrize(
    "value",
    [
        [],
        None,
        {},
        GOOD | {"more": 1},
        {key: value for key, value in GOOD.items() if key != "launch_pid"},
        GOOD | {"launch_pid": "1"},
        GOOD | {"launch_pid": True},
        GOOD | {"simulator": []},
        GOOD | {"replay": "x"},
        GOOD | {"set_aside": [7]},
        GOOD | {"set_aside": {"MNQ": 7}},
        GOOD | {"set_aside": {"MNQ": [7.0]}},
    ],
)
def test_what_is_no_job(value: object) -> None:
    with pytest.raises(CannotStart, match="supervisor's job"):
        Job.from_json(json.dumps(value).encode())


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json(text: bytes) -> None:
    with pytest.raises(CannotStart, match="not JSON"):
        Job.from_json(text)


def test_settings_that_are_none() -> None:
    with pytest.raises(ConfigError):
        Job.from_json(json.dumps(GOOD | {"settings": {"name": "x"}}).encode())


def test_a_watched_folder_is_read_as_it_was_written() -> None:
    for symbols, read in ((None, None), (["MNQ"], ("MNQ",))):
        watched = {"folder": "/symbols", "symbols": symbols}
        assert Job.from_json(json.dumps(GOOD | {"watched": watched}).encode()).watched == Watched(
            Path("/symbols"), read
        )
    assert Job.from_json(json.dumps(GOOD | {"watched": None}).encode()).watched is None


@pytest.mark.parametrize(
    "watched",
    [
        [],
        "x",
        {},
        {"folder": "x"},
        {"folder": 1, "symbols": None},
        *({"folder": "x", "symbols": s} for s in ("x", [1])),
    ],
)
def test_what_is_no_watched_folder(watched: object) -> None:
    with pytest.raises(CannotStart, match="watched folder"):
        Job.from_json(json.dumps(GOOD | {"watched": watched}).encode())
