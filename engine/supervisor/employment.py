"""The jobs of the processes that the supervisor starts, as each of them reads it on its standard input."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..config import Settings, SymbolSettings
from ..processes import WorkerProcess
from .decide import Begun


def job_line(
    settings: Settings,
    symbols: tuple[SymbolSettings, ...],
    folder: Path,
    generation: int,
    replay: Mapping[str, object] | None = None,
) -> bytes:
    """The line that engine and keeper begin with; `symbols`: the instruments that there are now. `replay`: what a
    player in the engine's place plays."""
    job: dict[str, object] = {
        "settings": replace(settings, symbols=symbols).to_json(),
        "generation": generation,
        "folder": str(folder),
        "supervisor_pid": os.getpid(),
    }
    return json.dumps(job if replay is None else job | {"replay": replay}).encode() + b"\n"


def worker_job(
    process: WorkerProcess,
    quarantine: tuple[Begun, ...],
    data_folder: Path,
    folder: Path,
    generation: int,
    *,
    replay: bool = False,
) -> dict[str, object]:
    """A job as `workers/job.py` reads it. `replay`: what comes down its rings is of another day."""
    return {
        "name": process.name,
        "cpu": process.cpu,
        "replay": replay,
        "bell": process.has_bell,
        "folder": str(folder),
        "generation": generation,
        "data_folder": str(data_folder),
        "supervisor_pid": os.getpid(),
        "instruments": [
            {
                "symbol": each.symbol,
                "batch_max_frames": each.batch_max_frames,
                "batch_max_us": each.batch_max_us,
                "spin_us": each.spin_us,
                "quarantine": [begun.sequence for begun in quarantine if begun.symbol == each.symbol],
                "timeframes": each.bars,
                "close_grace_ms": each.close_grace_ms,
                "hot_rows": each.hot_rows,
            }
            for each in process.symbols
        ],
    }


def historian_job(settings: Settings) -> bytes:
    """A job as `workers/historian.py` reads it: the folder that the recorder writes into."""
    return json.dumps({"journal": str(settings.journal_folder), "supervisor_pid": os.getpid()}).encode()
