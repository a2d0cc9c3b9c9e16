"""What it costs to write down all that comes in: CPU time of the recorder beside that of engine and workers.

One engine on its simulator at a steady rate. The journal that was written meanwhile is then read back, and the same
messages are written once more in a plain loop of length-prefixed frames, by this process; what they take on disk, too,
is compared with that. How much of a disk's time is in it depends on where temporary files lie.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from shm.journal import JournalFile, journal_files, records
from shm.layout import Record
from tests.waiting import wait_for

from . import counters, plain
from .counters import Counters, cpu_s
from .row import Promise, Row
from .running import UP_LIMIT_S, Engine, running

RATE_ENTRIES_PER_S, QUICK_RATE_ENTRIES_PER_S = 50_000.0, 6_000.0
SECONDS, QUICK_SECONDS = 15.0, 3.0
WARM_MESSAGES = 1000  # a worker, before anything is measured
NOTHING = Promise(0.0)


class Measured(NamedTuple):
    """Of a stretch of time; `recorded` are differences of the recorder's counters."""

    seconds: float
    messages: int
    cpu_s: dict[str, float]
    recorded: dict[str, int]


def rows(quick: bool) -> Iterator[Row]:
    rate, seconds = (QUICK_RATE_ENTRIES_PER_S, QUICK_SECONDS) if quick else (RATE_ENTRIES_PER_S, SECONDS)
    with running(rate) as engine:
        engine.wait_until_live()
        wait_for(lambda: journal_files(engine.data / "journal"), UP_LIMIT_S, "a recorder at work")
        wait_for(
            lambda: all(each.applied > WARM_MESSAGES for each in engine.statuses()), UP_LIMIT_S, "messages are applied"
        )
        measured = _measure(engine, seconds)
        messages = _read(engine.data / "journal")
    plain_us, plain_bytes = _plain(messages)
    yield from _rows(measured, sum(map(len, messages)) / len(messages), plain_us, plain_bytes / len(messages))


def _rows(measured: Measured, message_bytes: float, plain_us: float, plain_bytes: float) -> Iterator[Row]:
    recorded, count = measured.recorded, measured.messages
    yield Row("recorder", "recorded", count / measured.seconds, "frames/s")
    yield Row("recorder", "recorded", recorded["body_bytes"] / measured.seconds / 1e6, "MB/s")
    yield Row("recorder", "messages a publication", count / recorded["written"], "frames")
    compared = f"a plain loop, written: {plain_us:.3g} us"
    for kind, spent_s in measured.cpu_s.items():
        yield Row("recorder", f"CPU of {kind}, a message", spent_s / count * 1e6, "us", compared, plain_us)
    mib_ms = measured.cpu_s["the recorder"] / (recorded["body_bytes"] / (1 << 20)) * 1e3
    yield Row("recorder", "CPU of the recorder, a MiB", mib_ms, "ms")
    stored = recorded["stored_bytes"] / count
    yield Row("recorder", "on disk", stored, "B/frame", f"length-prefixed frames: {plain_bytes:,.0f} B", plain_bytes)
    ratio = recorded["body_bytes"] / recorded["stored_bytes"]
    yield Row("recorder", f"packed, messages of {message_bytes:,.0f} bytes", ratio, "times smaller")
    yield Row("recorder", "lost", recorded["lost"] + recorded["jumps"], "entries", promise=NOTHING)


def _measure(engine: Engine, seconds: float) -> Measured:
    kinds, counts = counters.processes(engine), Counters(engine)
    began_s, before = time.monotonic(), counts.recorder()
    messages, spent_s = counts.engine()["messages"], {kind: cpu_s(those) for kind, those in kinds.items()}
    time.sleep(seconds)
    passed_s, after = time.monotonic() - began_s, counts.recorder()
    messages = counts.engine()["messages"] - messages
    spent_s = {kind: cpu_s(those) - spent_s[kind] for kind, those in kinds.items()}
    return Measured(passed_s, messages, spent_s, {name: after[name] - before[name] for name in after})


def _read(journal: Path) -> list[bytes]:
    """The messages that were written so far."""
    with ExitStack() as stack:
        files = [stack.enter_context(JournalFile(path)) for path in journal_files(journal)]
        return [record.payload for record in records(files) if record.kind == Record.DATA]


def _plain(messages: Sequence[bytes]) -> tuple[float, int]:
    """CPU microseconds a message, and bytes on disk of all."""
    with tempfile.TemporaryDirectory(prefix="shardbook-bench-") as made:
        path = Path(made) / "plain"
        begin_ns = time.process_time_ns()
        plain.write(path, messages)
        spent_us = (time.process_time_ns() - begin_ns) / 1e3
        return spent_us / len(messages), path.stat().st_size
