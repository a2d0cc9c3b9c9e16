"""The judge of books: what it calls wrong, what it skips and what it could not see."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from engine.simulator import truth as truth_files
from engine.simulator.channel import Channel
from engine.simulator.contracts import CONTRACTS
from engine.simulator.flow import Ints
from engine.simulator.generated import generate
from engine.simulator.judge import Judge, wrong_levels
from engine.simulator.rules import checkpoints
from shm import Market
from shm.errors import Stale
from shm.layout import LEVEL, TRADE, Rows
from shm.values import PRICED_TRADE

NOW_NS = 1_795_357_980_000_000_000
TRUE = np.array([(10, 5), (9, 4), (7, 3)], np.int64)


def levels(*rows: tuple[int, int]) -> Rows:
    return np.array(list(rows), LEVEL)


@pytest.mark.parametrize(
    ("shown", "complete", "wrong"),
    [
        (levels((10, 5), (9, 4), (7, 3)), True, 0),
        (levels((10, 5), (9, 4)), False, 0),
        (levels((10, 5), (9, 4)), True, 1),
        (levels((10, 5), (9, 3)), False, 1),
        (levels((9, 4), (7, 3)), False, 2),
        (levels((10, 5), (9, 4), (7, 3), (6, 1)), False, 1),
        (levels(), False, 3),
    ],
)
def test_wrong_levels(shown: Rows, complete: bool, wrong: int) -> None:
    assert wrong_levels(shown, complete, TRUE) == wrong


class FakeInstrument:
    """An instrument whose book is what the test says."""

    def __init__(self) -> None:
        self.live = True
        self.shown: Any = None
        self.rows = np.zeros(0, TRADE)

    def book(self) -> Any:
        if not self.live:
            raise Stale("not live")
        return self.shown

    depth = book

    def status(self) -> Any:
        return SimpleNamespace(trades=0)

    def tape(self) -> Any:
        return SimpleNamespace(lost=0, made=1, last=lambda count: np.zeros(0, PRICED_TRADE), read_ticks=self._read)

    def _read(self, max_rows: int) -> Rows:
        rows, self.rows = self.rows, np.zeros(0, TRADE)
        return rows


class Stage:
    """A channel, an instrument and their judge."""

    def __init__(self, folder: Path) -> None:
        flow = generate(CONTRACTS["MNQ"], 8, depth_records=600)
        marks = checkpoints(flow)
        log = truth_files.write(folder, [(flow, marks)])["MNQ"]
        self.channel = Channel(flow, marks, log, NOW_NS)
        self.instrument = FakeInstrument()
        self.judge = Judge(cast(Market, _Market(self.instrument)), folder)
        self.truth = self.judge._witnesses["MNQ"]._truth
        self.counts = self.judge.counts["MNQ"]

    def show(self, stamp_ns: int, sides: tuple[Ints, Ints], depth: int = 20) -> None:
        bids, asks = (np.ascontiguousarray(side[:depth]).view(LEVEL).reshape(-1) for side in sides)
        self.instrument.shown = SimpleNamespace(
            bid_ticks=bids, ask_ticks=asks, bids_complete=False, asks_complete=False, venue_ns=stamp_ns
        )


class _Market:
    symbols = ("MNQ", "OTHER")

    def __init__(self, instrument: FakeInstrument) -> None:
        self._instrument = instrument

    def __getitem__(self, symbol: str) -> FakeInstrument:
        return self._instrument


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "truth")


def test_a_book_is_judged_at_its_own_stamp(stage: Stage) -> None:
    stage.channel.advance(50, NOW_NS)
    stamp_ns = NOW_NS + 3000
    stage.show(stamp_ns, stage.truth.book_at(stamp_ns))
    stage.judge.sample("MNQ")
    assert (stage.counts.compared_samples, stage.counts.compared_levels, stage.counts.wrong_levels) == (1, 40, 0)
    stage.show(stamp_ns, stage.truth.book_at(NOW_NS))
    stage.judge.sample()
    assert stage.counts.wrong_levels > 0


def test_a_stale_book_is_skipped_and_counted(stage: Stage) -> None:
    stage.instrument.live = False
    stage.judge.sample()
    assert (stage.counts.skipped_stale, stage.counts.compared_samples) == (1, 0)


def test_a_live_book_that_was_never_sent_is_wrong_in_all_levels(stage: Stage) -> None:
    stage.show(NOW_NS + 7, stage.truth.book_at(NOW_NS))
    stage.judge.sample()
    assert stage.counts.wrong_levels == 40


def test_the_end_is_compared_in_full_with_what_was_sent_last(stage: Stage) -> None:
    stage.channel.count_trade_clients(1)
    stage.channel.advance(50, NOW_NS)
    early = stage.truth.book_at(NOW_NS + 100)
    stage.show(NOW_NS + 100, early, depth=500)
    stage.judge.finish()
    assert (stage.counts.wrong_levels, stage.counts.unfinished) == (0, 1)
    assert stage.counts.lost_trades == len(stage.truth.trades_sent(0, 51)) > 0


def test_the_tape_is_followed(stage: Stage) -> None:
    stage.channel.count_trade_clients(1)
    stage.channel.advance(300, NOW_NS)
    sent = stage.truth.trades_sent(0, 301)
    rows = np.zeros(len(sent), TRADE)
    for name in ("venue_ns", "price", "size", "side"):
        rows[name] = sent[name]
    rows["sequence"] = np.arange(len(sent))
    stage.instrument.rows = rows
    stage.judge.follow()
    stage.show(stage.channel.log.last_ns, stage.truth.book_at(stage.channel.log.last_ns), depth=500)
    stage.judge.finish()
    counts = stage.counts
    assert (counts.prints.compared, counts.lost_trades, counts.wrong_trades, counts.unfinished) == (len(sent), 0, 0, 0)
