"""Entries into blocks: the bytes of them, their stamps, and what closes a file."""

import random
from pathlib import Path

import pytest

from engine.recorder.gathering import Gathering, closing
from engine.recorder.open_file import header
from shm.journal import BLOCK, END, FILE, Block, JournalFile, Name
from shm.journal_entries import Dropped, Entry, Piece, span
from tests import made_journal


def _gathered(entries: list[Entry]) -> Gathering:
    made = Gathering()
    for entry in entries:
        made.add(entry, span(entry.data) if isinstance(entry, Piece) else None)
    return made


def _file(blocks: list[tuple[Block, bytes]]) -> JournalFile:
    head = header(Name(1, 2), 3)
    end = closing([block for block, _ in blocks], blocks[-1][0].end if blocks else FILE.itemsize)
    return JournalFile(Path("made"), data=b"".join((head, *(data for _, data in blocks), end)))


def test_what_goes_in_is_read_back_with_its_stamps(seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 30)
    first = _gathered(made.entries[:20]).block(0, FILE.itemsize)
    second = _gathered(made.entries[20:]).block(1, first[0].end)
    file = _file([first, second])
    assert file.finished
    assert file.blocks == (first[0], second[0])
    assert list(file.entries()) == made.entries
    assert [(block.entries, block.lanes) for block in file.blocks] == [(20, 2), (len(made.entries) - 20, 0)]
    walls, recvs = ([record[at] for record in made.records] for at in (4, 3))
    assert (first[0].first_wall_ns, second[0].last_wall_ns) == (min(walls), max(walls))
    assert (first[0].first_recv_ns, second[0].last_recv_ns) == (min(recvs), max(recvs))


def test_what_does_not_shrink_is_stored_as_it_is(seed: int) -> None:
    noise, made = random.Random(seed).randbytes(500), Gathering()
    made.body += noise
    block, data = made.block(0, FILE.itemsize)
    assert block.stored_bytes == block.body_bytes == len(noise)
    assert data[BLOCK.itemsize :] == noise
    block, _ = _gathered([Dropped(0, 1, 2, 3, memoryview(bytes(500)))]).block(0, FILE.itemsize)
    assert block.stored_bytes < block.body_bytes / 4


@pytest.mark.parametrize("entry", [made_journal.lane(0), Piece(0, 0, 0, memoryview(b""))])
def test_what_has_no_time_has_no_stamps(entry: Entry) -> None:
    block, _ = _gathered([entry]).block(0, FILE.itemsize)
    assert (block.first_wall_ns, block.last_wall_ns, block.first_recv_ns, block.last_recv_ns) == (0, 0, 0, 0)


def test_a_file_without_blocks_is_closed_too() -> None:
    file = _file([])
    assert (file.finished, file.blocks, file.name) == (True, (), Name(1, 2))
    assert len(closing([], FILE.itemsize)) == BLOCK.itemsize + END.itemsize
