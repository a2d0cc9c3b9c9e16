"""A whole engine on its simulator, started as anybody starts it, with a name, memory and data of its own.

Memory is a folder in shared memory; data lies where temporary files do, so that the journal meets a disk if they do.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shm import Market, Status, attach, registry
from shm.errors import LayoutError, NoEngine, WriterGone
from tests.waiting import wait_for

NAME = "bench"
TOP = Path(__file__).resolve().parents[2]
UP_LIMIT_S = 120.0  # kernels may have to be compiled
END_LIMIT_S = 45.0
LONGEST_RUN_S = 120.0  # nothing runs on if the benchmark is killed
_LOOK_EVERY_S = 0.001


@dataclass(slots=True)
class Engine:
    """`summary` is what `launch --json` printed; there once the engine has ended."""

    root: Path
    market: Market
    launch_pid: int
    data: Path
    began_s: float  # when the command was given
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return registry.engine_folder(NAME, self.root)

    def statuses(self) -> list[Status]:
        """Of all instruments; none while the memory is being made."""
        try:
            return [self.market[symbol].status() for symbol in self.market.symbols]
        except WriterGone:
            return []

    def moves(self) -> bool:
        """Whether every worker has applied something."""
        statuses = self.statuses()
        return bool(statuses) and all(status.applied for status in statuses)

    def wait_until_live(self) -> tuple[float, float]:
        """Seconds from the command until a first book was live, and until all were at once."""
        wait_for(lambda: any(status.live for status in self.statuses()), UP_LIMIT_S, "a live book")
        first_s = time.monotonic() - self.began_s
        wait_for(self._is_live, UP_LIMIT_S, "live books")
        return first_s, time.monotonic() - self.began_s

    def _is_live(self) -> bool:
        statuses = self.statuses()
        return bool(statuses) and all(status.live for status in statuses)


@contextmanager
def running(rate_entries_per_s: float, *, record: bool = True) -> Iterator[Engine]:
    """An engine to which one can attach, not yet live; ended, judged and removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="shardbook-bench-", dir=registry.root_folder()))
    data = Path(tempfile.mkdtemp(prefix="shardbook-bench-"))
    command = [sys.executable, "-m", "engine.launch", "--json", "--name", NAME, "--data", str(data)]
    if not record:
        (root / "engine.toml").write_text("[journal]\nrecord = false\n")
        command += ["--config", str(root / "engine.toml")]
    try:
        with open(root / "launch.err", "wb") as complaints:
            began_s = time.monotonic()
            process = subprocess.Popen(
                [*command, "--rate", str(rate_entries_per_s), "--for", str(LONGEST_RUN_S)],
                cwd=TOP,
                env=os.environ | {"SHARDBOOK_SHM": str(root)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
            )
        try:
            with attached(process, root) as market:
                engine = Engine(root, market, process.pid, data, began_s)
                yield engine
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=END_LIMIT_S)
            engine.summary = json.loads(output)
        except BaseException:
            sys.stderr.write((root / "launch.err").read_text(errors="replace"))
            raise
        finally:
            process.kill()  # everything below dies with it
            process.wait()
    finally:
        shutil.rmtree(root)
        shutil.rmtree(data)


def attached(process: subprocess.Popen[bytes], root: Path) -> Market:
    end_s = time.monotonic() + UP_LIMIT_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            return attach(NAME, root=root)
        except (NoEngine, LayoutError):
            time.sleep(_LOOK_EVERY_S)
    raise AssertionError("the engine is not up")
