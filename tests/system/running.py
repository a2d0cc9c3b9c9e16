"""A whole engine as a user starts it, with `python -m engine.launch`, in shared memory and a data folder of its own."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.run import COMPILING
from shm import Market, NoEngine, attach
from shm.layout import State
from shm.registry import Registry, engine_folder, read
from tests.waiting import wait_for

TOP = Path(__file__).resolve().parents[2]
START_LIMIT_S = 90.0  # the first engine of a fresh checkout compiles its kernels
STOP_LIMIT_S = 40.0


class Running:
    """A started launch. `stop` ends it as Ctrl-C does and gives its summary."""

    def __init__(self, name: str, data: Path, arguments: tuple[str, ...], environ: dict[str, str]) -> None:
        self.name = name
        self.data = data
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.launch", "--json", "--name", name, "--data", str(data), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=TOP,
            env=os.environ | environ,
        )
        self.status: int | None = None
        self.errors = ""

    @property
    def folder(self) -> Path:
        return engine_folder(self.name)

    @property
    def registry(self) -> Registry:
        return read(self.folder)

    def worker_pid(self, symbol: str) -> int:
        """The process of a worker, 0 while it is not there."""
        return next(listed.pid for listed in self.registry.instruments if listed.symbol == symbol)

    def attach(self) -> Market:
        """Wait until it is there, and attach."""
        found: list[Market] = []

        def there() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"launch ended with {self.process.returncode}: {self.process.communicate()[1]}")
            try:
                found.append(attach(self.name))
            except NoEngine:
                return False
            return True

        wait_for(there, START_LIMIT_S, "the engine is up")
        return found[0]

    def next_error_line(self, limit_s: float) -> str:
        """The next line that it says on stderr, the note on a first start's kernels left out."""
        errors = self.process.stderr
        assert errors is not None
        found: list[str] = []

        def said() -> bool:
            if select.select([errors], [], [], 0)[0]:
                found.append(without_compiling(errors.readline()))
            return bool(found and found[-1])

        wait_for(said, limit_s, "a line on stderr")
        return found[-1]

    def stop(self) -> dict[str, Any]:
        """End it; the JSON summary. The exit status is in `status`, what it said in `errors`."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self, limit_s: float = STOP_LIMIT_S) -> dict[str, Any]:
        out, self.errors = self.process.communicate(timeout=limit_s)
        self.status = self.process.returncode
        self.errors = without_compiling(self.errors)
        summary: dict[str, Any] = json.loads(out) if out else {}
        return summary


def without_compiling(said: str) -> str:
    """What was said on stderr, less that a first start takes long: which test is the first is chance."""
    return "".join(line for line in said.splitlines(keepends=True) if line.rstrip() != COMPILING)


@contextmanager
def running(name: str, *arguments: str, data: Path | None = None, **environ: str) -> Iterator[Running]:
    """An engine that is surely ended, whatever the test does."""
    with tempfile.TemporaryDirectory(prefix="shardbook-test-") as folder:
        engine = Running(name, data or Path(folder), arguments, environ)
        try:
            yield engine
        finally:
            if engine.process.poll() is None:
                engine.process.send_signal(signal.SIGINT)
                try:
                    engine.process.communicate(timeout=STOP_LIMIT_S)
                except subprocess.TimeoutExpired:
                    engine.process.kill()
                    engine.process.communicate()


def all_live(market: Market) -> bool:
    return all(market[symbol].status().live for symbol in market.symbols)


def wait_live(market: Market, limit_s: float = START_LIMIT_S) -> None:
    wait_for(lambda: all_live(market), limit_s, lambda: f"every book is live: {states(market)}")


def wait_beside(engine: Running) -> Registry:
    """Wait until the processes are there that start only when all is up; the registry that lists them."""

    def there() -> bool:
        now = engine.registry
        return bool(now.keeper_pid and now.recorder_pid and now.historian_pid)

    wait_for(there, START_LIMIT_S, "a keeper, a recorder and a historian")
    return engine.registry


def states(market: Market) -> dict[str, str]:
    shown = {symbol: market[symbol].status() for symbol in market.symbols}
    return {symbol: f"{status.state} {status.reason}" for symbol, status in shown.items()}


def is_exact(summary: dict[str, Any]) -> bool:
    """No wrong level, no lost trade, all live and all records accounted for."""
    rows = summary["instruments"]
    return all(
        row["wrong_levels"] == 0
        and row["lost_trades"] == 0
        and row["state"] == State.LIVE.name.lower()
        and row["records"] == row["applied"] + row["refused"] + row["dropped"]
        for row in rows
    )


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file of an engine's folder, but the registry that is replaced: which file it is, and how large."""
    found = {path: path.stat() for path in folder.rglob("*") if path.name != "registry.json"}
    return {str(path.relative_to(folder)): (stat.st_ino, stat.st_size) for path, stat in found.items()}
