"""Readers that come late: all trades since a time that memory has long overwritten, and then live, none twice."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.simulator.prints import PrintCounts, Prints
from engine.simulator.truth import Truth
from shm import Incomplete, Instrument, Past, Tape, layout
from shm.layout import NEVER_NS, book_regions
from tests.system.recorded import another, recorder_pid
from tests.system.running import is_exact, running, wait_live
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(300)

LIMIT_S = 120.0
TAPE_ROWS = book_regions(1, 1)["tape"].shape[0]
SYMBOLS = ("MES", "MNQ")
ARGUMENTS = ("--symbols", ",".join(SYMBOLS), "--rate", "6000")


def _seen(frame: pl.DataFrame) -> np.ndarray:
    return frame.select("venue_ns", "price_ticks", "size_units", "side").to_numpy()


def _has_traded(handle: Instrument, wanted: int) -> bool:
    return handle.status().trades >= wanted


def _check_keys(frame: pl.DataFrame) -> None:
    keys = frame.select("sequence", "place")
    assert keys.equals(keys.unique(maintain_order=True))
    assert keys.equals(keys.sort("sequence", "place"))


def _check_against_memory(frame: pl.DataFrame, tape: Tape) -> None:
    """Wherever memory still has a row, it is the same one."""
    held = tape.last(TAPE_ROWS)
    held = held[(held["sequence"] > max(held["sequence"][0], frame["sequence"][0]))]
    held = held[held["sequence"] <= frame["sequence"][-1]]
    assert len(held)
    both = frame.filter(pl.col("sequence").is_between(int(held["sequence"][0]), int(held["sequence"][-1])))
    for name in held.dtype.names or ():
        assert both[name].to_list() == held[name].tolist(), name


def test_a_reader_that_comes_late_has_every_trade_and_goes_on_live(
    left_nothing: Path, tmp_path: Path, engine_name: str
) -> None:
    with running(engine_name, *ARGUMENTS, data=tmp_path) as engine, engine.attach() as market:
        wait_live(market)
        truth_folder = engine.registry.truth_folder
        assert truth_folder is not None
        truth = Truth.open(truth_folder)
        recorder = recorder_pid(engine)
        frames: dict[str, list[pl.DataFrame]] = {}
        tapes: dict[str, Tape] = {}
        for symbol in SYMBOLS:
            wait_for(partial(_has_traded, market[symbol], 2000), LIMIT_S, "trades")
            tapes[symbol] = market[symbol].tape()
            frames[symbol] = [tapes[symbol].since(0, allow_holes=True)]
            assert len(frames[symbol][0]) >= 2000
        os.kill(recorder, signal.SIGKILL)
        another(engine, recorder, "recorder_pid")
        for symbol in SYMBOLS:
            wanted = market[symbol].status().trades + 500
            wait_for(partial(_has_traded, market[symbol], wanted), LIMIT_S, "more trades")
            _check_later(market[symbol], frames[symbol][0])
        summary = engine.stop()
        for symbol, tape in tapes.items():
            frames[symbol].append(pl.DataFrame(_columns(tape)))
    assert is_exact(summary), summary
    for symbol, found in frames.items():
        joined = pl.concat([found[0].drop("wall_ns"), found[1]])
        _check_keys(joined)
        prints = Prints(truth.of_symbol(symbol))
        prints.judge(_seen(joined))
        prints.finish()
        assert prints.counts == PrintCounts(compared=len(joined), cut=prints.counts.cut)
        with Past(tmp_path / "journal") as past:
            all_of_it = past.trades(symbol, 0, allow_holes=True)
        assert all_of_it.drop("wall_ns").equals(joined)


def _columns(tape: Tape) -> dict[str, np.ndarray]:
    rows = tape.read(TAPE_ROWS)
    assert tape.lost == 0
    return {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}


def _check_later(handle: Instrument, before: pl.DataFrame) -> None:
    """From the middle of what is known, and of quotes too: nothing is missing, and memory says the same."""
    start_ns = int(before["wall_ns"][len(before) // 2])
    frame = handle.tape().since(start_ns)
    _check_keys(frame)
    _check_against_memory(frame, handle.tape())
    first = before.filter(pl.col("wall_ns") >= start_ns)
    assert frame["sequence"][: len(first)].to_list() == first["sequence"].to_list()
    quotes = handle.quotes()
    changes = quotes.since(start_ns)
    held = quotes.last(1000)
    held = held[(held["sequence"] > changes["sequence"][0]) & (held["sequence"] <= changes["sequence"][-1])]
    assert len(held)
    assert changes["sequence"].tail(len(held)).to_list() == held["sequence"].tolist()
    assert changes["bid_ticks"].tail(len(held)).to_list() == held["bid_ticks"].tolist()
    with pytest.raises(Incomplete, match="1970-01-01"):
        handle.tape().since(0)


def test_where_memory_was_lost_the_journal_has_the_trades_of_before(
    left_nothing: Path, tmp_path: Path, engine_name: str
) -> None:
    with running(engine_name, *ARGUMENTS, data=tmp_path) as engine, engine.attach() as market:
        wait_live(market)
        recorder_pid(engine)
        wait_for(partial(_has_traded, market["MNQ"], 1000), LIMIT_S, "trades")
        tape = market["MNQ"].tape()
        before = tape.since(0, allow_holes=True)
        with Past(tmp_path / "journal") as past:
            wait_for(partial(_is_written, past, int(before["sequence"][-1])), LIMIT_S, "it is written down")
        os.kill(engine.registry.supervisor_pid, signal.SIGKILL)
        engine.wait()
    with running(engine_name, *ARGUMENTS, data=tmp_path) as engine, engine.attach() as market:
        wait_live(market)
        wait_for(partial(_has_traded, market["MNQ"], 100), LIMIT_S, "trades")
        tape = market["MNQ"].tape()
        frame = tape.since(int(before["wall_ns"][0]))  # whole: who records ends in order, also without its supervisor
        assert frame.head(len(before)).drop("wall_ns").equals(before.drop("wall_ns"))
        after = frame.filter(pl.col("sequence") >= engine.registry.generation << layout.GENERATION_SHIFT)
        assert len(after) >= 100
        _check_keys(frame)
        _check_against_memory(after, tape)
        summary = engine.stop()
    assert is_exact(summary), summary


def _is_written(past: Past, sequence: int) -> bool:
    return past.rows("MNQ", "tape", NEVER_NS).through.sequence >= sequence
