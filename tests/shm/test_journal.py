"""Journal files cut at every byte, changed in every bit, damaged in the middle, and read while they are written."""

import os
import random
from pathlib import Path

import numpy as np
import pytest

from engine.recorder.recorder import Options
from shm.errors import JournalDamaged, LayoutError
from shm.journal import (
    BLOCK,
    END,
    FILE,
    MAX_BODY_BYTES,
    PAGE_BYTES,
    VERSION,
    JournalFile,
    Name,
    journal_files,
    parse_name,
    records,
    seal,
)
from shm.journal_bytes import OnDisk
from shm.journal_entries import RingRecord
from tests import made_journal
from tests.made_journal import BEGIN, Made, later

SMALL = Options(block_bytes=2000, block_ns=10**18)
SEVERAL = Options(block_bytes=500, file_bytes=3000)

pytestmark = pytest.mark.timeout(600)


def _file(folder: Path, made: Made, options: Options = SMALL, *, closed: bool = True) -> Path:
    recorder = made_journal.record(folder, made.entries, options)
    if closed:
        recorder.close(later(10**6))
    else:
        recorder._flush(later(10**6))
    (path,) = journal_files(folder)
    return path


def _records(path: Path, *, salvage: bool = False) -> list[RingRecord]:
    with JournalFile(path, salvage=salvage) as file:
        return list(records([file]))


@pytest.mark.parametrize("closed", [True, False])
def test_what_was_recorded_is_read(tmp_path: Path, seed: int, closed: bool) -> None:
    made = made_journal.stream(random.Random(seed), 200)
    path = _file(tmp_path, made, closed=closed)
    with JournalFile(path) as file:
        assert file.finished == closed
        assert file.name == Name(made_journal.GENERATION, 0) == parse_name(path.name)
        assert (file.tail_bytes == 0) == (not closed)
        assert list(file.verify()) == []
        assert list(records([file])) == made.records
        assert file.blocks[-1].last_wall_ns == made.records[-1].wall_ns
    assert sum(block.stored_bytes for block in file.blocks) < sum(block.body_bytes for block in file.blocks)


def test_a_stretch_of_time_and_an_instrument(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 200)
    with JournalFile(_file(tmp_path, made)) as file:
        start, end = later(500).wall_ns, later(900).wall_ns
        wanted = [record for record in made.records if start <= record.wall_ns < end]
        assert list(records([file], start, end)) == wanted
        of_one = list(records([file], start, end, {"MES"}))
        assert of_one == [record for record in wanted if record.lane == 1]
        assert {record.symbol for record in of_one} == {"MES"}
        read = [block for block in file.blocks if block.overlaps(start, end)]
        assert len(read) < len(file.blocks) / 2


def test_cut_at_every_byte_the_complete_records_are_there(tmp_path: Path, seed: int) -> None:
    """The last 64 KiB, byte by byte, index and end among them. A block is complete when its last byte is there."""
    made = made_journal.stream(random.Random(seed), 650)
    path = _file(tmp_path, made, Options(block_bytes=40_000, block_ns=10**18))
    data = memoryview(path.read_bytes())
    assert len(data) > 64 << 10
    with JournalFile(path, data=data) as file:
        blocks = file.blocks
        counts = [sum(1 for _ in records([_only(file, i)])) for i in range(len(blocks) + 1)]
    assert counts[-1] == len(made.records)
    for cut in range(len(data) - 1, len(data) - (64 << 10) - 1, -1):
        with JournalFile(path, data=data[:cut]) as file:
            whole = sum(block.end <= cut for block in blocks)
            assert file.blocks == blocks[:whole], f"cut to {cut}"
            assert not file.finished
            if cut % 997 == 0:
                assert sum(1 for _ in records([file])) == counts[whole]


def _only(file: JournalFile, blocks: int) -> JournalFile:
    """The file as if it had just its first blocks."""
    first = JournalFile(file.path)
    first.blocks = file.blocks[:blocks]
    return first


def test_cut_within_its_header_it_has_no_block(tmp_path: Path, seed: int) -> None:
    path = _file(tmp_path, made_journal.stream(random.Random(seed), 3))
    data = path.read_bytes()
    for left in (*(data[:cut] for cut in range(FILE.itemsize)), bytes(FILE.itemsize)):
        with JournalFile(path, data=left) as file:
            assert (file.blocks, file.name, file.tail_bytes) == ((), None, 0)


@pytest.mark.parametrize("closed", [True, False])
def test_every_flipped_bit_is_found(tmp_path: Path, seed: int, closed: bool) -> None:
    """4 KiB and more of a whole file, header, index and end among them: opening it or reading it refuses."""
    path = _file(tmp_path, made_journal.stream(random.Random(seed), 40), Options(1200, 10**18), closed=closed)
    data = bytearray(path.read_bytes())
    assert len(data) > 4096
    for at in range(len(data)):
        for bit in range(8):
            data[at] ^= 1 << bit
            assert _is_refused(path, data), f"byte {at}, bit {bit}"
            data[at] ^= 1 << bit
    assert not _is_refused(path, data)


def _is_refused(path: Path, data: bytearray) -> bool:
    try:
        with JournalFile(path, data=data) as file:
            is_bad = any(file.verify())
            for _ in file.entries():
                pass
    except LayoutError:
        return True
    assert not is_bad, "what verify() finds must be refused when it is read"
    return False


def test_damage_in_the_middle_is_refused_unless_salvage_is_asked_for(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 400)
    path = _file(tmp_path, made)
    with JournalFile(path) as file:
        blocks = file.blocks
    middle = len(blocks) // 2
    data = bytearray(path.read_bytes())
    data[blocks[middle].offset + BLOCK.itemsize + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalDamaged, match="checksum"):
        _records(path)
    with JournalFile(path, salvage=True) as file:
        assert file.blocks == blocks[:middle]
        assert "checksum" in file.fault
    kept = _records(path, salvage=True)
    assert 0 < len(kept) < len(made.records)
    assert kept == made.records[: len(kept)]
    data[blocks[3].offset + 20] ^= 1  # a header, and the index is cut off: now it is found on opening
    path.write_bytes(data[:-10])
    with pytest.raises(JournalDamaged, match="block header at byte"):
        JournalFile(path)
    with JournalFile(path, salvage=True) as file:
        assert file.blocks == blocks[:3]


def test_a_changed_header_of_a_block_is_refused_where_the_index_knows_the_block(tmp_path: Path, seed: int) -> None:
    path = _file(tmp_path, made_journal.stream(random.Random(seed), 100))
    with JournalFile(path) as file:
        blocks = file.blocks
    data = bytearray(path.read_bytes())
    data[blocks[1].offset + 20] ^= 1
    with JournalFile(path, data=data) as file:
        assert file.blocks == blocks
        assert len(file.entries_of(blocks[0])) == blocks[0].entries
        with pytest.raises(JournalDamaged, match=f"block header at byte {blocks[1].offset:,}"):
            list(records([file]))
    with JournalFile(path, data=data, salvage=True) as file:
        assert file.blocks == blocks[:1]
    row = np.frombuffer(bytes(data[blocks[1].offset : blocks[1].offset + BLOCK.itemsize]), BLOCK).copy()
    data[blocks[1].offset : blocks[1].offset + BLOCK.itemsize] = seal(row)  # and its checksum fits that
    with JournalFile(path, data=data) as file, pytest.raises(JournalDamaged, match="not what the index says"):
        file.entries_of(blocks[1])


@pytest.mark.parametrize("closed", [True, False])
def test_a_file_of_any_length_is_read_in_bounded_pieces(
    tmp_path: Path, seed: int, closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of ours has anything behind its end. Zeros behind the blocks of one that has no end were not written."""
    made = made_journal.stream(random.Random(seed), 50)
    path = _file(tmp_path, made, closed=closed)
    with JournalFile(path) as file:
        blocks = file.blocks
    os.truncate(path, 200 << 30)
    read, most = OnDisk.read, 0

    def watched(source: OnDisk, size: int, offset: int) -> bytes:
        nonlocal most
        most = max(most, size)
        assert size <= MAX_BODY_BYTES
        return read(source, size, offset)

    monkeypatch.setattr(OnDisk, "read", watched)
    if closed:
        with pytest.raises(JournalDamaged, match="or bytes behind it"):
            JournalFile(path)
    else:
        assert _records(path) == made.records
    with JournalFile(path, salvage=True) as file:
        assert file.blocks == blocks
        assert bool(file.fault) == closed
    assert most > 0


def test_a_file_with_the_name_of_another_is_refused(tmp_path: Path, seed: int) -> None:
    """Behind one that was written later its records would be taken for old ones, and left out."""
    recorder = made_journal.record(tmp_path, made_journal.stream(random.Random(seed), 100).entries, SEVERAL)
    recorder.close(later(10**6))
    first, second, *_ = journal_files(tmp_path)
    first.rename(tmp_path / "kept")
    second.rename(first)
    (tmp_path / "kept").rename(second)
    for path, name in ((first, second.name), (second, first.name)):
        with pytest.raises(LayoutError, match=f"was {name} when it was written: give it that name again"):
            JournalFile(path)
        with JournalFile(path, salvage=True) as file:
            assert file.blocks
    first.rename(tmp_path / "any.sbj")  # what is no name of the journal's says nothing
    with JournalFile(tmp_path / "any.sbj") as file:
        assert list(records([file]))


def test_of_another_version_whose_checksum_fits_it_is_one_sentence(tmp_path: Path, seed: int) -> None:
    path = _file(tmp_path, made_journal.stream(random.Random(seed), 10))
    data = path.read_bytes()
    row = np.frombuffer(data[: FILE.itemsize], FILE).copy()
    row["version"] = VERSION + 1
    for salvage in (True, False):
        with pytest.raises(LayoutError, match=f"journal version {VERSION + 1}, this program reads {VERSION}"):
            JournalFile(path, data=seal(row) + data[FILE.itemsize :], salvage=salvage)


@pytest.mark.parametrize("closing", [True, False])
def test_pages_that_a_power_loss_took_end_an_unfinished_file(tmp_path: Path, seed: int, closing: bool) -> None:
    """Any pages behind the last sync are missing, or are as they were after a write in between; the file has any
    length that it had since. All that was synced is read, and what is read was written."""
    chance = random.Random(seed)
    made = made_journal.stream(chance, 300)
    path = _file(tmp_path, made, closed=closing)
    data = path.read_bytes()
    with JournalFile(path) as file:
        blocks = file.blocks
    ends = [FILE.itemsize, *(block.end for block in blocks), *([len(data)] if closing else [])]
    seen = set()
    for _ in range(500):
        synced = len(blocks) if closing else chance.randrange(len(blocks))
        left = _after_power_loss(chance, data, ends, synced)
        with JournalFile(path, data=left) as file:
            assert synced <= len(file.blocks) <= len(blocks)
            assert file.blocks == blocks[: len(file.blocks)]
            assert list(file.verify()) == []
            found = list(records([file]))
            seen.add((file.finished, len(file.blocks) - synced))
        assert found == made.records[: len(found)]
    assert len(seen) > 1


def _after_power_loss(chance: random.Random, data: bytes, ends: list[int], synced: int) -> bytes:
    """The file when only the first `synced` blocks are sure; the rest is there page by page, or not."""
    left = bytearray(ends[chance.randrange(synced, len(ends))])
    for page in range(0, len(left), PAGE_BYTES):
        written = ends[chance.choice((synced, len(ends) - 1, chance.randrange(synced, len(ends))))]
        through = min(page + PAGE_BYTES, written, len(left))
        if through > page:
            left[page:through] = data[page:through]
    return bytes(left)


def test_an_open_file_is_read_while_it_is_written(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 100)
    recorder = made_journal.record(tmp_path, made.entries[:50], SMALL)
    (path,) = journal_files(tmp_path)
    before = _records(path)
    assert 0 < len(before) < len(made.records)
    assert before == made.records[: len(before)]
    recorder.take(made.entries[50:], later(10**4))
    recorder.close(later(10**4))
    assert _records(path) == made.records


@pytest.mark.parametrize("content", [b"x" * 500, b"SBJ" + b"x" * 500, bytes(4096)])
def test_a_foreign_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.sbj"
    path.write_bytes(content)
    with pytest.raises(LayoutError, match=r"any\.sbj is no journal: it does not begin as one"):
        JournalFile(path)
    with pytest.raises(LayoutError, match="not a regular file"):
        JournalFile(tmp_path)
    (tmp_path / "link.sbj").symlink_to(path)
    with pytest.raises(LayoutError, match=r"link\.sbj is a symbolic link, and those are not followed"):
        JournalFile(tmp_path / "link.sbj")


def test_names_sort_by_time(tmp_path: Path) -> None:
    for name in (Name(10, 2), Name(9, 11), Name(10, 0)):
        (tmp_path / name.text).touch()
    (tmp_path / "other.sbj").touch()
    assert [parse_name(path.name) for path in journal_files(tmp_path)] == [(9, 11), (10, 0), (10, 2)]
    assert journal_files(tmp_path / "none") == []
    assert END.itemsize % 8 == BLOCK.itemsize % 8 == FILE.itemsize % 8 == 0
    assert BEGIN.wall_ns % 86_400_000_000_000 == 0
