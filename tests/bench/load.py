"""Offered rate against correctness: the whole engine, sender and judge on the same cores, at one rate after another.

Rows say what was offered and what came of it. Above what the machine can take, books may be stale and records
dropped, and both are counted; what must stay zero at every rate is wrong levels in live books, and lost trades.
What was applied is counted by the workers themselves while the engine runs: it has to agree with what was offered.

All that is offered is recorded too, as by default, and what the recorder could not take is one more thing that must
stay zero. At the promised rate there is one more run, without a recorder: what the first costs more.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from shm.journal import journal_files
from tests.waiting import wait_for

from . import counters
from .counters import Counters, cpu_s
from .row import Promise, Row
from .running import UP_LIMIT_S, Engine, running

RATES = (6_000, 50_000, 100_000, 200_000)
QUICK_RATES = (20_000,)
SECONDS, QUICK_SECONDS = 8.0, 4.0
PROMISED_RATE = 100_000
KEPT_UP = 0.98  # a sender that cannot make the rate proves nothing about it
NOTHING = Promise(0.0)


class Watched(NamedTuple):
    """What was seen from outside while the engine ran, and what its recorder had counted at the end."""

    applied_entries_per_s: float
    cores: dict[str, float]  # used by each kind of process
    unrecorded_bytes: int  # by when this began: what the recorder missed while it started
    counts: Counters


class Run(NamedTuple):
    """One engine at one rate: what it printed, and what was seen."""

    summary: dict[str, Any]
    watched: Watched

    @property
    def unrecorded(self) -> int:
        """Entries that were lost, and bytes for which the recorder's ring had no room; of nothing recorded 0."""
        counts = self.watched.counts
        return counts.recorder().get("lost", 0) + counts.unrecorded_bytes()

    def latency_us(self, share: str) -> float:
        """Receive to publish, of the instrument where it was longest."""
        return max(row["latency_us"][share] or 0.0 for row in self.summary["instruments"])


def rows(quick: bool) -> Iterator[Row]:
    faultless = 0
    seconds = QUICK_SECONDS if quick else SECONDS
    compared_rate = QUICK_RATES[-1] if quick else PROMISED_RATE
    for rate in QUICK_RATES if quick else RATES:
        without = _run(rate, seconds, record=False) if rate == compared_rate else None
        run = _run(rate, seconds, record=True)
        yield from _rows(rate, run, without)
        totals = run.summary["totals"]
        kept_up = totals["offered_entries_per_s"] >= KEPT_UP * rate
        faults = totals["wrong_levels"] + totals["lost_trades"] + totals["dropped"] + run.unrecorded
        if kept_up and not faults:
            faultless = rate
    promise = None if quick else Promise(PROMISED_RATE, at_least=True)
    yield Row("load", "highest of these rates without a fault", faultless, "entries/s", promise=promise)


def _run(rate: int, seconds: float, *, record: bool) -> Run:
    with running(rate, record=record) as engine:
        wait_for(engine.moves, UP_LIMIT_S, "a record of each instrument")
        if record:
            wait_for(lambda: journal_files(engine.data / "journal"), UP_LIMIT_S, "a recorder at work")
        watched = _watch(engine, seconds)
    return Run(engine.summary, watched)


def _rows(rate: int, run: Run, without: Run | None) -> Iterator[Row]:
    at = f"{rate:,}/s: "
    offered = run.summary["totals"]["offered_entries_per_s"]
    applied = run.watched.applied_entries_per_s
    yield Row("load", f"{at}applied", applied, "entries/s", f"offered: {offered:,.0f} entries/s", offered)
    yield from _outcome(rate, at, run)
    recorded = run.watched.counts.recorder()
    promise = NOTHING if rate <= PROMISED_RATE else None
    yield Row("load", f"{at}recorded", recorded["written"], "entries")
    yield Row("load", f"{at}lost by the recorder", recorded["lost"], "entries", promise=promise)
    missed = run.watched.unrecorded_bytes
    yield Row("load", f"{at}with no room in its ring while it started", missed, "bytes", promise=promise)
    later = run.watched.counts.unrecorded_bytes() - missed
    yield Row("load", f"{at}with no room in its ring later", later, "bytes", promise=promise)
    for share in ("p50", "p99"):
        compared = _without(without and without.latency_us(share), "us")
        yield Row("load", f"{at}receive to publish, worst {share}", run.latency_us(share), "us", *compared)
    for kind, cores in run.watched.cores.items():
        compared = _without(without and without.watched.cores.get(kind), "cores")
        yield Row("load", f"{at}CPU of {kind}", cores, "cores", *compared)
    if without is not None:
        yield from _outcome(rate, f"{rate:,}/s without a recorder: ", without)


def _outcome(rate: int, at: str, run: Run) -> Iterator[Row]:
    instruments, totals = run.summary["instruments"], run.summary["totals"]
    offered = totals["offered_entries_per_s"]
    yield Row("load", f"{at}offered", offered, "entries/s", f"asked: {rate:,} entries/s", rate)
    promised = rate <= PROMISED_RATE
    yield Row("load", f"{at}wrong levels", totals["wrong_levels"], "levels", promise=NOTHING)
    yield Row("load", f"{at}compared levels", totals["compared_levels"], "levels")
    yield Row("load", f"{at}compared samples", totals["compared_samples"], "books")
    yield Row("load", f"{at}lost trades", totals["lost_trades"], "trades", promise=NOTHING)
    yield Row("load", f"{at}dropped", totals["dropped"], "records", promise=NOTHING if promised else None)
    yield Row("load", f"{at}resyncs", totals["resyncs"], "resyncs")
    live = sum(row["state"] == "live" for row in instruments)
    yield Row("load", f"{at}live at the end", live, "books", f"carried: {len(instruments)}", len(instruments))


def _without(value: float | None, unit: str) -> tuple[str | None, float | None]:
    """What a row is compared with, if there is anything."""
    return (None, None) if value is None else (f"without a recorder: {value:.3g} {unit}", value)


def _watch(engine: Engine, seconds: float) -> Watched:
    kinds, counts = counters.processes(engine), Counters(engine)
    spent_s = {kind: cpu_s(those) for kind, those in kinds.items()}
    entries, missed = _applied_entries(engine), counts.unrecorded_bytes()
    began_s = time.monotonic()
    time.sleep(seconds)
    passed_s = time.monotonic() - began_s
    applied = (_applied_entries(engine) - entries) / passed_s
    cores = {kind: (cpu_s(kinds[kind]) - before_s) / passed_s for kind, before_s in spent_s.items()}
    return Watched(applied, cores, missed, counts)


def _applied_entries(engine: Engine) -> int:
    return sum(status.depth_entries for status in engine.statuses())
