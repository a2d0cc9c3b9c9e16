"""What each process of a running engine holds for itself: USS less the engine's shared segments."""

from collections.abc import Iterator

import psutil

from engine.observation import own_mib
from shm import registry
from tests.waiting import wait_for

from .row import Promise, Row
from .running import running

RATE_ENTRIES_PER_S = 6000.0
PROMISED_MIB = Promise(20.0)


def rows(quick: bool) -> Iterator[Row]:
    wanted = 300 if quick else 1500
    with running(RATE_ENTRIES_PER_S) as engine:
        engine.wait_until_live()
        wait_for(lambda: all(each.applied > wanted for each in engine.statuses()), 60, f"{wanted} records a worker")
        pids = [status.pid for status in engine.statuses()]
        workers = [own_mib(pid, engine.folder) for pid in pids]
        found = registry.read(engine.folder)
        others = {"the engine": found.engine_pid, "the supervisor": found.supervisor_pid, "launch": engine.launch_pid}
        beside = {"the keeper": found.keeper_pid, "the recorder": found.recorder_pid}
        others |= {name: pid for name, pid in beside.items() if pid}
        for child in psutil.Process(found.supervisor_pid).children():
            if child.pid not in (found.engine_pid, *beside.values(), *pids):
                others["the simulator" if "engine.simulator" in child.cmdline() else "the fork server"] = child.pid
        sizes = {name: own_mib(pid, engine.folder) for name, pid in others.items()}
    known = [size for size in workers if size is not None]
    yield Row("memory", f"a worker, the largest of {len(known)}", max(known), "MiB", promise=PROMISED_MIB)
    for name, size in sizes.items():
        yield Row("memory", name, size, "MiB")
