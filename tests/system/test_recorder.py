"""A recorder beside a running engine: killed, stopped, and fed by engines that are killed; nothing is missing."""

import os
import random
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from shm import layout
from tests.system.recorded import (
    another,
    check_marked,
    check_whole,
    recorder_counts,
    recorder_pid,
    rings_of,
    streams,
)
from tests.system.running import Running, is_exact, running, wait_live
from tests.system.staging import Stage, staged
from tests.waiting import wait_for

RECORDER_KILLS = int(os.environ.get("SHARDBOOK_RECORDER_KILLS", "10"))
ENGINE_KILLS = int(os.environ.get("SHARDBOOK_ENGINE_KILLS", "5"))
STOPPED_S = 5
SYMBOLS = ("MES", "MNQ")
LIMIT_S = 60.0


@pytest.mark.timeout(120 + 20 * RECORDER_KILLS)
def test_killed_again_and_again_it_writes_every_record_once(
    left_nothing: Path, tmp_path: Path, engine_name: str, seed: int
) -> None:
    chance = random.Random(seed)
    with _recording(engine_name, tmp_path) as engine, engine.attach() as market:
        wait_live(market)
        rings = rings_of(engine)
        pid = recorder_pid(engine)
        for _ in range(RECORDER_KILLS):
            _after_some(engine, chance)
            os.kill(pid, signal.SIGKILL)
            pid = another(engine, pid, "recorder_pid")
        recorder_pid(engine)
        summary = engine.stop()
    assert is_exact(summary), summary
    found = streams(tmp_path / "journal")
    assert sorted(found) == sorted(SYMBOLS)
    for symbol, ring in rings.items():
        assert check_whole(found[symbol]) == int(ring.array("words")[layout.TAIL])


@pytest.mark.timeout(120 + 20 * ENGINE_KILLS)
def test_what_killed_engines_had_published_is_written_once(
    left_nothing: Path, tmp_path: Path, engine_name: str, seed: int
) -> None:
    chance = random.Random(seed)
    with _recording(engine_name, tmp_path) as engine, engine.attach() as market:
        wait_live(market)
        rings = rings_of(engine)
        recorder_pid(engine)
        pid = engine.registry.engine_pid
        for _ in range(ENGINE_KILLS):
            _after_some(engine, chance)
            os.kill(pid, signal.SIGKILL)
            pid = another(engine, pid, "engine_pid")
            wait_live(market)
        summary = engine.stop()
    assert all(row["wrong_levels"] == 0 for row in summary["instruments"])
    found = streams(tmp_path / "journal")
    for symbol, ring in rings.items():
        assert check_whole(found[symbol]) == int(ring.array("words")[layout.TAIL])


def test_one_that_stands_still_for_seconds_changes_nothing() -> None:
    """As it does on a disk that hangs. Levels and prints are compared before and after; what found no room is said."""
    with staged(SYMBOLS, 20_000, 8) as going, Stage(going) as stage:
        pid = recorder_pid(stage.engine)
        os.kill(pid, signal.SIGSTOP)
        try:
            until_s = time.monotonic() + STOPPED_S
            stage.wait(lambda: time.monotonic() > until_s, "it stands still for that long")
            stage.is_as_before()
            assert all(len(seen) == 1 for seen in stage.watch.seen.values()), stage.watch.seen
        finally:
            os.kill(pid, signal.SIGCONT)
        stage.is_as_before()
        assert stage.watch.gaps == {symbol: [] for symbol in SYMBOLS}
        tails = {symbol: int(ring.array("words")[layout.TAIL]) for symbol, ring in rings_of(stage.engine).items()}
        ends = {symbol: 0 for symbol in SYMBOLS}

        def all_written() -> bool:
            for symbol, stream in streams(stage.engine.data / "journal").items():
                ends[symbol] = check_marked(stream)
            return all(ends[symbol] >= tails[symbol] for symbol in SYMBOLS)

        wait_for(all_written, LIMIT_S, "what came meanwhile is written")
        assert stage.engine.registry.recorder_pid == pid
        lost = [stream.lost for stream in streams(stage.engine.data / "journal").values()]
        assert recorder_counts(stage.engine)["jumps"] == sum(map(len, lost))


def test_without_a_recorder_there_is_neither_process_nor_segment_nor_file(
    left_nothing: Path, tmp_path: Path, engine_name: str
) -> None:
    (tmp_path / "engine.toml").write_text("[journal]\nrecord = false")
    with running(engine_name, "--config", str(tmp_path / "engine.toml"), data=tmp_path) as engine:
        with engine.attach() as market:
            wait_live(market)
            wait_for(lambda: engine.registry.keeper_pid, LIMIT_S, "the last one to start")
            assert engine.registry.recorder_pid == engine.registry.historian_pid == 0
            assert not list(engine.folder.glob("g*/recorder*"))
        engine.stop()
    assert not (tmp_path / "journal").exists()


def _recording(name: str, data: Path) -> AbstractContextManager[Running]:
    return running(name, "--symbols", ",".join(SYMBOLS), "--rate", "6000", data=data)


def _after_some(engine: Running, chance: random.Random) -> None:
    """Wait for a random number of turns of the recorder, and for a part of one."""
    goal = recorder_counts(engine)["heartbeat"] + chance.randrange(3)
    wait_for(lambda: recorder_counts(engine)["heartbeat"] >= goal, LIMIT_S, "the recorder turns")
    time.sleep(chance.random() / 10)  # at any moment of a turn
