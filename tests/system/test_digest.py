"""What a live engine came to, and what the replay of its journal comes to: the same, though workers were killed."""

import os
import random
import signal
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from engine.config import load_symbols
from engine.replay_digest import Ended, digest
from shm import Market, layout
from shm.bars import Bars
from shm.registry import generation_folder
from tests.system.recorded import check_whole, recorder_pid, rings_of, streams
from tests.system.running import Running, is_exact, running, wait_live
from tests.system.test_replay import ended, replaying
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(300)  # two engines, one after the other

SYMBOLS = ("MES", "MNQ")
KILLS = 8
LIMIT_S = 30.0


@pytest.fixture
def symbols_dir(tmp_path: Path) -> Path:
    """Instruments of which no bars are asked of the venue: nobody records those."""
    folder = tmp_path / "symbols"
    folder.mkdir()
    for symbol in SYMBOLS:
        (folder / f"{symbol}.toml").write_text('contract = "front"\nhistory_bars = 0\n')
    return folder


def _is_replaced(engine: Running, symbol: str, pid: int) -> bool:
    return engine.worker_pid(symbol) not in (0, pid)


def _has_traded(market: Market, symbol: str, wanted: int) -> bool:
    return market[symbol].status().trades >= wanted


def test_a_replay_of_its_journal_comes_to_what_the_live_engine_came_to(
    left_nothing: Path, tmp_path: Path, symbols_dir: Path, engine_name: str, seed: int
) -> None:
    chance, data = random.Random(seed), tmp_path / "data"
    arguments = ("--symbols-dir", str(symbols_dir))
    with running(engine_name, "--rate", "10000", *arguments, data=data) as engine, engine.attach() as market:
        here = generation_folder(engine.folder, engine.registry.generation)
        books = [Ended(here, each) for each in load_symbols(symbols_dir)]
        wait_live(market)
        rings = rings_of(engine)
        recorder_pid(engine)
        for _ in range(KILLS):
            symbol = chance.choice(SYMBOLS)
            wanted = market[symbol].status().trades + chance.randrange(1, 1000)
            wait_for(partial(_has_traded, market, symbol, wanted), LIMIT_S, "more trades")
            pid = engine.worker_pid(symbol)
            os.kill(pid, signal.SIGKILL)
            wait_for(partial(_is_replaced, engine, symbol, pid), LIMIT_S, "a successor")
        wait_live(market)
        wait_for(lambda: len(market["MNQ"].bars("1s").last(3)) == 3, LIMIT_S, "bars that are closed")
        summary = engine.stop()
    assert is_exact(summary), summary
    recorded = streams(data / "journal")
    for symbol, ring in rings.items():
        assert check_whole(recorded[symbol]) == int(ring.array("words")[layout.TAIL])
    again, name = tmp_path / "again", f"{engine_name}-replay"
    played = ("--speed", "max", "--digest", "--data", str(again), *arguments)
    with replaying(name, data / "journal", *played) as process:
        found = ended(process)
    assert found == digest(books, again)  # books and trades of the live engine, bars of the replay
    _check_bars(data, again)


def _check_bars(live: Path, again: Path) -> None:
    """Every bar, but those that the live engine took from the venue: those in which it was started."""
    for settings in load_symbols(live.parent / "symbols"):
        for name in settings.timeframes:
            bars, played = (Bars(folder, settings.symbol, name) for folder in (live, again))
            assert bars.forming().tolist() == played.forming().tolist(), name
            own = bars.to_polars().filter(revision=0)
            assert bars.to_polars()["start"].equals(played.to_polars()["start"]), name
            assert len(own) >= len(bars.to_polars()) - 1, name
            assert own.equals(played.to_polars().filter(pl.col("start").is_in(own["start"].implode()))), name
