"""The I/O process, the fork server, the supervisor killed: what is stale says so, what is left ends, readers go on."""

import os
import random
import signal
import threading
from functools import partial
from pathlib import Path

import pytest

from shm import Market, ShardbookError
from shm.journal import JournalFile, journal_files
from shm.life import is_held
from tests.conftest import processes_of
from tests.system.running import running, wait_live
from tests.waiting import wait_for

SUPERVISOR_KILLS = int(os.environ.get("SHARDBOOK_SUPERVISOR_KILLS", "5"))


def test_engine_killed_books_are_stale_and_its_successor_goes_on(left_nothing: Path, engine_name: str) -> None:
    with running(engine_name, "--rate", "6000") as engine, engine.attach() as market:
        wait_live(market)
        workers = {symbol: engine.worker_pid(symbol) for symbol in market.symbols}
        generation = engine.registry.generation
        pid = engine.registry.engine_pid
        os.kill(pid, signal.SIGKILL)
        stale = {symbol: False for symbol in market.symbols}

        def all_were_stale() -> bool:
            for symbol in market.symbols:
                stale[symbol] |= not market[symbol].status().live
            return all(stale.values())

        wait_for(all_were_stale, 5, "every book read stale")
        wait_live(market)
        assert engine.registry.engine_pid != pid
        assert engine.registry.generation == generation
        assert {symbol: engine.worker_pid(symbol) for symbol in market.symbols} == workers
        assert all(market[symbol].status().dropped == 0 for symbol in market.symbols)
        summary = engine.stop()
    assert all(row["wrong_levels"] == 0 for row in summary["instruments"])
    assert all(row["records"] == row["applied"] + row["refused"] + row["dropped"] for row in summary["instruments"])


def test_fork_server_killed_no_worker_notices(left_nothing: Path, engine_name: str) -> None:
    with running(engine_name, "--rate", "6000") as engine, engine.attach() as market:
        wait_live(market)
        workers = {symbol: engine.worker_pid(symbol) for symbol in market.symbols}
        servers = [p for p in processes_of(left_nothing) if _command(p).endswith(b"-m\0workers\0")]
        forked = set(workers.values())
        (server,) = [pid for pid in servers if pid not in forked]
        os.kill(server, signal.SIGKILL)

        def replaced() -> bool:
            now = [p for p in processes_of(left_nothing) if _command(p).endswith(b"-m\0workers\0")]
            return any(pid not in forked and pid != server for pid in now)

        wait_for(replaced, 20, "a new fork server")
        assert {symbol: engine.worker_pid(symbol) for symbol in market.symbols} == workers
        # And the new one can be used.
        os.kill(workers["MNQ"], signal.SIGKILL)
        wait_for(lambda: engine.worker_pid("MNQ") not in (0, workers["MNQ"]), 20, "a successor from the new server")
        wait_live(market)
        summary = engine.stop()
    assert engine.status == 0, engine.errors
    assert all(row["dropped"] == row["resyncs"] == row["lost_trades"] == 0 for row in summary["instruments"])


def test_supervisor_killed_all_ends_and_a_reader_sees_the_next_engine(left_nothing: Path, engine_name: str) -> None:
    with running(engine_name, "--rate", "6000") as engine:
        market = engine.attach()
        wait_live(market)
        first = engine.registry
        os.kill(first.supervisor_pid, signal.SIGKILL)
        wait_for(lambda: not any(market[s].status().live for s in market.symbols), 5, "every book reads stale")
        engine.wait()
        assert engine.status == 1
        assert "the engine ended by itself" in engine.errors
        wait_for(lambda: not processes_of(left_nothing), 5, "no orphan")
        seen: list[int] = []
        reader = threading.Thread(target=_read_first_trade, args=(market, seen))
        # Its data folder is another, so its generation has the same number: only its supervisor tells them apart.
        with running(engine_name, "--rate", "6000") as second:
            second.attach().close()
            reader.start()
            wait_live(market)
            wait_for(lambda: seen, 20, "the iterator that was attached sees trades of the new engine")
            assert second.registry.generation == first.generation
            assert second.registry.engine != first.engine
            second.stop()
        reader.join(10)
        assert not reader.is_alive()
        with pytest.raises(ShardbookError):
            market["MNQ"].book()
        market.close()


@pytest.mark.timeout(200 + 30 * SUPERVISOR_KILLS)
def test_supervisors_killed_again_and_again_leave_no_orphan_and_a_whole_journal(
    left_nothing: Path, engine_name: str, tmp_path: Path, seed: int
) -> None:
    rng, generations = random.Random(seed), set()
    for _ in range(SUPERVISOR_KILLS):
        with running(engine_name, "--rate", "6000", data=tmp_path) as engine, engine.attach() as market:
            wait_live(market)
            recorder = engine.folder / "recorder.lock"
            wait_for(partial(is_held, recorder), 20, "the recorder")
            generations.add(engine.registry.generation)
            wanted = market["MNQ"].status().applied + rng.randrange(1, 2000)
            wait_for(partial(_has_applied, market, wanted), 20, "more records")
            os.kill(engine.registry.supervisor_pid, signal.SIGKILL)
            engine.wait()
            wait_for(lambda: not processes_of(left_nothing), 5, "no orphan")
    with running(engine_name, "--rate", "6000", data=tmp_path) as engine, engine.attach() as market:
        wait_live(market)
        engine.stop()  # what was left of the others went with its start, and what is its own goes now
    assert len(generations) == SUPERVISOR_KILLS
    recorded = set()
    for path in journal_files(tmp_path / "journal"):
        with JournalFile(path) as file:
            assert list(file.verify()) == []
            assert file.blocks
            assert file.name is not None
            recorded.add(file.name.generation)
    assert recorded >= generations


def _has_applied(market: Market, wanted: int) -> bool:
    return market["MNQ"].status().applied >= wanted


def _read_first_trade(market: Market, seen: list[int]) -> None:
    for trade in market["MNQ"].tape():
        seen.append(trade.sequence)
        return


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
