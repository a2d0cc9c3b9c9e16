"""Workers killed again and again at random moments: exact and live again each time, neighbours untouched."""

import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest

from shm import Market, layout
from shm.layout import Kind
from shm.registry import generation_folder
from shm.segment import Segment, attach
from tests.system.running import Running, is_exact, running, states, wait_live
from tests.waiting import wait_for

KILLS = int(os.environ.get("SHARDBOOK_KILLS", "50"))
LIMIT_S = 60.0

pytestmark = pytest.mark.timeout(120 + 5 * KILLS)


def _has_applied(market: Market, symbol: str, wanted: int) -> bool:
    return market[symbol].status().applied >= wanted


def _is_replaced(engine: Running, symbol: str, pid: int) -> bool:
    return engine.worker_pid(symbol) not in (0, pid)


def _book(engine: Running, symbol: str) -> Segment:
    """To be looked at even when the engine has ended."""
    return attach(
        generation_folder(engine.folder, engine.registry.generation) / f"{symbol}.book", Kind.BOOK, symbol=symbol
    )


def _is_live(market: Market, symbol: str) -> bool:
    return market[symbol].status().live


def _not_live(market: Market, symbol: str) -> str:
    return f"{symbol} is live again: {states(market)}"


def test_workers_killed_come_back_exact(left_nothing: Path, engine_name: str, seed: int) -> None:
    rng = random.Random(seed)
    with running(engine_name, "--rate", "20000") as engine, engine.attach() as market:
        wait_live(market)
        symbols = list(market.symbols)
        books = {symbol: _book(engine, symbol) for symbol in symbols}
        kills, seen = dict.fromkeys(symbols, 0), dict.fromkeys(symbols, 0)
        for _ in range(KILLS):
            victim = rng.choice(symbols)
            pids = {symbol: engine.worker_pid(symbol) for symbol in symbols}
            # A random moment: after some number of further records.
            wanted = market[victim].status().applied + rng.randrange(1, 400)
            wait_for(partial(_has_applied, market, victim, wanted), LIMIT_S, f"more records of {victim}")
            os.kill(pids[victim], signal.SIGKILL)
            wait_for(partial(_is_replaced, engine, victim, pids[victim]), LIMIT_S, f"a successor of {victim}'s worker")
            wait_for(partial(_is_live, market, victim), LIMIT_S, partial(_not_live, market, victim))
            book = market[victim].book(allow_stale=True)
            assert book.sequence >= seen[victim], "the book went back"
            seen[victim] = book.sequence
            kills[victim] += 1
            others = [symbol for symbol in symbols if symbol != victim]
            assert {symbol: engine.worker_pid(symbol) for symbol in others} == {
                symbol: pids[symbol] for symbol in others
            }
        assert {symbol: market[symbol].status().restarts for symbol in symbols} == kills
        befell = [event for event in market.events().last(1000) if event.kind != "restart"]
        summary = engine.stop()
    dropped = {row["symbol"]: row["dropped"] for row in summary["instruments"] if row["dropped"]}
    assert not dropped, f"rings were full: {dropped}, {befell}"
    on_tape = {symbol: int(book.array("control")[layout.TAPE_COUNT]) for symbol, book in books.items()}
    assert on_tape == {row["symbol"]: row["trades"] for row in summary["instruments"]}
    assert is_exact(summary), summary  # its status may be 1: a slow machine compares too few books
    assert all(row["resyncs"] == 0 for row in summary["instruments"]), befell
