"""A recorder of its own in a test: the segments that a supervisor makes, an engine's end of them, and the job."""

import json
import os
import subprocess
import sys
from pathlib import Path

from engine.config import (
    FeedSettings,
    HttpSettings,
    JournalSettings,
    KeeperSettings,
    Settings,
    SymbolSettings,
    VenueSettings,
)
from engine.instruments import open_recorder
from engine.job import Job
from shm import layout
from shm.journal_entries import Lane
from shm.layout import RECORDING_WORDS, WORDS_A_LINE, Kind
from shm.registry import generation_folder
from shm.ring import RingWriter
from shm.segment import Segment, create
from tests import made_journal
from tests.system.recorded import Stream, streams
from tests.system.running import TOP

GENERATION = 7
SYMBOLS = ("MNQ", "MES")
RING_BYTES = 1 << 16


class Stage:
    """A generation's folder with two rings and the recorder's, and a data folder."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.folder = folder / "engine"
        here = generation_folder(self.folder, GENERATION)
        here.mkdir(parents=True)
        self._here = here
        self._own = self._make("recorder", Kind.RECORDER, layout.recorder_regions())
        self.recorder = self._make("recorder.ring", Kind.RING, layout.ring_regions(1 << 20)).array("words")
        size = layout.ring_regions(RING_BYTES)
        self.rings = {symbol: self._make(f"{symbol}.ring", Kind.RING, size, symbol) for symbol in SYMBOLS}
        tables = VenueSettings(), HttpSettings(), FeedSettings(), KeeperSettings(), JournalSettings()
        symbols = tuple(SymbolSettings(symbol) for symbol in SYMBOLS)
        self.job = Job(Settings("test", folder, self.data, *tables, symbols), GENERATION, self.folder, os.getpid())
        recorder = open_recorder(here, GENERATION)
        self.writers = {symbol: RingWriter(ring.array("words"), GENERATION) for symbol, ring in self.rings.items()}
        for symbol, writer in self.writers.items():
            writer.record(recorder, symbol, 1)

    def put(self, count: int, size: int = 100) -> None:
        """So many messages into each ring, each taken by its worker at once."""
        for symbol, writer in self.writers.items():
            words = self.rings[symbol].array("words")
            for _ in range(count):
                assert writer.push(bytes(size))
                writer.publish()
                words[layout.HEAD] = words[layout.TAIL]

    def tail(self, symbol: str) -> int:
        return int(self.rings[symbol].array("words")[layout.TAIL])

    def count(self, name: str) -> int:
        """A counter of the recorder's."""
        return int(self._own.array("words")[RECORDING_WORDS.index(name) * WORDS_A_LINE])

    @property
    def streams(self) -> dict[str, Stream]:
        """What is written."""
        return streams(self.data / "journal")

    @property
    def lanes(self) -> list[Lane]:
        """The rings that are named, each once."""
        found = made_journal.all_entries(self.data / "journal")
        return list(dict.fromkeys(entry for entry in found if isinstance(entry, Lane)))

    def start(self, line: bytes | None = None) -> subprocess.Popen[bytes]:
        """The process, with its job. Its standard input stays open."""
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.recorder"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=TOP
        )
        said = {"settings": self.job.settings.to_json(), "generation": GENERATION, "folder": str(self.folder)}
        assert process.stdin is not None
        process.stdin.write(line or json.dumps(said | {"supervisor_pid": os.getpid()}).encode() + b"\n")
        process.stdin.flush()
        return process

    def _make(self, name: str, kind: Kind, regions: layout.Regions, symbol: str = "") -> Segment:
        return create(self._here / name, kind, regions, generation=GENERATION, symbol=symbol)
