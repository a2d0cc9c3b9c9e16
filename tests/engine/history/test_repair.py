"""engine/history/repair.py: after an outage each bar is there once, marked, and the same is not asked for for ever."""

import asyncio
import random

import numpy as np

from engine.budget import Limit
from engine.history.fetching import SETTLED_NS, History
from engine.history.page import read
from engine.history.planning import Window
from engine.history.repair import repair
from engine.history.stitching import newest
from shm.layout import BAR, BarFlag
from shm.timeframe import parse
from tests.engine.history.kept_bars import MNQ, SECOND_NS, TICK, KeptBars, sent

START_S = 1_795_300_000
SECONDS = 200
CASES = 60
SESSION = np.dtype([("open_ns", "<i8"), ("close_ns", "<i8"), ("trading_day", "<i4"), ("rth", "<i4")])


def a_history(venue: KeptBars, age_s: int) -> History:
    """At a time in which the newest of the seconds is so old."""
    now_ns = (START_S + SECONDS + age_s) * SECOND_NS
    return History(venue, Limit(10**6, 1.0), page_bars=50, now_ns=lambda: now_ns)


def at(second: int) -> int:
    return (START_S + second) * SECOND_NS


def sessions(*made: tuple[int, int]) -> np.ndarray:
    return np.array([(at(start), at(end), day, 0) for day, (start, end) in enumerate(made, 20_000)], SESSION)


def live(bars: list[dict[str, object]], flags: int = BarFlag.COMPLETE) -> np.ndarray:
    """Those bars as a worker would have made them, with what only it can know."""
    rows = read(bars, Window(0, at(10**6)), SECOND_NS, TICK, at(10**6)).rows
    rows["flags"], rows["trades"], rows["buy_volume"], rows["trading_day"] = flags, 2, 1, 20_000
    return rows


def test_random_outages_are_repaired_to_the_venues_truth(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(CASES):
        traded = sorted(chance.sample(range(SECONDS), chance.randrange(1, SECONDS)))
        truth = {second: sent(START_S + second, 100 + chance.randrange(4) / 4) for second in traded}
        lost, torn = (
            set(range(first, first + chance.randrange(60)))
            for first in (chance.randrange(SECONDS), chance.randrange(SECONDS))
        )
        whole = live([bar for second, bar in truth.items() if second not in lost | torn])
        half = [bar | {"v": chance.choice([1, 3])} for second, bar in truth.items() if second in torn - lost]
        stored = np.concatenate((whole, live(half, BarFlag.COMPLETE | BarFlag.SUSPECT)))
        up = [(second, second + 1) for second in range(SECONDS) if second not in lost | torn]
        told = [(at(start), at(end)) for start, end in up]
        table = sessions((0, SECONDS))
        venue = KeptBars({MNQ: list(truth.values())})
        history = a_history(venue, SETTLED_NS // SECOND_NS)
        done = asyncio.run(repair(history, MNQ, TICK, parse("1s"), stored, table, told))

        after = newest(np.concatenate((stored, done.stitched.rows)))
        assert after["start_ns"].tolist() == [at(second) for second in traded], "no double, no hole"
        expected = live(list(truth.values()))
        for name in ("open", "high", "low", "close", "volume", "trading_day"):
            assert after[name].tolist() == expected[name].tolist()
        mended = {int(start) for start in done.stitched.rows["start_ns"]}
        for row in after:
            assert bool(row["flags"] & BarFlag.REPAIRED) == (int(row["start_ns"]) in mended)
            assert not row["flags"] & BarFlag.SUSPECT
        assert mended == {at(second) for second in traded if second in lost | torn}

        asked = len(venue.asked)
        stored = np.concatenate((stored, done.stitched.rows))
        again = asyncio.run(repair(history, MNQ, TICK, parse("1s"), stored, table, [*told, *done.told]))
        assert (len(venue.asked), len(again.stitched.rows)) == (asked, 0), "the venue has told all"


def test_times_that_are_young_are_asked_for_again_until_the_bars_have_come() -> None:
    venue = KeptBars({MNQ: []})
    history = a_history(venue, 0)
    nothing = np.zeros(0, BAR)
    early = asyncio.run(repair(history, MNQ, TICK, parse("1s"), nothing, sessions((0, 20))))
    assert (len(early.stitched.rows), early.told) == (0, [])
    venue.bars_of = {MNQ: [sent(START_S + second) for second in range(20)]}
    late = asyncio.run(repair(history, MNQ, TICK, parse("1s"), nothing, sessions((0, 20)), early.told))
    assert (late.stitched.added, late.stitched.raised) == (20, 0)
    assert set(late.stitched.rows["trading_day"]) == {20_000}


def test_nothing_is_asked_for_outside_of_sessions() -> None:
    venue = KeptBars({MNQ: [sent(START_S + second) for second in range(SECONDS)]})
    history = a_history(venue, 0)
    done = asyncio.run(repair(history, MNQ, TICK, parse("1s"), np.zeros(0, BAR), sessions()))
    assert (len(done.stitched.rows), len(venue.asked)) == (0, 0)
