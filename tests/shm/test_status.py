"""The value that says everything but prices."""

import numpy as np

from shm import Instrument, layout
from shm.layout import LATENCY, Reason
from shm.status import quantile_ns, step_ns
from tests.shm.plain_writer import ASKS, BIDS, PlainEngine, PlainWriter, boottime_ns


def test_a_status_says_everything(engine: PlainEngine, writer: PlainWriter, mnq: Instrument) -> None:
    engine.register(["MNQ", "MES", "MGC"], pid=4711, restarts=2, parked="it dies")
    writer.ring[layout.DELIVERED] = 15
    writer.control[LATENCY + 40] = 98
    writer.control[LATENCY + 80] = 2
    number = writer.publish(
        BIDS, ASKS,
        applied=9, refused=1, dropped=2, quarantined=3, resyncs=4, trades=5, depth_entries=6, fast_records=7,
        slow_records=8, ignored_entries=10, unknown_entries=11, venue_ns=12, lag_ns=13, since_ns=14,
        gap_reason=Reason.DROPPED, gap_wall_ns=16, gap_count=17, gap_from_wall_ns=18, last_price=86402, last_size=3,
    )  # fmt: skip
    status = mnq.status()
    assert (status.symbol, status.contract, status.source) == ("MNQ", "CON.F.US.MNQ.Z26", "venue")
    assert (status.state, status.reason, status.live, status.since_ns) == ("live", "", True, 14)
    assert (status.pid, status.restarts, status.parked) == (4711, 2, "it dies")
    assert (status.delivered, status.applied, status.refused, status.dropped) == (15, 9, 1, 2)
    assert (status.quarantined, status.resyncs, status.trades, status.depth_entries) == (3, 4, 5, 6)
    assert (status.fast_records, status.slow_records) == (7, 8)
    assert (status.ignored_entries, status.unknown_entries) == (10, 11)
    assert (status.venue_ns, status.lag_ns, status.published, status.generation) == (12, 13, number, 1)
    assert (status.last_price, status.last_size) == (21600.5, 3.0)
    assert status.last_gap == ("records were dropped: the worker was too slow", 16, 17, 18)
    assert status.through_ns == writer.control[layout.THROUGH_NS]
    assert 0 <= status.age_ns <= boottime_ns() - status.through_ns
    assert status.latency_p50_ns == 1280  # step 40 counts [1024, 1280) ns
    assert status.latency_p99_ns == 1310720


def test_a_status_before_anything(mnq: Instrument) -> None:
    status = mnq.status()
    assert (status.state, status.reason, status.live) == ("syncing", "waiting for the first snapshot", False)
    assert (status.age_ns, status.latency_p50_ns, status.latency_p99_ns, status.last_gap) == (0, 0, 0, None)
    assert (status.contract, status.source) == ("", "")
    assert np.isnan(status.last_price)


def test_latency_steps_follow_one_another() -> None:
    steps = [step_ns(step) for step in range(layout.LATENCY_STEPS + 1)]
    assert steps == sorted(steps)
    assert steps[8:13] == [4, 5, 6, 7, 8]
    for step in range(8, layout.LATENCY_STEPS):
        counts = [0] * layout.LATENCY_STEPS
        counts[step] = 1
        assert quantile_ns(counts, 0.5) == quantile_ns(counts, 0.99) == steps[step + 1]
