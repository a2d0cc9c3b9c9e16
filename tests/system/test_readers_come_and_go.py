"""Readers of every kind come, go and are killed; the engine, its memory and the other readers notice nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shm import Market, Status
from shm.life import is_held
from shm.registry import generation_folder
from tests.conftest import processes_of
from tests.system.running import TOP, Running, is_exact, listing, running, wait_beside, wait_live
from tests.waiting import wait_for

READERS = int(os.environ.get("SHARDBOOK_READERS", "40"))
WAVES = 2

TEN_LINES = """
import sys
from shm import attach

with attach(sys.argv[1]) as market:
    for symbol in market.symbols:
        book = market[symbol].book()
        print(symbol, book.best_bid, book.best_ask)
    for change in market.watch(["MNQ", "MES"], timeout_s=5):
        print("changed", change.symbol, change.published)
        break
"""


@pytest.mark.timeout(120 + READERS)
def test_readers_come_go_and_are_killed(left_nothing: Path, engine_name: str, seed: int) -> None:
    with running(engine_name, "--rate", "20000") as engine, engine.attach() as market:
        wait_live(market)
        _wait_for_who_works_beside(engine, market)
        before, files, opened = _statuses(market), listing(engine.folder), _opened(engine, market)
        for wave in range(WAVES):
            result = _crowd(engine_name, READERS // WAVES, seed + wave)
            print(result)
            assert result["failed"] == 0, result
            assert result["left"] > 0
            assert result["killed"] > result["left"]
            assert result["books"] > READERS
        assert listing(engine.folder) == files
        assert _opened(engine, market) == opened
        wanted = {symbol: status.published + 10 for symbol, status in _statuses(market).items()}
        wait_for(
            lambda: all(market[symbol].status().published >= number for symbol, number in wanted.items()),
            20,
            "every worker goes on publishing",
        )
        for symbol, after in _statuses(market).items():
            assert after.live, after
            assert (after.pid, after.restarts, after.resyncs, after.dropped) == (before[symbol].pid, 0, 0, 0), after
        summary = engine.stop()
    assert engine.status == 0, engine.errors
    assert is_exact(summary), summary


def test_ten_lines_in_a_second_process_leave_no_trace(left_nothing: Path, engine_name: str, tmp_path: Path) -> None:
    with running(engine_name, "--rate", "6000") as engine, engine.attach() as market:
        wait_live(market)
        _wait_for_who_works_beside(engine, market)
        files, opened, processes = listing(engine.folder), _opened(engine, market), processes_of(left_nothing)
        home = tmp_path / "home"
        home.mkdir()
        said = subprocess.run(
            [sys.executable, "-c", TEN_LINES, engine_name],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=home,
            env=os.environ | {"PYTHONPATH": str(TOP), "HOME": str(home), "TMPDIR": str(home)},
        )
        assert said.returncode == 0, said.stderr
        assert said.stderr == ""
        *books, changed = said.stdout.splitlines()
        assert [line.split()[0] for line in books] == list(market.symbols)
        for line in books:
            _, bid, ask = line.split()
            assert 0 < float(bid) < float(ask)
        assert changed.split()[0] == "changed"
        assert changed.split()[1] in ("MNQ", "MES")
        assert list(home.rglob("*")) == []
        assert listing(engine.folder) == files
        assert _opened(engine, market) == opened
        assert processes_of(left_nothing) == processes
        engine.stop()
    assert engine.status == 0, engine.errors


def _crowd(name: str, count: int, seed: int) -> dict[str, int]:
    said = subprocess.run(
        [sys.executable, "-m", "tests.system.crowd", name, str(count), str(seed)],
        stdout=subprocess.PIPE,
        timeout=90 + READERS,
        cwd=TOP,
        check=True,
    )
    result: dict[str, int] = json.loads(said.stdout)
    return result


def _statuses(market: Market) -> dict[str, Status]:
    return {symbol: market[symbol].status() for symbol in market.symbols}


def _wait_for_who_works_beside(engine: Running, market: Market) -> None:
    """Keeper and historian start when all else is up; those that have locks take them, and the hours are written."""
    wait_beside(engine)
    wait_for(lambda: is_held(engine.folder / "keeper.lock") and is_held(engine.folder / "recorder.lock"), 30, "locks")
    here = generation_folder(engine.folder, engine.registry.generation)
    wait_for(lambda: all((here / f"{symbol}.sessions").exists() for symbol in market.symbols), 30, "trading hours")


def _opened(engine: Running, market: Market) -> dict[str, int]:
    """How many descriptors each worker has open."""
    return {symbol: len(list(Path(f"/proc/{engine.worker_pid(symbol)}/fd").iterdir())) for symbol in market.symbols}
