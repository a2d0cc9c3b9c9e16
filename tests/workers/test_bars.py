"""Bars of random sessions, with late, repeated and out-of-order trades, gaps and clock jumps, against the model."""

import os
import random
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.bars import highest
from shm.layout import BarFlag, Reason
from tests import model
from tests.waiting import wait_for
from tests.workers.bar_rig import BEGIN_NS, SECOND, SLACK_NS, TICKS, BarRig, cut, of_bar, of_row, week_of
from workers import pump

SESSIONS = int(os.environ.get("SHARDBOOK_BAR_SESSIONS", "25"))  # that are held against the model
SUMMED_SESSIONS = 40 * SESSIONS
MAX_TRADES = 2000
GRACE_NS = 250_000_000
LENGTHS = {"1s": 1, "5s=flat": 5, "15s=marked": 15, "1m": 60}
COUNTED = {"7tick": "trades", "40vol": "volume", "1000000usd": "notional"}


class Pair:
    """The worker and the model, told the same."""

    def __init__(self, folder: Path, *, sums_only: bool = False) -> None:
        """`sums_only`: no model, which takes most of the time; `check` looks at sums alone."""
        self.rig = BarRig(folder, " ".join((*LENGTHS, *COUNTED)), hot_rows=1 << 13)
        self.time = model.VenueClock(SLACK_NS)
        self.bars = [
            model.Bars(cut(length), GRACE_NS, name.partition("=")[2] or "none")
            for name, length in LENGTHS.items()
            if not sums_only
        ]
        self.data_wall_ns = 0
        self.sums = Counter(trades=0, volume=0, buy_volume=0, notional=0)
        self.heard()
        self.snapshot()

    def heard(self, stamp_ns: int | None = None) -> None:
        self.time.heard(self.rig.wall_ns, self.rig.steady_ns, stamp_ns)

    def snapshot(self) -> None:
        self.rig.snapshot()
        self.heard()
        self.data_wall_ns = self.rig.wall_ns
        for bars in self.bars:
            bars.mend(self.time.now_ns)

    def trades(self, trades: list[tuple[int, int, int, int]]) -> None:
        self.rig.trades(trades)
        self.heard(trades[-1][0])
        self.data_wall_ns = self.rig.wall_ns
        for _, ticks, size, side in trades:
            self.sums.update(trades=1, volume=size, buy_volume=size * (side == 0), notional=ticks * size)
        for bars in self.bars:
            bars.record(trades)

    def clock(self) -> None:
        self.rig.clock()
        self.heard()
        for bars in self.bars:
            bars.clock(self.time.now_ns)

    def gap(self) -> None:
        self.rig.gap()
        self.heard()
        for bars in self.bars:
            bars.gap(self.time.now_ns - max(self.rig.wall_ns - self.data_wall_ns, 0))

    def check(self) -> None:
        self.rig.drain()
        assert self.rig.memory.state["refused"] == 0
        for i, bars in enumerate(self.bars):
            assert [of_row(row) for row in self.rig.rows(i)] == [of_bar(bar) for bar in bars.rows]
            wanted = sorted(of_bar(bar) for bar in bars.forming.values())
            assert sorted(of_row(row) for row in self.rig.forming(i)) == wanted
        for i in range(len(LENGTHS) + len(COUNTED)):
            newest = highest(np.concatenate((self.rig.rows(i), self.rig.forming(i))))
            assert {name: int(newest[name].sum()) for name in self.sums} == self.sums
        for i, measure in enumerate(COUNTED.values(), len(LENGTHS)):
            rows, forming = self.rig.rows(i), self.rig.forming(i)
            assert len(set(rows["start_ns"].tolist())) == len(rows)
            reach = {"trades": 7, "volume": 40, "notional": 4_000_000}[measure]
            assert (rows[measure] >= reach).all()
            assert (forming[measure] < reach).all()


def play(pair: Pair, rng: random.Random, records: int, between: Any = None, most_trades: int = 5) -> None:
    """A session: mostly trades of now, some late, some twice, some in the wrong order; gaps and jumps of the clock."""
    rig = pair.rig
    for _ in range(records):
        rig.later(rng.choice((1, 20, 100, 400)) * 1_000_000)
        what = rng.random()
        if what < 0.55:
            trades = []
            for _ in range(rng.randint(1, most_trades)):
                late = rng.choice((0, 0, 0, 0, 0.3, 1.5, 8, 200)) if rng.random() < 0.3 else 0
                ahead = rng.choice((2, 70)) if rng.random() < 0.02 else 0
                ns = rig.wall_ns - int((late - ahead) * SECOND) - 20_000_000
                trades.append((ns // 100 * 100, TICKS + rng.randrange(-9, 9), rng.randrange(0, 9), rng.randrange(2)))
            if rng.random() < 0.1:
                trades.append(trades[0])
            pair.trades(trades)
        elif what < 0.97:
            pair.clock()
        elif what < 0.985:
            pair.gap()
            for _ in range(rng.randrange(4)):
                rig.later(rng.randrange(3 * SECOND))
                pair.clock()
            pair.snapshot()
        else:
            rig.wall_ns += rng.choice((-7, -1, 1, 30)) * SECOND
        if between is not None:
            between()


def test_random_sessions_equal_the_model_to_the_unit(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for n in range(SESSIONS):
        pair = Pair(tmp_path / str(n))
        play(pair, rng, rng.randrange(20, 400))
        pair.check()
        assert pair.rig.hot is not None
        pair.rig.hot.close()


@pytest.mark.timeout(600)
def test_what_was_traded_is_in_the_bars_of_every_timeframe(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for n in range(SUMMED_SESSIONS):
        pair = Pair(tmp_path / str(n), sums_only=True)
        trades = rng.randrange(MAX_TRADES)
        while pair.sums["trades"] < trades:
            play(pair, rng, 10, most_trades=20)
        pair.check()
        assert pair.rig.hot is not None
        pair.rig.hot.close()
        shutil.rmtree(tmp_path / str(n))


def test_a_worker_ended_between_any_two_batches_changes_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    pair = Pair(tmp_path)

    def between() -> None:
        if rng.random() < 0.05:
            pair.rig.drain()
        if rng.random() < 0.03:
            pair.rig.restart()

    play(pair, rng, 400, between)
    pair.check()


def test_sixty_seconds_fold_into_their_minute(tmp_path: Path, seed: int) -> None:
    """Also when some come late: then of both the highest revision counts. Open and close are by arrival, of which only
    trades in order say the same."""
    rng = random.Random(seed)
    for in_order in (True, False):
        rig = BarRig(tmp_path / str(in_order), "1s 1m")
        rig.snapshot()
        for _ in range(900):
            rig.later(rng.randrange(400_000_000))
            late = 0 if in_order else rng.choice((0, 0, 0, 1, 90)) * SECOND
            ns = (rig.wall_ns - late) // 100 * 100
            rig.trades([(ns, TICKS + rng.randrange(-9, 9), rng.randrange(1, 9), rng.randrange(2))])
            rig.clock()
        rig.drain()
        minutes, seconds = highest(rig.rows(1)), highest(rig.rows(0))
        assert len(minutes) > 1
        for minute in minutes:
            inside = seconds[(minute["start_ns"] <= seconds["start_ns"]) & (seconds["start_ns"] < minute["end_ns"])]
            if in_order:
                assert (minute["open"], minute["close"]) == (inside["open"][0], inside["close"][-1])
            assert (minute["high"], minute["low"]) == (inside["high"].max(), inside["low"].min())
            for name in ("volume", "buy_volume", "sell_volume", "trades", "notional"):
                assert minute[name] == inside[name].sum()


def test_a_full_ring_counts_what_it_loses_and_marks_the_next_bar(tmp_path: Path) -> None:
    rig = BarRig(tmp_path, "1s", hot_rows=256)
    rig.snapshot()
    size = int(rig.hot.array("frames")[0]["rows"])  # type: ignore[union-attr]

    def second() -> None:
        rig.trades([(rig.wall_ns, TICKS, 1, 0)])
        rig.later(2 * SECOND)
        rig.clock()
        rig.drain()

    for _ in range(size + 3):
        second()
    slot = rig.slot(0)
    assert (int(slot["count"]), int(slot["lost"])) == (size, 3)
    control = rig.hot.array("control")  # type: ignore[union-attr]
    assert control[layout.bars_line(0) : layout.bars_line(0) + 2].tolist() == [size, 3]
    before = rig.rows(0).tobytes()
    control[layout.sealed_line(0)] = 5  # as the keeper will
    second()
    second()
    rows = rig.rows(0)
    assert rows[:-2].tobytes() == before[2 * layout.BAR.itemsize :]
    assert [int(row["flags"]) for row in rows[-2:]] == [
        int(BarFlag.COMPLETE | BarFlag.SUSPECT),
        int(BarFlag.COMPLETE),
    ]


class Replayed(BarRig):
    """A rig whose worker replays: three hundred bars wait in its ring, of which 256 have room."""

    def __init__(self, folder: Path, hot_rows: int = 256) -> None:
        super().__init__(folder, "1m 1s", hot_rows=hot_rows)
        self.snapshot()
        self.drain()
        self.begin()
        for _ in range(300):
            self.trades([(self.wall_ns, TICKS, 1, 0)])
            self.later(2 * SECOND)
            self.clock()
        self.engine.publish()

    def begin(self) -> None:
        self.memory.notes[pump.REPLAYED] = 1

    def go_on(self) -> int:
        """Until the worker can do no more: what it says then."""
        while (code := pump.pump(self.memory)) not in (pump.IDLE, pump.FULL):
            self.worker.handle(code)  # a successor without a checkpoint begins with the contract
        return code

    def seal_to(self, number: int) -> None:
        self.hot.array("control")[layout.sealed_line(1)] = number  # type: ignore[union-attr]

    @property
    def counts(self) -> tuple[int, int]:
        """Closed, and lost."""
        return int(self.slot(1)["count"]), int(self.slot(1)["lost"])


def test_a_replay_waits_while_the_keeper_has_to_seal(tmp_path: Path) -> None:
    rig, roomy = Replayed(tmp_path / "full"), Replayed(tmp_path / "roomy", hot_rows=512)
    assert roomy.go_on() == pump.IDLE
    assert rig.go_on() == pump.FULL
    assert rig.counts == (205, 0)  # four fifths: see tests/engine/keeper/test_shelf.py
    words = rig.ring.array("words")
    assert words[layout.BEGUN] == 0, "a death now would be laid at a record's door"
    before = int(words[layout.HEARTBEAT]), int(rig.memory.state["position"][0])
    assert rig.go_on() == pump.FULL
    assert (int(words[layout.HEARTBEAT]), int(rig.memory.state["position"][0])) == (before[0] + 1, before[1])
    rig.seal_to(1)  # and the next bar takes what became free
    assert rig.go_on() == pump.FULL
    assert rig.counts == (206, 0)
    rig.restart()  # whoever comes after a kill waits too
    rig.begin()
    assert rig.go_on() == pump.FULL
    assert rig.counts == (206, 0)
    rig.seal_to(128)
    assert rig.go_on() == pump.IDLE
    assert rig.counts == roomy.counts == (300, 0)
    assert rig.rows(1).tobytes() == roomy.rows(1)[-256:].tobytes()


def test_without_a_replay_nobody_waits(tmp_path: Path) -> None:
    rig = Replayed(tmp_path)
    rig.memory.notes[pump.REPLAYED] = 0
    assert rig.go_on() == pump.IDLE
    assert rig.counts == (256, 44)


def test_who_is_to_end_waits_for_the_keeper_within_limits(tmp_path: Path) -> None:
    rig = Replayed(tmp_path)
    rig.worker.finish(by_s=time.monotonic())
    assert rig.counts == (205, 0)
    assert rig.memory.ring[layout.HEAD] == rig.memory.state["position"][0] < rig.memory.ring[layout.TAIL]
    rig.restart()  # and its successor goes on from there
    rig.begin()

    def seal() -> None:
        wait_for(lambda: rig.counts[0] == 206, 20, "the wait")
        rig.seal_to(128)

    keeper = threading.Thread(target=seal)
    rig.seal_to(1)
    keeper.start()
    rig.worker.finish(by_s=time.monotonic() + 20)
    keeper.join()
    assert rig.counts == (300, 0)
    assert rig.memory.ring[layout.HEAD] == rig.memory.ring[layout.TAIL]


def test_days_weeks_and_months_follow_the_session_table(tmp_path: Path) -> None:
    rig = BarRig(tmp_path, "1d 1w 1mo 1h")
    rig.snapshot()
    monday = 20780  # 2026-11-23; BEGIN_NS is the Sunday before
    assert monday - 1 == BEGIN_NS // (86_400 * SECOND)
    rig.trades([(rig.wall_ns, TICKS, 1, 0)])
    rig.drain()
    assert [int(rig.slot(i)["unplaced"]) for i in range(4)] == [1, 1, 1, 0]
    for week in range(-5, 8):
        rig.sessions(week_of(monday + 7 * week))
    volumes: dict[int, int] = {}
    for session in np.concatenate([week_of(monday + 7 * week) for week in range(2)]):
        for ns in (int(session["open_ns"]), int(session["close_ns"]) - 100):
            rig.later(ns - rig.wall_ns)
            rig.clock()
            rig.trades([(ns, TICKS, 3, 0)])
            day = int(session["trading_day"])
            volumes[day] = volumes.get(day, 0) + 3
    rig.restart()
    rig.drain()
    days = [*rig.rows(0), *rig.forming(0)]
    assert [(int(row["trading_day"]), int(row["volume"])) for row in days] == list(volumes.items())
    wednesday = days[2]
    assert int(wednesday["end_ns"] - wednesday["start_ns"]) == 23 * 3600 * SECOND
    weeks = [*rig.rows(1), *rig.forming(1)]
    assert [(int(row["trading_day"]), int(row["volume"])) for row in weeks] == [(monday, 36), (monday + 7, 36)]
    months = [*rig.rows(2), *rig.forming(2)]
    november = sum(volume for day, volume in volumes.items() if day <= 20787)
    assert [int(row["volume"]) for row in months] == [november, 72 - november]
    assert days[0]["flags"] & BarFlag.SUSPECT  # trades of before the table were of no day
    assert not days[1]["flags"] & BarFlag.SUSPECT
    assert weeks[0]["flags"] & months[0]["flags"] & BarFlag.SUSPECT
    assert not (weeks[1]["flags"] | months[1]["flags"]) & BarFlag.SUSPECT
    assert {int(row["trading_day"]) for row in rig.rows(3)} == {monday - 1, *list(volumes)[:-1]} | set(volumes)


@pytest.mark.parametrize("rows", [np.zeros(2, layout.SESSION), week_of(20780)[::-1]])
def test_what_is_no_table_changes_none(tmp_path: Path, rows: Any) -> None:
    rig = BarRig(tmp_path, "1d")
    rig.snapshot()
    rig.sessions(np.ascontiguousarray(rows))
    rig.trades([(rig.wall_ns, TICKS, 1, 0)])
    rig.drain()
    assert int(rig.slot(0)["unplaced"]) == 1


def test_a_roll_marks_the_bar_that_has_the_join(tmp_path: Path) -> None:
    rig = BarRig(tmp_path, "1m 3tick")
    rig.snapshot()
    rig.trades([(rig.wall_ns, TICKS, 1, 0)] * 3)
    rig.gap(Reason.ROLL)
    rig.put(lambda: rig.configure(contract="CON.F.US.MNQ.H27"))
    rig.drain()
    assert rig.forming(0)["flags"][0] & BarFlag.JOINED
    assert int(rig.slot(1)["pending"]) == BarFlag.JOINED
