"""The keeper as a process: it seals what comes, ends when it is told to, and a kill at any moment loses nothing."""

import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from engine import hours
from engine.config import SymbolSettings
from shm.bars_frame import scan
from shm.sealed import LIVE, listing
from shm.timeframe import parse
from tests import made_bars
from tests.engine.keeper.running import Stage
from tests.engine.keeper.writing import HotWriter
from tests.made_bars import highest, seen
from tests.waiting import wait_for

START_S = 120.0  # pandas and polars, on a machine that others use
KILLS = 20
MNQ = SymbolSettings("MNQ", timeframes=("1m",), history_bars=0)

pytestmark = pytest.mark.timeout(900)


def test_it_seals_writes_hours_follows_its_instruments_and_ends(tmp_path: Path) -> None:
    stage = Stage(tmp_path, MNQ, sync_s=1)
    writer = HotWriter(stage.data, "MNQ", "1m")
    rows = made_bars.plain(230)
    with stage.start() as process:
        wait_for(lambda: hours.path_of(stage.here, "MNQ").exists(), START_S, "trading hours")
        writer.put(rows)
        wait_for(lambda: writer.sealed_to() == 128, START_S, "the oldest half is sealed")
        assert seen(scan(writer.folder / "1min", "1min")) == highest(rows[:128], parse("1min"))
        wait_for(lambda: stage.count("syncs") >= 2, START_S, "syncs of the hot file")
        assert (stage.count("sealed_rows"), stage.count("sealed_files")) == (128, 1)
        stage.tell(process, stage.line(replace(stage.settings, symbols=(replace(MNQ, symbol="ES"),))))
        wait_for(lambda: hours.path_of(stage.here, "ES").exists(), START_S, "the hours of the other instrument")
        assert not hours.path_of(stage.here, "MNQ").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_S) == 0
    assert stage.count("disk_errors") == 0


@pytest.mark.parametrize("line", [b"{}\n", b"no json\n", b"\n"])
def test_a_job_that_is_none_ends_it_with_a_sentence(tmp_path: Path, line: bytes) -> None:
    stage = Stage(tmp_path, MNQ)
    stage.line = lambda settings=None: line  # type: ignore[method-assign]
    with stage.start() as process:
        assert process.wait(START_S) == 1
        assert process.stdout is not None
        assert b'"fatal"' in process.stdout.read()


def test_killed_while_sealing_every_row_is_there_once(tmp_path: Path, seed: int) -> None:
    """Rows come as long as there is room for them, and the keeper is killed whenever it has sealed a little more."""
    chance = random.Random(seed)
    stage = Stage(tmp_path, MNQ)
    writer = HotWriter(stage.data, "MNQ", "1m")
    rows = made_bars.plain(200_000)
    end = 0

    def more() -> bool:
        """Fill the ring; whether the keeper has come to where it shall be killed."""
        nonlocal end
        if (room := writer.room(end)) > 0:
            some = chance.randrange(1, room + 1)
            writer.put(rows[end : end + some])
            end += some
        return writer.sealed_to() >= goal

    for _ in range(KILLS):
        goal = writer.sealed_to() + chance.randrange(1, 400)
        with stage.start() as process:
            wait_for(more, START_S, "more rows are sealed")
            process.kill()
        found = listing(writer.folder / "1min", parse("1m"), "MNQ")
        assert found.refused == ()
        through = found.through_of(LIVE)
        assert writer.sealed_to() <= through <= end
        assert seen(scan(writer.folder / "1min", "1min")) == highest(rows[:through], parse("1m"))
