"""What a worker is told when it is forked: everything it needs, and no secret."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

MAX_JOB_BYTES = 1 << 16  # one packet of the fork server's channel
MAX_QUARANTINED = 64


@dataclass(frozen=True, slots=True)
class Job:
    """One worker's task. The numbers come from its instrument's file, already validated there."""

    symbol: str
    folder: str  # of the engine; the generation's folder lies in it
    generation: int
    data_folder: str
    batch_max_frames: int
    batch_max_us: int
    spin_us: int
    quarantine: tuple[int, ...]  # sequences that killed workers: skipped and counted
    supervisor_pid: int

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Job":
        """Raises ValueError if `text` is not a job: another key, or another type, than the fields above."""
        row: Any = json.loads(text)
        fields = dataclasses.fields(cls)
        if not isinstance(row, dict) or row.keys() != {field.name for field in fields}:
            raise ValueError(f"a job has the keys {', '.join(field.name for field in fields)}")
        quarantine = row["quarantine"]
        if not isinstance(quarantine, list) or len(quarantine) > MAX_QUARANTINED:
            raise ValueError(f"quarantine is not a list of at most {MAX_QUARANTINED} sequences")
        for field in fields:
            if field.type in (str, int) and type(row[field.name]) is not field.type:
                raise ValueError(f"{field.name} is of another type than it must be")
        if any(type(each) is not int for each in quarantine):
            raise ValueError("quarantine holds something that is no sequence")
        return cls(**{**row, "quarantine": tuple(quarantine)})
