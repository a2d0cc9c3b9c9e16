"""The engine is killed while the venue goes on: its bars of that time come from the venue's history, each as it was."""

import os
import signal
import time
from pathlib import Path

import polars as pl

from engine.simulator.bars import CLOSE, HIGH, LOW, OPEN, START, VOLUME, of_prints
from engine.simulator.truth import ContractTruth, Truth
from shm import layout
from shm.bars import FILE_NAME, Bars, HotBars
from shm.bars_frame import Hot, scan
from shm.layout import BarFlag, Kind
from shm.registry import generation_folder
from shm.segment import attach
from tests.system.running import all_live, running, wait_live
from tests.waiting import wait_for

LIMIT_S = 60.0
Bar = tuple[float, ...]


def bars_of(data: Path) -> pl.DataFrame:
    """All seconds, hot or the venue's, each once."""
    folder = data / "bars" / "MNQ"
    hot = HotBars(folder / FILE_NAME, "MNQ")
    rows = hot.rows(0, hot.sealed_to(0), hot.slot(0).end)
    return scan(folder / "1sec", "1s", hot=Hot(rows, hot.scale)).collect()


def seconds_in(truth: ContractTruth, end_s: int) -> dict[int, Bar]:
    """What was traded in each second before `end_s`."""
    sent = truth.trades_sent(0, truth.rows)
    bars = of_prints(sent["venue_ns"] // 10**9, sent["price"], sent["size"])
    columns = (OPEN, HIGH, LOW, CLOSE)
    return {
        row[START]: (*(row[column] * 0.25 for column in columns), row[VOLUME])
        for row in bars.tolist()
        if row[START] < end_s
    }


def has(flag: BarFlag) -> pl.Expr:
    return pl.col("flags") & int(flag) != 0


def is_whole_after(bars: Bars, wall_ns: int) -> bool:
    (newest,) = bars.last(1)
    return bool(newest["start_ns"] > wall_ns and newest["flags"] == BarFlag.COMPLETE)


def test_what_an_outage_left_out_is_fetched_and_is_as_it_was(
    left_nothing: Path, tmp_path: Path, engine_name: str
) -> None:
    folder, data = tmp_path / "symbols", tmp_path / "data"
    folder.mkdir()
    (folder / "MNQ.toml").write_text('calendar = "24/7"\ntimeframes = ["1s"]\nhistory_bars = 0')
    with running(engine_name, "--symbols-dir", str(folder), data=data) as engine, engine.attach() as market:
        wait_live(market)
        live, first = market["MNQ"].bars("1s"), engine.registry
        wait_for(lambda: len(live.last(3)) == 3, LIMIT_S, "bars that are closed")
        os.kill(first.engine_pid, signal.SIGKILL)
        wait_for(lambda: engine.registry.engine_pid not in (0, first.engine_pid), LIMIT_S, "another engine")
        wait_for(lambda: all_live(market), LIMIT_S, "live again")
        back_ns = time.time_ns()
        wait_for(lambda: is_whole_after(live, back_ns), LIMIT_S, "a second of which all is known")
        end_s = int(live.last(1)["end_ns"][0]) // 10**9
        assert first.truth_folder is not None
        truth = seconds_in(Truth.open(first.truth_folder).of_symbol("MNQ"), end_s)

        def told() -> dict[int, Bar]:
            found = bars_of(data).filter(pl.col("start").dt.epoch("s") < end_s)
            prices = found.select(pl.col("start").dt.epoch("s"), "open", "high", "low", "close", "volume")
            return {start: tuple(bar) for start, *bar in prices.iter_rows()}

        wait_for(lambda: told() == truth, LIMIT_S, "every second as it was")
        now = bars_of(data).filter(pl.col("start").dt.epoch("s") < end_s)
        repaired = now.filter(has(BarFlag.REPAIRED))
        assert len(repaired) >= 2, "the first of all, which began before the engine did, and those of the outage"
        assert not len(now.filter(has(BarFlag.SUSPECT)))
        assert (repaired["revision"] > 0).any()
        counted = attach(generation_folder(engine.folder, first.generation) / "keeper", Kind.KEEPER).array("words")
        words = dict(zip(layout.KEEPER_WORDS, counted[:: layout.WORDS_A_LINE].tolist(), strict=False))
        assert words["added_rows"] + words["repaired_rows"] >= len(repaired)
        assert engine.stop()["totals"]["wrong_levels"] == 0
