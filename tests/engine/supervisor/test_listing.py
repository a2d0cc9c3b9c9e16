"""The registry says what the supervisor knows, in a form that readers take."""

import os
from dataclasses import replace
from pathlib import Path

from engine.supervisor.decide import Part, Phase, Role
from engine.supervisor.listing import list_all
from engine.supervisor.turnover import Held
from shm import registry
from shm.life import start_ticks
from shm.registry import Listed
from tests.engine.supervisor.stand_ins import PAIR, TWO, settings_of


def test_what_is_known_is_listed_and_can_be_read(shm_root: Path) -> None:
    settings = settings_of(
        "default", shm_root, Path("/data"), (TWO[0], replace(TWO[1], levels=8, max_lag_ms=500), *PAIR)
    )
    roles = {
        "engine": Role("engine", Part.ENGINE, phase=Phase.LIVES, pid=11),
        "MNQ": Role("MNQ", Part.WORKER, phase=Phase.LIVES, pid=12, starts=3),
        "MES": Role("MES", Part.WORKER, phase=Phase.PARKED, parked="ended with status 3", starts=1),
        "keeper": Role("keeper", Part.KEEPER, phase=Phase.LIVES, pid=14),
        "recorder": Role("recorder", Part.RECORDER, phase=Phase.LIVES, pid=15),
        "historian": Role("historian", Part.HISTORIAN, phase=Phase.LIVES, pid=16),
        "quiet": Role("quiet", Part.WORKER, phase=Phase.LIVES, pid=13, starts=2),
    }
    held = [Held(each, 1 + (each.symbol == "ES")) for each in settings.symbols]
    listed = list_all(settings, held, 4, roles, "http://127.0.0.1:1", None)
    folder = registry.engine_folder("default", shm_root)
    registry.make_folder(folder)
    registry.write(folder, listed)
    found = registry.read(folder)
    assert found == listed
    assert (found.generation, found.engine_pid, found.data_folder, found.venue) == (4, 11, "/data", "simulator")
    assert (found.keeper_pid, found.recorder_pid, found.historian_pid) == (14, 15, 16)
    assert (found.supervisor_pid, found.supervisor_start_ticks) == (os.getpid(), start_ticks(os.getpid()))
    assert found.instruments == (
        Listed("MNQ", "MNQ", pid=12, restarts=2, parked="", levels=64, max_depth=2048, ring_mib=1, max_lag_ms=1000),
        Listed("MES", "MES", 0, 0, parked="ended with status 3", levels=8, max_depth=2048, ring_mib=1, max_lag_ms=500),
        Listed("NQ", "quiet", pid=13, restarts=1, parked="", levels=64, max_depth=2048, ring_mib=1, max_lag_ms=1000),
        Listed("ES", "quiet", 13, 1, parked="", levels=64, max_depth=2048, ring_mib=1, max_lag_ms=1000, made=2),
    )
