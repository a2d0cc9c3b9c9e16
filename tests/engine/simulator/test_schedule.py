"""The schedule: a rate kept exactly over loops, and recorded times kept at any pace."""

import dataclasses

import numpy as np
import pytest

from engine.simulator.contracts import CONTRACTS
from engine.simulator.flow import Flow, Kind
from engine.simulator.generated import generate
from engine.simulator.schedule import BURSTS, Rhythm, Schedule


@pytest.fixture(scope="module")
def flow() -> Flow:
    return generate(CONTRACTS["MGC"], 2, depth_records=100)


@pytest.mark.parametrize("rate", [1.0, 250.0, 200_000.0])
def test_the_rate_is_kept_over_many_loops(flow: Flow, rate: float) -> None:
    schedule = Schedule(flow, rate)
    depth = np.where(flow.records["kind"] == Kind.DEPTH, flow.records["entries"], 0)
    for loops in (0.3, 1.0, 7.6):
        elapsed_s = loops * flow.span / rate
        whole, rest = divmod(schedule.due(elapsed_s), len(flow))
        entries = whole * flow.span + int(depth[:rest].sum())
        assert 0 <= entries - elapsed_s * rate <= 20


def test_due_and_due_at_are_each_others_inverse(flow: Flow) -> None:
    schedule = Schedule(flow, 1000.0, lead=2.5)
    for record in range(0, 3 * len(flow), 17):
        assert schedule.due(schedule.due_at(record) + 1e-9) > record
        assert schedule.due(max(0.0, schedule.due_at(record) - 1e-6)) <= record or schedule.due_at(record) < 1e-6


def test_a_recorded_flow_is_sent_once_at_its_pace(flow: Flow) -> None:
    recorded = dataclasses.replace(flow, loops=False, due=np.arange(len(flow)) * 10**9)
    schedule = Schedule(recorded, 20e9)
    assert schedule.due(0.0) == 1
    assert schedule.due(1.0) == 21
    assert schedule.due_at(40) == 2.0
    assert schedule.due(1e9) == len(flow)
    assert schedule.due_at(len(flow)) == float("inf")


def test_without_a_pace_everything_is_due(flow: Flow) -> None:
    schedule = Schedule(dataclasses.replace(flow, loops=False), float("inf"))
    assert schedule.unpaced
    assert schedule.due(0.0) == len(flow)
    assert schedule.due_at(5) == 0.0
    assert schedule.due_at(len(flow)) == float("inf")


def test_bursts_are_ten_times_the_mean_and_the_mean_is_kept(flow: Flow) -> None:
    rate = 1000.0
    schedule, steady = Schedule(flow, rate, rhythm=BURSTS), Schedule(flow, rate)
    for cycles in (1, 4):
        assert abs(schedule.due(cycles * BURSTS.cycle_s) - steady.due(cycles * BURSTS.cycle_s)) <= 20
    tenths = [BURSTS.mean_s((i + 1) / 10) - BURSTS.mean_s(i / 10) for i in range(10 * round(BURSTS.cycle_s))]
    assert max(tenths) == pytest.approx(1.0)
    assert min(tenths) == pytest.approx(0.001)
    assert sum(step == pytest.approx(1.0) for step in tenths) == 60


def test_a_rhythm_and_its_inverse(flow: Flow) -> None:
    for second in range(-50, 500):
        assert BURSTS.elapsed_s(BURSTS.mean_s(second + 0.3)) == pytest.approx(second + 0.3)
    schedule = Schedule(flow, 100.0, lead=2.5, rhythm=BURSTS)
    due = [schedule.due_at(record) for record in range(3 * len(flow))]
    assert due == sorted(due)
    for record in range(1, 3 * len(flow), 17):
        assert schedule.due(due[record] + 1e-6) > record
        assert schedule.due(due[record] - 1e-6) <= record


@pytest.mark.parametrize("steps", [((1.0, 2.0),), ((1.0, 2.0), (1.0, 0.0)), ((2.0, 1.0), (-1.0, 1.0))])
def test_a_rhythm_that_stands_still_or_loses_the_mean_is_refused(steps: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="rhythm"):
        Rhythm(steps)
