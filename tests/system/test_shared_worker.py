"""A worker process with three instruments, killed again and again under load: all three are exact, no other notices."""

import json
import os
import random
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest

from shm import Market
from tests.system.running import TOP, Running, is_exact, running, wait_live
from tests.waiting import wait_for

KILLS = int(os.environ.get("SHARDBOOK_KILLS", "10"))
SHARING = ("CL", "ES", "GC")


@pytest.fixture
def cpu() -> int:
    """One that we may use, and not the first: that could be by accident."""
    return max(os.sched_getaffinity(0))


@pytest.fixture
def symbols_dir(tmp_path: Path, cpu: int) -> Path:
    """The shipped instruments, three of them in one process that is pinned."""
    folder = tmp_path / "symbols"
    shutil.copytree(TOP / "workers" / "symbols", folder)
    for symbol in SHARING:
        with (folder / f"{symbol}.toml").open("a") as file:
            file.write(f"process = {json.dumps('quiet')}\n")
    with (folder / "ES.toml").open("a") as file:
        file.write(f"cpu = {cpu}\n")
    return folder


def pids(engine: Running) -> dict[str, int]:
    return {each.symbol: each.pid for each in engine.registry.instruments}


def allowed_cpus(pid: int) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list:"))


def _has_applied(market: Market, symbol: str, wanted: int) -> bool:
    return market[symbol].status().applied >= wanted


def _is_replaced(engine: Running, pid: int) -> bool:
    return pids(engine)["ES"] not in (0, pid)


def _live(market: Market) -> bool:
    return all(market[symbol].status().live for symbol in SHARING)


def test_a_shared_worker_killed_comes_back_exact_with_all_its_instruments(
    left_nothing: Path, engine_name: str, seed: int, symbols_dir: Path, cpu: int
) -> None:
    rng = random.Random(seed)
    arguments = ("--rate", "20000", "--symbols-dir", str(symbols_dir))
    with running(engine_name, *arguments) as engine, engine.attach() as market:
        wait_live(market)
        first = pids(engine)
        assert len({first[symbol] for symbol in SHARING}) == 1
        assert len(set(first.values())) == len(first) - len(SHARING) + 1
        assert allowed_cpus(first["ES"]) == str(cpu)
        others = [symbol for symbol in market.symbols if symbol not in SHARING]
        before = {symbol: market[symbol].status() for symbol in others}
        seen = dict.fromkeys(SHARING, 0)
        for _ in range(KILLS):
            pid = pids(engine)["ES"]
            one = rng.choice(SHARING)
            wanted = market[one].status().applied + rng.randrange(1, 400)
            wait_for(partial(_has_applied, market, one, wanted), 20, "more records")
            os.kill(pid, signal.SIGKILL)
            wait_for(partial(_is_replaced, engine, pid), 10, "a successor")
            wait_for(partial(_live, market), 10, "all of it live again")
            for symbol in SHARING:
                book = market[symbol].book(allow_stale=True)
                assert book.sequence >= seen[symbol], "a book went back"
                seen[symbol] = book.sequence
        assert allowed_cpus(pids(engine)["ES"]) == str(cpu), "the successor is pinned too"
        for symbol in others:
            after = market[symbol].status()
            assert after.live
            assert (after.pid, after.restarts) == (before[symbol].pid, 0)
        assert [market[symbol].status().restarts for symbol in SHARING] == [KILLS] * 3
        summary = engine.stop()
    assert engine.status == 0, engine.errors
    assert is_exact(summary), summary
    assert all(row["resyncs"] == 0 and row["dropped"] == 0 for row in summary["instruments"])
    assert len({row["pid"] for row in summary["instruments"] if row["symbol"] in SHARING}) == 1


def test_all_instruments_in_one_process(left_nothing: Path, engine_name: str, tmp_path: Path) -> None:
    """Nothing in an engine needs a second worker process; a name may be that of one of the instruments."""
    folder = tmp_path / "all"
    shutil.copytree(TOP / "workers" / "symbols", folder)
    for path in folder.glob("*.toml"):
        with path.open("a") as file:
            file.write('process = "MNQ"\n')
    with running(engine_name, "--rate", "20000", "--symbols-dir", str(folder), "--for", "5") as engine:
        with engine.attach() as market:
            wait_live(market)
            assert len(set(pids(engine).values())) == 1
        summary = engine.wait(120)
    assert engine.status == 0, engine.errors
    assert is_exact(summary), summary
    assert all(row["resyncs"] == 0 and row["dropped"] == 0 for row in summary["instruments"])
