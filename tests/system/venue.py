"""The simulator alone, as `launch --simulator-only` gives it to clients that are not ours, and its truth."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.simulator.truth import Truth
from engine.simulator_control import ask
from tests.system.alone import KEY, LOGIN, USER
from tests.system.running import STOP_LIMIT_S, TOP

REST_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Venue:
    """url: where it listens. truth: of all that it sends."""

    url: str
    truth: Truth

    def pause(self) -> dict[str, Any]:
        return ask(self.url, "pause")

    def post(self, path: str, token: str = "", **body: Any) -> dict[str, Any]:
        """One REST call, which has to be answered with success."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"{self.url}/api/{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=REST_LIMIT_S) as answer:
            said: dict[str, Any] = json.load(answer)
        assert said["success"], said
        return said

    def login(self) -> str:
        """A token."""
        return str(self.post("Auth/loginKey", userName=USER, apiKey=KEY)["token"])

    def resume(self) -> dict[str, Any]:
        return ask(self.url, "resume")


@contextmanager
def venue_alone(folder: Path, *arguments: str) -> Iterator[Venue]:
    """Paused from its first moment that anybody sees. `folder`: a new place for what it keeps."""
    folder.mkdir()
    environ = os.environ | {"TMPDIR": str(folder)} | LOGIN
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.launch", "--simulator-only", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TOP,
        env=environ,
    )
    with process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, process.communicate()[1]
            ask(url, "pause")
            (written,) = folder.rglob("truth.json")
            yield Venue(url, Truth.open(written.parent))
            process.send_signal(signal.SIGINT)
            assert process.wait(STOP_LIMIT_S) == 0
        finally:
            process.kill()
    assert list(folder.iterdir()) == [], "a launch that has ended keeps nothing"
