"""The pages of counters that the processes of a running engine keep, and what CPU time they have used."""

from collections.abc import Sequence

import psutil

from shm import layout, registry, segment
from shm.layout import ENGINE_WORDS, RECORDING_WORDS, WORDS_A_LINE, Kind

from .running import Engine


class Counters:
    """What an engine and its recorder count; to be read even when they have ended."""

    def __init__(self, engine: Engine) -> None:
        """The engine is up."""
        found = registry.read(engine.folder)
        here = registry.generation_folder(engine.folder, found.generation)
        self._engine = segment.attach(here / "engine", Kind.ENGINE).array("words")
        self._recorder = segment.attach(here / "recorder", Kind.RECORDER).array("words") if found.recorder_pid else None
        names = [listed.symbol for listed in found.instruments]
        self._rings = [segment.attach(here / f"{name}.ring", Kind.RING, symbol=name).array("words") for name in names]

    def engine(self) -> dict[str, int]:
        """By the names of ENGINE_WORDS."""
        return dict(zip(ENGINE_WORDS, self._engine[::WORDS_A_LINE].tolist(), strict=False))

    def recorder(self) -> dict[str, int]:
        """By the names of RECORDING_WORDS; empty if nothing is recorded."""
        if self._recorder is None:
            return {}
        return dict(zip(RECORDING_WORDS, self._recorder[::WORDS_A_LINE].tolist(), strict=False))

    def unrecorded_bytes(self) -> int:
        """Of all rings: what the recorder's ring had no room for in time."""
        return sum(int(ring[layout.UNRECORDED_BYTES]) for ring in self._rings)


def processes(engine: Engine) -> dict[str, list[psutil.Process]]:
    """Those that live, by what they do."""
    found = registry.read(engine.folder)
    children = psutil.Process(found.supervisor_pid).children()
    kinds = {
        "the engine": [psutil.Process(found.engine_pid)],
        "the workers": [psutil.Process(status.pid) for status in engine.statuses()],
        "the recorder": [psutil.Process(found.recorder_pid)] if found.recorder_pid else [],
        "the simulator": [child for child in children if "engine.simulator" in child.cmdline()],
        "launch and its judge": [psutil.Process(engine.launch_pid)],
    }
    return {kind: those for kind, those in kinds.items() if those}


def cpu_s(those: Sequence[psutil.Process]) -> float:
    """User and system time of all of them together, since they began."""
    return sum(sum(process.cpu_times()[:2]) for process in those)
