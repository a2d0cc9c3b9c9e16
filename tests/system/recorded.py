"""The journal that an engine's recorder writes, against the rings that it is of: each byte once, and no hole."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shm import layout
from shm.journal import JournalFile, journal_files
from shm.journal_entries import Dropped, Entry, Lane, Loss, Piece, RecordReader, RingRecord
from shm.layout import Kind, Record
from shm.registry import generation_folder
from shm.segment import Segment, attach
from tests.system.running import Running
from tests.waiting import wait_for

LIMIT_S = 60.0


class Stream(NamedTuple):
    """What is written down of one ring."""

    pieces: list[tuple[int, int]]  # their positions
    records: list[RingRecord]
    dropped: list[int]  # sequences
    lost: list[Loss]


def streams(folder: Path) -> dict[str, Stream]:
    """By symbol; each was made once."""
    found: dict[int, Stream] = {}
    reader = RecordReader()
    for entry in _entries(folder):
        if isinstance(entry, Lane):
            found.setdefault(entry.lane, Stream([], [], [], []))
        elif isinstance(entry, Piece):
            found[entry.lane].pieces.append((entry.begin, entry.end))
        elif isinstance(entry, Dropped):
            found[entry.lane].dropped.append(entry.sequence)
        elif isinstance(entry, Loss):
            found[entry.lane].lost.append(entry)
        for record in reader.read(entry):
            found[record.lane].records.append(record)
    return {reader.lanes[lane].symbol: stream for lane, stream in found.items()}


def _entries(folder: Path) -> Iterable[Entry]:
    for path in journal_files(folder):
        with JournalFile(path) as file:
            yield from file.entries()


def check_whole(stream: Stream) -> int:
    """Each byte is there once, from the first on, and each record; the position that it goes through."""
    assert stream.lost == []
    return check_marked(stream)


def check_marked(stream: Stream) -> int:
    """The same, but for what a mark says is missing."""
    lost = {loss.begin: loss for loss in stream.lost}
    through = 0
    for begin, end in stream.pieces:
        if begin != through:
            assert lost.pop(through).end == begin
        through = end
    if through in lost:
        through = lost.pop(through).end  # and nothing came after
    assert lost == {}
    behind = {loss.first_sequence: loss.last_sequence + 1 for loss in stream.lost}
    expected = stream.records[0].sequence
    assert expected & ((1 << layout.GENERATION_SHIFT) - 1) == 0
    for record in stream.records:
        expected = behind.get(expected, expected)
        if record.kind == Record.GAP and (gap := np.frombuffer(record.payload, layout.GAP)[0])["count"]:
            assert gap["first_sequence"] == expected
            expected += int(gap["count"])
        assert record.sequence == expected
        expected += 1
    return through


def rings_of(engine: Running) -> dict[str, Segment]:
    """The rings of its instruments, that can be looked at even when it has ended."""
    registry = engine.registry
    here = generation_folder(engine.folder, registry.generation)
    symbols = [each.symbol for each in registry.instruments]
    return {symbol: attach(here / f"{symbol}.ring", Kind.RING, symbol=symbol) for symbol in symbols}


def recorder_counts(engine: Running) -> dict[str, int]:
    with_lines = _own(engine).array("words")[:: layout.WORDS_A_LINE].tolist()
    return dict(zip(layout.RECORDING_WORDS, with_lines, strict=False))


def recorder_pid(engine: Running) -> int:
    """Of a recorder that is at work."""
    wait_for(lambda: engine.registry.recorder_pid, LIMIT_S, "a recorder")
    found = _own(engine)
    wait_for(lambda: found.writer()[0] == engine.registry.recorder_pid, LIMIT_S, "it has its segment")
    beats = recorder_counts(engine)["heartbeat"]
    wait_for(lambda: recorder_counts(engine)["heartbeat"] > beats, LIMIT_S, "it turns")
    return engine.registry.recorder_pid


def _own(engine: Running) -> Segment:
    return attach(generation_folder(engine.folder, engine.registry.generation) / "recorder", Kind.RECORDER)


def another(engine: Running, before: int, role: str) -> int:
    """The process that took the place of a killed one."""
    wait_for(lambda: getattr(engine.registry, role) not in (0, before), LIMIT_S, f"another {role}")
    pid: int = getattr(engine.registry, role)
    os.kill(pid, 0)
    return pid
