"""Journal files in words, and every check that can be made of them. It reads all of what they hold."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shm.errors import JournalDamaged, LayoutError
from shm.journal import JournalFile, journal_files
from shm.journal_entries import Dropped, Entry, Head, Lane, Loss, Piece, RecordReader, RingRecord
from shm.layout import GAP, GENERATION_SHIFT, Record
from shm.quarantine import noted, set_aside

from ..table import reason_text
from .report import Check, Checks, Groups, Pairs, Report, first_of
from .words import wall

FILES_SHOWN = 20
LOSSES_SHOWN = 8


@dataclass(slots=True)
class Ring:
    """What was recorded of one ring. Of a lane that no entry names `symbol` is a question mark."""

    lane: Lane
    records: int = 0
    messages: int = 0
    payload_bytes: int = 0
    dropped: int = 0
    first_wall_ns: int = 0
    last_wall_ns: int = 0
    gaps: Counter[int] = field(default_factory=Counter)  # records, by reason
    missed: Counter[int] = field(default_factory=Counter)  # messages that these say are missing, by reason
    losses: list[Loss] = field(default_factory=list)
    jumps: list[str] = field(default_factory=list)  # stretches that are missing without a mark
    holes: list[str] = field(default_factory=list)  # sequences that are
    through: int | None = None  # position up to which it is read or marked as lost; None: whatever comes next is taken
    sequence: int | None = None  # of its last record, likewise

    def piece(self, piece: Piece) -> None:
        if self.through is not None and piece.begin > self.through:
            self.jumps.append(f"{self.name}: {self.through:,} to {piece.begin:,}")
            self.sequence = None  # one fault is enough
        self.through = max(self.through or 0, piece.end)

    def loss(self, loss: Loss) -> None:
        self.losses.append(loss)
        if loss.begin >= 0:
            self.through, self.sequence = max(self.through or 0, loss.end), None

    def record(self, record: RingRecord) -> None:
        reason, count, first = _gap(record)
        if record.kind == Record.GAP:
            self.gaps[reason] += 1
            self.missed[reason] += count
        if self.sequence is not None and record.sequence != self.sequence + 1:
            hole = self.sequence + 1, record.sequence - self.sequence - 1
            if hole != (first, count):
                self.holes.append(f"{self.name}: {record.sequence} after {self.sequence}")
        self.sequence = record.sequence
        self.records += 1
        self.messages += record.kind == Record.DATA
        self.payload_bytes += len(record.payload)
        self.first_wall_ns = self.first_wall_ns or record.wall_ns
        self.last_wall_ns = record.wall_ns

    @property
    def name(self) -> str:
        return f"{self.lane.symbol} {self.lane.generation}.{self.lane.made}"


class Shown(NamedTuple):
    """What is said of one file, in a list of them."""

    bytes: int
    finished: bool
    tail_bytes: int
    blocks: int
    entries: int
    body_bytes: int
    stored_bytes: int
    first_wall_ns: int
    last_wall_ns: int


class Contents:
    """Files of one journal, taken in their order: what is in them, by ring."""

    def __init__(self) -> None:
        self.files: dict[str, Shown] = {}
        self.rings: dict[tuple[str, int, int], Ring] = {}
        self.faults: list[str] = []
        self.deadly: list[str] = []  # files that cannot be run, and why
        self.left_out: set[tuple[str, int]] = set()  # symbol and sequence of records that nobody runs
        self._reader = RecordReader()

    def take(self, file: JournalFile) -> None:
        """Read all of it; of a damaged file the entries before the damage count."""
        walls = [wall_ns for block in file.blocks for wall_ns in (block.first_wall_ns, block.last_wall_ns) if wall_ns]
        self.files[file.path.name] = Shown(
            *(file.bytes, file.finished, file.tail_bytes, len(file.blocks)),
            sum(block.entries for block in file.blocks),
            sum(block.body_bytes for block in file.blocks),
            sum(block.stored_bytes for block in file.blocks),
            *(min(walls, default=0), max(walls, default=0)),
        )
        known = set_aside([file.path])
        self.left_out |= {(symbol, sequence) for symbol in known for sequence in known[symbol]}
        if why := noted(file.path, file.bytes, known):
            self.deadly.append(f"{file.path.name}: {why}")
        faults = list(file.verify())
        self.faults += faults
        try:
            for entry in file.entries():
                self._enter(entry)
        except JournalDamaged as error:
            self.damaged("" if faults else str(error))

    def damaged(self, fault: str) -> None:
        """Something was not read: what comes next need not follow what came before."""
        self.faults += [fault] if fault else []
        for ring in self.rings.values():
            ring.through = ring.sequence = None

    def _enter(self, entry: Entry) -> None:
        records = list(self._reader.read(entry))
        if isinstance(entry, Lane | Head):
            return
        lane = self._reader.lanes.get(entry.lane, Lane(entry.lane, "?", 0, 0, 0))
        ring = self.rings.setdefault((lane.symbol, lane.generation, lane.made), Ring(lane))
        if isinstance(entry, Dropped):
            ring.dropped += 1
        elif isinstance(entry, Loss):
            ring.loss(entry)
        else:
            ring.piece(entry)
        for record in records:
            ring.record(record)


def examine(path: Path) -> Report:
    """Describe and check a journal file, or a folder of them. Raises LayoutError for a file that is none, or is damaged
    where it opens; FileNotFoundError passes."""
    groups, checks = _folder(path) if path.is_dir() else _file(path)
    return Report(f"{path}", groups, checks)


def _file(path: Path) -> tuple[Groups, Checks]:
    contents = Contents()
    with JournalFile(path) as file:
        contents.take(file)
        name = f"generation {file.name.generation}, number {file.name.number}" if file.name else "not written"
        begun = wall(file.begun_wall_ns) if file.begun_wall_ns else "never"
    header = (("kind", "journal"), ("file", name), ("begun", begun), *_sums(list(contents.files.values())))
    return (("header", header), *_groups(contents)), _checks(contents)


def _folder(folder: Path) -> tuple[Groups, Checks]:
    """All its files as one stream."""
    contents = Contents()
    for path in journal_files(folder):
        try:
            with JournalFile(path) as file:
                contents.take(file)
        except FileNotFoundError:  # the recorder's limits took it since
            continue
        except LayoutError as error:
            contents.damaged(str(error))
        except OSError as error:
            contents.damaged(f"{path} cannot be read: {error.strerror}")
    files = contents.files
    header = (("kind", "journal"), ("files", f"{len(files):,}"), *_sums(list(files.values())))
    listed = [(name, _file_text(shown)) for name, shown in list(files.items())[-FILES_SHOWN:]]
    more = [("before", f"{len(files) - FILES_SHOWN:,} more")] if len(files) > FILES_SHOWN else []
    return (("header", header), ("files", (*more, *listed)), *_groups(contents)), _checks(contents)


def _sums(files: Sequence[Shown]) -> Iterator[tuple[str, str]]:
    body, stored = sum(file.body_bytes for file in files), sum(file.stored_bytes for file in files)
    blocks, entries = sum(file.blocks for file in files), sum(file.entries for file in files)
    open_files = sum(not file.finished for file in files)
    tail = sum(file.tail_bytes for file in files if not file.finished)
    yield "bytes", f"{sum(file.bytes for file in files):,}"
    yield "unfinished", f"{open_files:,}, with {tail:,} bytes behind their last whole blocks" if open_files else "none"
    yield "blocks", f"{blocks:,} of {entries:,} entries"
    yield "packed", f"{body:,} bytes to {stored:,}" + (f", {body / stored:.1f} to 1" if stored else "")
    yield "received", _range(files)


def _range(files: Sequence[Shown]) -> str:
    walls = [wall_ns for file in files for wall_ns in (file.first_wall_ns, file.last_wall_ns) if wall_ns]
    return f"{wall(min(walls))} to {wall(max(walls))}" if walls else "nothing"


def _file_text(file: Shown) -> str:
    return f"{_range([file])}, {file.stored_bytes:,} bytes" + ("" if file.finished else ", unfinished")


def _groups(contents: Contents) -> Iterator[tuple[str, Pairs]]:
    rings = sorted(contents.rings.values(), key=lambda ring: ring.lane[1:4])
    yield "rings: symbol, generation.made", tuple((ring.name, text) for ring in rings for text in _ring_texts(ring))
    gaps = [(ring.name, _gap_text(ring, reason)) for ring in rings for reason in sorted(ring.gaps)]
    losses = [(ring.name, _loss_text(loss)) for ring in rings for loss in ring.losses]
    there = {(ring.lane.symbol, ring.lane.generation) for ring in rings}
    left_out = [
        (symbol, f"sequence {sequence}")
        for symbol, sequence in sorted(contents.left_out)
        if (symbol, sequence >> GENERATION_SHIFT) in there
    ]
    if gaps:
        yield "gaps", tuple(gaps)
    if left_out:
        yield "set aside: records on which workers ended, left out of all that runs them", tuple(left_out)
    if losses:
        more = [("", f"and {len(losses) - LOSSES_SHOWN:,} more")] if len(losses) > LOSSES_SHOWN else []
        yield "losses: what could not be recorded", (*losses[:LOSSES_SHOWN], *more)


def _ring_texts(ring: Ring) -> Iterator[str]:
    text = f"{ring.records:,} records, {ring.messages:,} of them messages, {ring.payload_bytes:,} bytes"
    yield text + (f"; {ring.dropped:,} messages dropped" if ring.dropped else "")
    if ring.records:
        yield f"{wall(ring.first_wall_ns)} to {wall(ring.last_wall_ns)}, through sequence {ring.sequence}"


def _gap_text(ring: Ring, reason: int) -> str:
    missed = f", {ring.missed[reason]:,} messages missed" if ring.missed[reason] else ""
    return f"{ring.gaps[reason]:,} times: {reason_text(reason)}{missed}"


def _loss_text(loss: Loss) -> str:
    where = f"bytes {loss.begin:,} to {loss.end:,}" if loss.begin >= 0 else "dropped messages"
    return where + (f", sequences {loss.first_sequence} to {loss.last_sequence}" if loss.last_sequence else "")


def _checks(contents: Contents) -> Checks:
    rings = contents.rings.values()
    blocks = sum(file.blocks for file in contents.files.values())
    jumps = [jump for ring in rings for jump in ring.jumps]
    holes = [hole for ring in rings for hole in ring.holes]
    return (
        Check(f"headers, indexes, and {blocks:,} blocks: checksums and entries", first_of(contents.faults)),
        Check("pieces: each touches the one before, or a loss is marked", first_of(jumps)),
        Check("sequences: no hole that a gap does not name", first_of(holes)),
        Check("files: none ended the processes that ran it", first_of(contents.deadly)),
    )


def _gap(record: RingRecord) -> tuple[int, int, int]:
    """Reason, count, and first sequence of what a gap record says is missing; zeros for any other record."""
    if record.kind != Record.GAP or len(record.payload) != GAP.itemsize:
        return 0, 0, 0
    row = np.frombuffer(record.payload, GAP)[0]
    return int(row["reason"]), int(row["count"]), int(row["first_sequence"])
