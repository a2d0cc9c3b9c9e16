"""Bars against a plain reckoning of the same prints, over units, gaps, and a log whose ring has wrapped."""

import random
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from engine.simulator.bars import KEPT_SECONDS, SentBars, begins, joined, of_prints, opening_ticks
from engine.simulator.channel import MAX_RUN, Channel
from engine.simulator.contracts import CONTRACTS
from engine.simulator.flow import Flow
from engine.simulator.generated import generate
from engine.simulator.past import DAYS, STEP_S, Past
from engine.simulator.rules import checkpoints
from engine.simulator.truth import LOG_ROWS, ContractTruth, Truth, write
from shm.timeframe import Unit

START_S = 1_795_000_000


@pytest.fixture(scope="module")
def flow() -> Flow:
    return generate(CONTRACTS["MGC"], 2, depth_records=400)


def reckoned(prints: list[tuple[int, int, int]], width: int) -> list[list[int]]:
    """Bars of (second, ticks, size), one print after the other."""
    bars: dict[int, list[int]] = {}
    for second, ticks, size in prints:
        begin = second // width * width
        bar = bars.setdefault(begin, [begin, ticks, ticks, ticks, ticks, 0])
        bar[2], bar[3], bar[4] = max(bar[2], ticks), min(bar[3], ticks), ticks
        bar[5] += size
    return list(bars.values())


@pytest.mark.parametrize("width", [1, 7, 60, 3_600])
def test_bars_of_random_prints(width: int, seed: int) -> None:
    draw = random.Random(seed)
    second, prints = START_S, []
    for _ in range(2_000):
        second += draw.choice((0, 0, 0, 1, 5, 200))
        prints.append((second, draw.randrange(100, 200), draw.randrange(1, 9)))
    seconds = of_prints(*np.array(prints).T)
    assert seconds.tolist() == reckoned(prints, 1)
    starts, ends = begins(seconds[:, 0], Unit.SECOND, width)
    assert joined(seconds, starts).tolist() == reckoned(prints, width)
    assert (ends == starts + width).all()


@pytest.mark.parametrize(
    ("unit", "number", "begin", "end"),
    [
        (Unit.SECOND, 10, "2026-11-22T14:33:20", "2026-11-22T14:33:30"),
        (Unit.MINUTE, 5, "2026-11-22T14:30:00", "2026-11-22T14:35:00"),
        (Unit.HOUR, 4, "2026-11-22T12:00:00", "2026-11-22T16:00:00"),
        (Unit.DAY, 1, "2026-11-22T00:00:00", "2026-11-23T00:00:00"),
        (Unit.WEEK, 1, "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
        (Unit.MONTH, 1, "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        (Unit.MONTH, 3, "2026-10-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_where_a_bar_begins_and_ends(unit: Unit, number: int, begin: str, end: str) -> None:
    second = np.array([int(datetime(2026, 11, 22, 14, 33, 24, tzinfo=UTC).timestamp())])
    starts, ends = begins(second, unit, number)
    expected = [int(datetime.fromisoformat(text + "+00:00").timestamp()) for text in (begin, end)]
    assert [int(starts[0]), int(ends[0])] == expected


def test_every_print_that_was_sent_is_in_a_bar_also_after_the_log_has_wrapped(tmp_path: Path, flow: Flow) -> None:
    marks = checkpoints(flow)
    log = write(tmp_path, [(flow, marks)])["MGC"]
    channel = Channel(flow, marks, log, START_S * 10**9)
    truth: ContractTruth = Truth.open(tmp_path).of_symbol("MGC")
    prints: list[tuple[int, int, int]] = []
    now_ns, turns = START_S * 10**9, 0
    while log.count < 2 * LOG_ROWS:
        now_ns += 400_000_000
        before = log.count
        channel.advance(MAX_RUN // 2, now_ns)
        turns += 1
        if turns % 5 == 0:
            channel.snapshot(now_ns)
        sent = truth.trades_sent(before, log.count)
        names = ("venue_ns", "price", "size")
        prints += [(ns // 10**9, price, size) for ns, price, size in sent[list(names)].tolist()]
    assert channel.bars.row > 0, "rows were taken before anyone asked"
    channel.bars.take(log)
    bars = channel.bars.since(0)
    assert bars.tolist() == reckoned(prints, 1)
    assert bars[:, 5].sum() == sum(size for _, _, size in prints)
    middle = int(bars[3, 0])
    assert channel.bars.since(middle).tolist() == bars[3:].tolist()


def test_of_too_many_seconds_the_older_half_is_forgotten(flow: Flow) -> None:
    bars = SentBars(flow)
    for first in range(0, KEPT_SECONDS + 10_000, 10_000):
        seconds = np.arange(first, first + 10_000)
        bars._add(of_prints(seconds, seconds, seconds))
    kept = bars.since(0)
    assert KEPT_SECONDS // 2 < len(kept) <= KEPT_SECONDS
    assert kept[-1, 0] == first + 9_999
    assert (np.diff(kept[:, 0]) == 1).all()


@pytest.mark.parametrize("symbol", list(CONTRACTS))
def test_the_past_ends_at_the_opening_price_and_is_the_same_again(symbol: str) -> None:
    opening = CONTRACTS[symbol].middle_ticks
    past = Past(symbol, opening, START_S + 7).since(0)
    assert past[-1, 4] == opening
    assert 0 < START_S + 7 - past[-1, 0] <= 2 * STEP_S
    assert len(past) == DAYS * 86_400 // STEP_S
    assert past[:, 1:].min() > 0
    assert (np.abs(np.diff(past[:, 4])) <= 1).all()
    assert Past(symbol, opening, START_S + 7).since(0).tolist() == past.tolist()


def test_the_past_from_a_second_on() -> None:
    past = Past("MNQ", 1_000, START_S)
    whole = past.since(0)
    for second in (int(whole[0, 0]) - 5, int(whole[5, 0]), int(whole[5, 0]) + 1, START_S - 1, START_S, START_S + 99):
        assert past.since(second).tolist() == whole[whole[:, 0] >= second].tolist()


def test_where_a_flow_opens(flow: Flow) -> None:
    assert opening_ticks(flow) == CONTRACTS["MGC"].middle_ticks
