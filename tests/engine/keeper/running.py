"""A keeper of its own in a test: the segments that a supervisor makes, the job, and the process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from engine.config import (
    FeedSettings,
    HttpSettings,
    JournalSettings,
    KeeperSettings,
    Settings,
    SymbolSettings,
    VenueSettings,
)
from engine.job import Job
from shm import layout
from shm.layout import ANSWER, KEEPER_WORDS, NEVER_NS, WORDS_A_LINE, Answered, Kind, Rows
from shm.registry import generation_folder
from shm.ring import RingWriter
from shm.segment import Segment, create

TOP = Path(__file__).resolve().parents[3]
GENERATION = 3


class Stage:
    """A generation's folder with what the keeper needs of it, and a data folder."""

    def __init__(self, folder: Path, *symbols: SymbolSettings, **keeper: int) -> None:
        self.data = folder / "data"
        self.folder = folder / "engine"
        self.here = generation_folder(self.folder, GENERATION)
        self.here.mkdir(parents=True)
        self.own = self._make("keeper", Kind.KEEPER, layout.keeper_regions())
        ring = self._make("keeper.ring", Kind.RING, layout.ring_regions(layout.KEEPER_RING_BYTES))
        self.answers = RingWriter(ring.array("words"), GENERATION)
        self.settings = Settings(
            "test",
            folder,
            self.data,
            VenueSettings(),
            HttpSettings(),
            FeedSettings(),
            KeeperSettings(**keeper),
            JournalSettings(),
            symbols,
        )

    @property
    def job(self) -> Job:
        return Job(self.settings, GENERATION, self.folder, os.getpid())

    def line(self, settings: Settings | None = None) -> bytes:
        """The job as the supervisor says it."""
        said = {
            "settings": (settings or self.settings).to_json(),
            "generation": GENERATION,
            "folder": str(self.folder),
            "supervisor_pid": os.getpid(),
        }
        return json.dumps(said).encode() + b"\n"

    def count(self, name: str) -> int:
        """A counter of the keeper's."""
        return int(self.own.array("words")[KEEPER_WORDS.index(name) * WORDS_A_LINE])

    def wishes(self) -> Any:
        """The wishes that stand there."""
        table = self.own.array("wishes")
        return table[np.flatnonzero(table["number"])]

    def answer(self, number: int, answered: Answered, rows: Rows, settled_ns: int = NEVER_NS, refused: int = 0) -> None:
        """What the engine says to a wish, in quarters of a point."""
        head = np.zeros(1, ANSWER)
        head["number"], head["answered"], head["rows"], head["refused"] = number, answered, len(rows), refused
        head["settled_ns"], head["price_scale"], head["price_increment"] = settled_ns, 9, 250_000_000
        assert self.answers.push(head.tobytes() + rows.tobytes())
        self.answers.publish()

    def start(self) -> subprocess.Popen[bytes]:
        """The process, with its job. Its standard input stays open."""
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.keeper"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=TOP
        )
        self.tell(process, self.line())
        return process

    def tell(self, process: subprocess.Popen[bytes], line: bytes) -> None:
        assert process.stdin is not None
        process.stdin.write(line)
        process.stdin.flush()

    def _make(self, name: str, kind: Kind, regions: layout.Regions) -> Segment:
        return create(self.here / name, kind, regions, generation=GENERATION)
