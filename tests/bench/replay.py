"""A journal through the whole engine again, as fast as it goes: `scripts/replay --speed max`, player and six workers.

The time is taken from where a tenth of the messages is applied, so that starting processes is no part of it, to where
the workers have applied the last one. With `--digest` it is the whole command, from its start to its last line. Beside
it, over the same messages in the same run: a plain loop that reads length-prefixed frames, the same loop with each
frame decoded by orjson, which makes no book yet, and the journal read as the player reads it, with nobody to play to.
Files are in the page cache.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson
import psutil

from engine.recorder.recorder import Options
from engine.replayer.pace import FOREVER_NS
from engine.replayer.stretches import entries_of, stretches
from shm import Market, registry
from shm.journal import journal_files
from shm.layout import Record
from tests.waiting import wait_for

from . import plain, recorded
from .recorded import SYMBOLS, Written
from .row import Row, median_of
from .running import END_LIMIT_S, NAME, TOP, UP_LIMIT_S, attached

SECONDS, QUICK_SECONDS = 300, 20
_LIMIT_S = 300.0


class Played(NamedTuple):
    """What became of the last nine tenths of the messages; `cpu_s` by kind of process."""

    messages: int
    seconds: float
    cpu_s: dict[str, float]


def rows(quick: bool) -> Iterator[Row]:
    seconds, rounds = (QUICK_SECONDS, 1) if quick else (SECONDS, 3)
    with tempfile.TemporaryDirectory(prefix="shardbook-bench-") as made:
        journal, beside = Path(made) / "journal", Path(made) / "plain"
        written = recorded.write(journal, seconds, Options())
        plain.write(beside, (frame.payload for frame in recorded.frames(seconds) if frame.kind == Record.DATA))
        plain_s = median_of(rounds, lambda: _took_s(plain.read(beside)))
        decoded_s = median_of(rounds, lambda: _took_s(map(orjson.loads, plain.read(beside))))
        unpacked_s = median_of(
            rounds, lambda: _took_s(stretches(entries_of(journal_files(journal), None, FOREVER_NS), SYMBOLS))
        )
        command_s = statistics.median(_command_s(journal) for _ in range(rounds))
        played = [_played(journal, written) for _ in range(rounds)]
    yield from _rows(written, played, plain_s, decoded_s, unpacked_s)
    compared = f"recorded in: {written.seconds:,.0f} s"
    yield Row("replay", "the whole command, with --digest", command_s, "s", compared, written.seconds)


def _rows(written: Written, played: list[Played], plain_s: float, decoded_s: float, unpacked_s: float) -> Iterator[Row]:
    message_s = statistics.median(each.seconds / each.messages for each in played)
    plain_a_s, decoded_a_s = written.messages / plain_s, written.messages / decoded_s
    compared = f"a plain loop, read: {plain_a_s:,.3g} frames/s"
    yield Row("replay", "messages replayed", 1 / message_s, "frames/s", compared, plain_a_s)
    decoded = f"a plain loop, read and decoded: {decoded_a_s:,.3g} frames/s"
    yield Row("replay", "the same", 1 / message_s, "frames/s", decoded, decoded_a_s)
    message_mb = written.payload_bytes / written.messages / 1e6
    plain_mb_s = plain_a_s * message_mb
    compared = f"a plain loop, read: {plain_mb_s:,.3g} MB/s"
    yield Row("replay", "bytes replayed", message_mb / message_s, "MB/s", compared, plain_mb_s)
    real_a_s = written.messages / written.seconds
    compared = f"recorded at: {real_a_s:,.0f} frames/s"
    yield Row("replay", "multiple of real time", 1 / message_s / real_a_s, "times", compared)
    unpacked_a_s = written.messages / unpacked_s
    compared = f"a plain loop, read: {plain_a_s:,.3g} frames/s"
    yield Row("replay", "read as the player does", unpacked_a_s, "frames/s", compared, plain_a_s)
    for kind in played[0].cpu_s:
        cpu_us = statistics.median(each.cpu_s[kind] / each.messages for each in played) * 1e6
        compared = f"a plain loop, read: {1e6 / plain_a_s:.3g} us"
        yield Row("replay", f"CPU of {kind}, a message", cpu_us, "us", compared, 1e6 / plain_a_s)


def _took_s(things: Iterable[object]) -> float:
    begin_s = time.perf_counter()
    for _ in things:
        pass
    return time.perf_counter() - begin_s


def _command_s(journal: Path) -> float:
    begin_s = time.perf_counter()
    with _replaying(journal, "--digest") as (process, _):
        said, _ = process.communicate(timeout=_LIMIT_S)
        assert process.returncode == 0, said
        return time.perf_counter() - begin_s


def _played(journal: Path, written: Written) -> Played:
    with _replaying(journal) as (process, root), attached(process, root) as market:
        tenth = written.messages // 10
        wait_for(lambda: _applied(market) >= tenth, UP_LIMIT_S, "the replay begins")
        kinds = _kinds(root)
        begin_s, applied, spent_s = time.perf_counter(), _applied(market), _cpu_s(kinds)
        wait_for(lambda: _applied(market) >= written.messages, _LIMIT_S, "all is replayed")
        seconds, after_s = time.perf_counter() - begin_s, _cpu_s(kinds)
        assert _applied(market) == written.messages
    return Played(written.messages - applied, seconds, {kind: after_s[kind] - spent_s[kind] for kind in kinds})


def _applied(market: Market) -> int:
    return sum(market[symbol].status().applied for symbol in market.symbols)


def _kinds(root: Path) -> dict[str, list[psutil.Process]]:
    folder = registry.engine_folder(NAME, root)
    wait_for(lambda: all(listed.pid for listed in registry.read(folder).instruments), UP_LIMIT_S, "the workers")
    found = registry.read(folder)
    workers = [psutil.Process(listed.pid) for listed in found.instruments]
    return {"the player": [psutil.Process(found.engine_pid)], "the workers": workers}


def _cpu_s(kinds: dict[str, list[psutil.Process]]) -> dict[str, float]:
    return {kind: sum(sum(one.cpu_times()[:2]) for one in processes) for kind, processes in kinds.items()}


@contextmanager
def _replaying(journal: Path, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The command, with memory of its own; ended in order."""
    root = Path(tempfile.mkdtemp(prefix="shardbook-bench-", dir=registry.root_folder()))
    command = [sys.executable, "-m", "engine.replay", str(journal), "--name", NAME, "--speed", "max", *more]
    try:
        process = subprocess.Popen(
            command,
            cwd=TOP,
            env=os.environ | {"SHARDBOOK_SHM": str(root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process, root
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=END_LIMIT_S)
    finally:
        shutil.rmtree(root)
