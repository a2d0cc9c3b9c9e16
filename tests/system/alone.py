"""The simulator as a venue that knows no engine: a process of its own, with a truth folder of the test's own."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
