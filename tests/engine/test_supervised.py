"""The supervisor as launch holds it: here one that refuses its job, because a whole engine has its own tests."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine import supervised
from engine.config import Credentials
from engine.supervised import Supervised

CANARY = "canary-key-3e1f"


def _refusing(tmp_path: Path) -> Supervised:
    return Supervised({"nonsense": 1}, Credentials("somebody", CANARY), os.environ, tmp_path / "log")


def test_its_last_word_is_an_event_and_nothing_is_left(tmp_path: Path) -> None:
    engine = _refusing(tmp_path)
    command = Path(f"/proc/{engine.pid}/cmdline").read_bytes()
    events: list[dict[str, Any]] = []
    limit_s = time.monotonic() + 30
    while not events and time.monotonic() < limit_s:
        events += engine.events(1.0)
    events += engine.stop()
    assert [event["event"] for event in events] == ["failed"]
    assert "settings" in events[0]["message"]
    assert not engine.running
    assert not Path(f"/proc/{engine.pid}").exists()
    assert CANARY.encode() not in command
    assert CANARY not in (tmp_path / "log").read_text()
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_stopping_it_at_once_is_fine(tmp_path: Path) -> None:
    engine = _refusing(tmp_path)
    engine.stop()
    assert not engine.running
    assert engine.events(0) == []


def test_the_last_warning_is_one_of_this_start(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("10:00 engine WARNING of the run before\n")
    engine = _refusing(tmp_path)
    engine.stop()
    assert engine.last_warning() == ""
    with open(tmp_path / "log", "a") as log:
        log.write("10:01 engine WARNING no login: first\n10:01 engine WARNING no login: second\n10:02 engine INFO x\n")
    assert engine.last_warning() == "no login: second"
    with open(tmp_path / "log", "a") as log:
        log.write("10:03 engine INFO all is well again\n" * 1000)
    assert engine.last_warning() == "", "that is long ago"
    (tmp_path / "log").unlink()
    assert engine.last_warning() == ""


def test_who_does_not_stop_is_killed_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = tmp_path / "deaf"
    deaf.write_text("#!/bin/sh\ntrap '' TERM\necho '{}'\nexec sleep 60\n")
    deaf.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(deaf))
    monkeypatch.setattr(supervised, "STOP_LIMIT_S", 0.5)
    engine = _refusing(tmp_path)
    assert engine.events(30.0) == [{}]
    assert engine.stop() == [{"event": "killed", "pid": engine.pid, "after_s": 0.5}]
    assert not Path(f"/proc/{engine.pid}").exists()
