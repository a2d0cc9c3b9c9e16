"""What a worker process is told when it is forked: everything it needs, and no secret."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

MAX_JOB_BYTES = 1 << 17  # one packet of the fork server's channel; 64 instruments with all they may have fit
MAX_INSTRUMENTS = 64
MAX_QUARANTINED = 64  # of one process, over all its instruments


@dataclass(frozen=True, slots=True)
class Task:
    """One instrument of a worker process. The numbers come from its file, already validated there."""

    symbol: str
    batch_max_frames: int
    batch_max_us: int
    spin_us: int
    quarantine: tuple[int, ...]  # sequences that killed workers: skipped and counted
    timeframes: str = ""  # names of bars, and behind one perhaps "=flat" or "=marked": "1s 1m=flat 1d"; empty: no bars
    close_grace_ms: int = 250
    hot_rows: int = 1 << 15


@dataclass(frozen=True, slots=True)
class Job:
    """One worker process: what it is called, where it works, and for which instruments."""

    name: str  # of the process: its lock's, and the symbol where it has no other
    cpu: int  # the one to run on; below 0: anywhere
    replay: bool  # what comes is of another day
    bell: bool  # the engine wakes it by `<name>.bell`, and not by a word in each ring
    folder: str  # of the engine; the generation's folder lies in it
    generation: int
    data_folder: str
    supervisor_pid: int
    instruments: tuple[Task, ...]

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Job":
        """Raises ValueError if `text` is not a job: another key, or another type, than the fields above."""
        row = _checked(json.loads(text), cls, "a job")
        tasks = row["instruments"]
        if not isinstance(tasks, list) or not 1 <= len(tasks) <= MAX_INSTRUMENTS:
            raise ValueError(f"instruments is not a list of 1 to {MAX_INSTRUMENTS}")
        job = cls(**{**row, "instruments": tuple(_task(task) for task in tasks)})
        if len(job.instruments) > 1 and not job.bell:
            raise ValueError("more than one instrument, and no bell to wake their process by")
        return job


def _task(value: Any) -> Task:
    row = _checked(value, Task, "an instrument")
    quarantine = row["quarantine"]
    if not isinstance(quarantine, list) or len(quarantine) > MAX_QUARANTINED:
        raise ValueError(f"quarantine is not a list of at most {MAX_QUARANTINED} sequences")
    if any(word.partition("=")[2] not in ("", "none", "flat", "marked") for word in row["timeframes"].split()):
        raise ValueError("timeframes says of periods without a trade what is not none, flat or marked")
    if any(type(each) is not int for each in quarantine):
        raise ValueError("quarantine holds something that is no sequence")
    return Task(**{**row, "quarantine": tuple(quarantine)})


def _checked(row: Any, kind: type[Job] | type[Task], what: str) -> dict[str, Any]:
    """`row`, once it has the keys of `kind` and the plain ones are of their type."""
    fields = dataclasses.fields(kind)
    if not isinstance(row, dict) or row.keys() != {field.name for field in fields}:
        raise ValueError(f"{what} has the keys {', '.join(field.name for field in fields)}")
    for field in fields:
        if field.type in (str, int, bool) and type(row[field.name]) is not field.type:
            raise ValueError(f"{field.name} is of another type than it must be")
    return row
