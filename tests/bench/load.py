"""Offered rate against correctness: the whole engine, sender and judge on the same cores, at one rate after another.

Rows say what was offered and what came of it. Above what the machine can take, books may be stale and records
dropped, and both are counted; what must stay zero at every rate is wrong levels in live books, and lost trades.
What was applied is counted by the workers themselves while the engine runs: it has to agree with what was offered.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import psutil

from shm import registry
from tests.waiting import wait_for

from .row import Promise, Row
from .running import UP_LIMIT_S, Engine, running

RATES = (6_000, 50_000, 100_000, 200_000)
QUICK_RATES = (20_000,)
SECONDS, QUICK_SECONDS = 8.0, 4.0
PROMISED_RATE = 100_000
KEPT_UP = 0.98  # a sender that cannot make the rate proves nothing about it
NOTHING = Promise(0.0)


class Watched(NamedTuple):
    """What was seen from outside while the engine ran."""

    applied_entries_per_s: float
    cores: dict[str, float]  # used by each kind of process


def rows(quick: bool) -> Iterator[Row]:
    faultless = 0
    for rate in QUICK_RATES if quick else RATES:
        with running(rate) as engine:
            wait_for(engine.moves, UP_LIMIT_S, "a record of each instrument")
            watched = _watch(engine, QUICK_SECONDS if quick else SECONDS)
        yield from _rows(rate, engine, watched)
        totals = engine.summary["totals"]
        kept_up = totals["offered_entries_per_s"] >= KEPT_UP * rate
        if kept_up and not (totals["wrong_levels"] or totals["lost_trades"] or totals["dropped"]):
            faultless = rate
    promise = None if quick else Promise(PROMISED_RATE, at_least=True)
    yield Row("load", "highest of these rates without a fault", faultless, "entries/s", promise=promise)


def _rows(rate: int, engine: Engine, watched: Watched) -> Iterator[Row]:
    instruments, totals = engine.summary["instruments"], engine.summary["totals"]
    offered = totals["offered_entries_per_s"]
    at = f"{rate:,}/s: "
    yield Row("load", f"{at}offered", offered, "entries/s", f"asked: {rate:,} entries/s", rate)
    applied = watched.applied_entries_per_s
    yield Row("load", f"{at}applied", applied, "entries/s", f"offered: {offered:,.0f} entries/s", offered)
    promised = rate <= PROMISED_RATE
    yield Row("load", f"{at}wrong levels", totals["wrong_levels"], "levels", promise=NOTHING)
    yield Row("load", f"{at}compared levels", totals["compared_levels"], "levels")
    yield Row("load", f"{at}lost trades", totals["lost_trades"], "trades", promise=NOTHING)
    yield Row("load", f"{at}dropped", totals["dropped"], "records", promise=NOTHING if promised else None)
    yield Row("load", f"{at}resyncs", totals["resyncs"], "resyncs")
    live = sum(row["state"] == "live" for row in instruments)
    yield Row("load", f"{at}live at the end", live, "books", f"carried: {len(instruments)}", len(instruments))
    for share in ("p50", "p99"):
        worst = max(row["latency_us"][share] or 0.0 for row in instruments)
        yield Row("load", f"{at}receive to publish, worst {share}", worst, "us")
    for kind, cores in watched.cores.items():
        yield Row("load", f"{at}CPU of {kind}", cores, "cores")


def _watch(engine: Engine, seconds: float) -> Watched:
    kinds = _kinds(engine)
    spent_s = {kind: _cpu_s(processes) for kind, processes in kinds.items()}
    entries = _applied_entries(engine)
    began_s = time.monotonic()
    time.sleep(seconds)
    passed_s = time.monotonic() - began_s
    applied = (_applied_entries(engine) - entries) / passed_s
    return Watched(applied, {kind: (_cpu_s(kinds[kind]) - before_s) / passed_s for kind, before_s in spent_s.items()})


def _applied_entries(engine: Engine) -> int:
    return sum(status.depth_entries for status in engine.statuses())


def _kinds(engine: Engine) -> dict[str, list[psutil.Process]]:
    found = registry.read(engine.folder)
    workers = [status.pid for status in engine.statuses()]
    children = psutil.Process(found.supervisor_pid).children()
    return {
        "the engine": [psutil.Process(found.engine_pid)],
        "the workers": [psutil.Process(pid) for pid in workers],
        "the simulator": [child for child in children if "engine.simulator" in child.cmdline()],
        "launch and its judge": [psutil.Process(engine.launch_pid)],
    }


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)
