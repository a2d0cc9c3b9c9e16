"""engine/history/stitching.py against a slow model: no bar twice, no hole unseen, the highest revision counts."""

import random
from itertools import pairwise

import numpy as np
import pytest

from engine.history.page import Rows
from engine.history.stitching import holes, newest, on_trading_days, stitch
from shm.layout import BAR, BarFlag
from shm.timeframe import parse

CLOSED = int(BarFlag.COMPLETE)
REPAIRED = int(BarFlag.COMPLETE | BarFlag.REPAIRED)
SESSION = np.dtype([("open_ns", "<i8"), ("close_ns", "<i8"), ("trading_day", "<i4"), ("rth", "<i4")])
SECOND_NS = 10**9
ONE = parse("1s")
CASES = 400


def bars(*made: tuple[int, dict[str, int]]) -> Rows:
    """Rows of one second by (second, fields)."""
    rows = np.zeros(len(made), BAR)
    for row, (second, fields) in zip(rows, made, strict=True):
        row["start_ns"], row["end_ns"] = second * SECOND_NS, (second + 1) * SECOND_NS
        row["flags"] = CLOSED
        for name, value in fields.items():
            row[name] = value
    return rows


def sessions(*made: tuple[int, int]) -> np.ndarray:
    rows = [(start * SECOND_NS, end * SECOND_NS, day, 0) for day, (start, end) in enumerate(made, 100)]
    return np.array(rows, SESSION)


def test_a_missing_bar_is_added_and_marked() -> None:
    stitched = stitch(bars((1, {}), (3, {})), bars((2, {"close": 7}), (3, {})))
    assert (stitched.added, stitched.raised) == (1, 0)
    (row,) = stitched.rows
    assert (row["start_ns"], row["close"], row["flags"], row["revision"]) == (2 * SECOND_NS, 7, REPAIRED, 0)


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume"])
def test_a_bar_that_differs_is_raised_and_what_only_we_could_know_is_not_known(name: str) -> None:
    ours = {"buy_volume": 3, "sell_volume": 2, "trades": 4, "notional": 99, "revision": 6, "trading_day": 5}
    stitched = stitch(bars((1, ours)), bars((1, {name: 1})))
    assert (stitched.added, stitched.raised) == (0, 1)
    (row,) = stitched.rows
    assert (row[name], row["revision"], row["flags"], row["trading_day"]) == (1, 7, REPAIRED, 5)
    assert [int(row[each]) for each in ("buy_volume", "sell_volume", "trades", "notional")] == [0, 0, 0, 0]


@pytest.mark.parametrize("flag", [BarFlag.SUSPECT, BarFlag.FORMING])
def test_a_suspect_bar_that_agrees_is_confirmed_and_keeps_what_only_we_know(flag: BarFlag) -> None:
    ours = {"volume": 5, "buy_volume": 3, "trades": 4, "notional": 99, "flags": flag}
    (row,) = stitch(bars((1, ours)), bars((1, {"volume": 5}))).rows
    assert (row["revision"], row["flags"]) == (1, REPAIRED)
    assert (row["buy_volume"], row["trades"], row["notional"]) == (3, 4, 99)


def test_a_bar_that_ends_with_its_session_does_not_differ_for_that() -> None:
    ours = bars((1, {"end_ns": 2 * SECOND_NS - 5}))
    assert len(stitch(ours, bars((1, {}))).rows) == 0
    assert stitch(ours, bars((1, {"close": 1}))).rows["end_ns"].tolist() == [2 * SECOND_NS - 5]


def test_a_mark_of_the_venues_bar_stays() -> None:
    joined = bars((1, {"flags": CLOSED | BarFlag.JOINED}))
    assert stitch(bars(), joined).rows["flags"].tolist() == [REPAIRED | BarFlag.JOINED]


def test_random_overlaps_holes_and_revisions_against_a_slow_model(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(CASES):
        stored = bars(
            *(
                (chance.randrange(12), {"close": chance.randrange(3), "revision": chance.randrange(4), "flags": flags})
                for flags in chance.choices([CLOSED, CLOSED | BarFlag.SUSPECT, REPAIRED], k=chance.randrange(20))
            )
        )
        seconds = chance.sample(range(12), chance.randrange(12))
        fetched = bars(*((second, {"close": chance.randrange(3)}) for second in seconds))
        stitched = stitch(stored, fetched)

        model: dict[int, tuple[int, int, int]] = {}  # start → revision, close, flags
        for row in stored:
            start = int(row["start_ns"])
            if start not in model or row["revision"] >= model[start][0]:
                model[start] = int(row["revision"]), int(row["close"]), int(row["flags"])
        for row in fetched:
            start, close = int(row["start_ns"]), int(row["close"])
            if start not in model:
                model[start] = 0, close, REPAIRED
            elif model[start][1] != close or model[start][2] & BarFlag.SUSPECT:
                model[start] = model[start][0] + 1, close, REPAIRED
        after = newest(np.concatenate((stored, stitched.rows)))
        told = {int(row["start_ns"]): (int(row["revision"]), int(row["close"]), int(row["flags"])) for row in after}
        assert told == model
        assert after["start_ns"].tolist() == sorted(model), "each start once, in order"
        assert stitched.rows["start_ns"].tolist() == sorted(set(stitched.rows["start_ns"].tolist()))
        assert stitched.added + stitched.raised == len(stitched.rows)
        again = stitch(np.concatenate((stored, stitched.rows)), fetched)
        assert len(again.rows) == 0, "what was stitched once needs nothing more"


def test_random_holes_against_a_slow_model(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(CASES):
        ends = sorted(chance.sample(range(60), 6))
        open_s = list(zip(ends[::2], ends[1::2], strict=True))
        rows = bars(
            *(
                (second, {"flags": chance.choice([CLOSED, REPAIRED, CLOSED | BarFlag.SUSPECT])})
                for second in (chance.randrange(60) for _ in range(chance.randrange(60)))
            )
        )
        told = [(start, start + chance.randrange(5)) for start in chance.sample(range(60), chance.randrange(4))]
        found = holes(rows, sessions(*open_s), ONE, [(start * SECOND_NS, end * SECOND_NS) for start, end in told])

        wanted = {second for start, end in open_s for second in range(start, end)}
        trusted = {int(row["start_ns"]) // SECOND_NS for row in newest(rows) if not int(row["flags"]) & BarFlag.SUSPECT}
        wanted -= trusted | {second for start, end in told for second in range(start, end)}
        seconds = [second for start, end in found for second in range(start // SECOND_NS, end // SECOND_NS)]
        assert seconds == sorted(wanted)
        assert all(left[1] < right[0] for left, right in pairwise(found)), "none touch"


def test_a_hole_is_widened_to_whole_bars() -> None:
    """A session that opens at half past: its first hour bar begins at the hour."""
    found = holes(bars(), sessions((5400, 10_800)), parse("1hr"))
    assert found == [(3600 * SECOND_NS, 10_800 * SECOND_NS)]
    assert holes(bars(), sessions((5400, 10_800)), parse("1day")) == [(5400 * SECOND_NS, 10_800 * SECOND_NS)]


def test_without_sessions_or_rows_nothing_is_missing_or_everything_is() -> None:
    assert holes(bars((1, {})), sessions(), ONE) == []
    assert holes(bars(), sessions((1, 3), (5, 9)), ONE) == [(SECOND_NS, 3 * SECOND_NS), (5 * SECOND_NS, 9 * SECOND_NS)]
    assert len(stitch(bars(), bars()).rows) == 0


def test_bars_get_the_trading_day_of_their_session() -> None:
    table = sessions((10, 20), (20, 30), (40, 50))
    rows = bars((9, {}), (10, {}), (19, {}), (20, {}), (30, {}), (49, {}), (50, {"trading_day": 7}))
    rows["end_ns"][0] += SECOND_NS  # it begins before the open and ends after it
    assert on_trading_days(rows, table)["trading_day"].tolist() == [100, 100, 100, 101, 0, 102, 7]
    assert rows["trading_day"].tolist() == [0, 0, 0, 0, 0, 0, 7], "the bars that were given are not changed"
    assert on_trading_days(rows, sessions())["trading_day"].tolist() == rows["trading_day"].tolist()
