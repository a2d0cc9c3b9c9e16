"""The simulator as a venue that knows no engine: a process of its own, with a truth folder of the test's own."""

import hashlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.system.running import STOP_LIMIT_S, TOP

USER, KEY = "trader1", "k3y-abcdefghij"
LOGIN = {"PROJECT_X_USERNAME": USER, "PROJECT_X_API_KEY": KEY}


@contextmanager
def simulator(truth_folder: Path, symbols: tuple[str, ...], **changed: Any) -> Iterator[str]:
    """Its address, while it runs. `changed` are keys of its job."""
    job: dict[str, Any] = {
        **{"port": 0, "seed": 7, "rate_entries_per_s": 2000.0, "symbols": symbols, "flow": None, "pace": None},
        **{"crossed": False, "truth_folder": str(truth_folder), "user_name": USER, "supervisor_pid": None},
        "api_key_sha256": hashlib.sha256(KEY.encode()).hexdigest(),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.simulator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=TOP,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(job | changed))
        process.stdin.close()
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()
        assert process.wait(STOP_LIMIT_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def order(url: str, what: str, **body: Any) -> dict[str, Any]:
    """A control request with a body, to the simulator itself; its status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("POST", f"/simulator/{what}", json.dumps(body))
        answer = connection.getresponse()
        assert answer.status == http.client.OK, (what, answer.status)
        status: dict[str, Any] = json.loads(answer.read())
    finally:
        connection.close()
    return status
