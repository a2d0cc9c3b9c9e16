"""Blocks read with touching pieces as one: the same bytes of each lane, past nothing that is between them."""

import itertools
import random
import re
from pathlib import Path

import pytest

from shm import joined
from shm.errors import JournalDamaged
from shm.joined import joined_from, joined_of, parse_joined
from shm.journal import JournalFile, journal_files
from shm.journal_entries import Dropped, Entry, Head, Lane, Loss, Piece, pack, parse_block
from tests import made_journal, made_past

MNQ = Lane(0, "MNQ", 7, 1, 1 << 20)
DATA = bytes(range(200))


def piece(begin: int, end: int, lane: int = 0) -> Piece:
    return Piece(lane, begin, end, memoryview(DATA[begin:end]))


def read(entries: list[Entry]) -> list[Entry]:
    return parse_joined(memoryview(b"".join(map(pack, entries))), len(entries))


def some(rng: random.Random, count: int) -> list[Entry]:
    """Of three lanes: pieces that mostly touch, some twice and some missing, and now and then another entry."""
    through = [0, 0, 0]
    entries: list[Entry] = []
    while len(entries) < count:
        lane = rng.randrange(3)
        what = rng.randrange(40)
        if what == 0:
            entries.append(Loss(lane, through[lane], through[lane] + 8, 0, 0))
        elif what == 1:
            entries.append(Head(lane, through[lane], memoryview(rng.randbytes(16))))
        elif what == 2:
            entries.append(MNQ._replace(lane=lane))
        elif what == 3:
            entries.append(Dropped(lane, 1, 2, 3, memoryview(rng.randbytes(rng.randrange(20)))))
        else:
            begin = max(0, through[lane] + (8 * rng.randint(-2, 2) if what == 4 else 0))
            data = rng.randbytes(8 * rng.randrange(4))
            through[lane] = begin + len(data)
            entries.append(Piece(lane, begin, through[lane], memoryview(data)))
    return entries


def apart(entries: list[Entry], lane: int) -> list[Entry]:
    """What one lane's reader has to see: its pieces put together the plain way, between what else there is."""
    found: list[Entry] = []
    for entry in entries:
        last = found[-1] if found else None
        if isinstance(entry, Dropped) or (isinstance(entry, Piece) and entry.lane != lane):
            continue
        if isinstance(entry, Piece) and isinstance(last, Piece) and last.end == entry.begin:
            found[-1] = Piece(lane, last.begin, entry.end, memoryview(bytes(last.data) + bytes(entry.data)))
        else:
            found.append(entry)
    return found


def test_pieces_that_touch_are_one_whatever_lies_between_them_of_other_lanes() -> None:
    entries: list[Entry] = [piece(0, 16), piece(0, 8, 1), piece(16, 40), piece(8, 24, 1), piece(48, 56), piece(40, 48)]
    assert read(entries) == [piece(0, 40), piece(0, 24, 1), piece(48, 56), piece(40, 48)]


@pytest.mark.parametrize("between", [MNQ, Loss(1, 0, 8, 0, 0), Head(1, 8, memoryview(b"standing"))])
def test_nothing_is_moved_past_an_entry_of_another_kind(between: Entry) -> None:
    assert read([piece(0, 8), between, piece(8, 16)]) == [piece(0, 8), between, piece(8, 16)]


def test_messages_that_were_dropped_part_nothing() -> None:
    dropped = Dropped(0, 1, 2, 3, memoryview(b"message"))
    assert read([piece(0, 8), dropped, piece(8, 16)]) == [piece(0, 16), dropped]


def test_each_lane_reads_the_same(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        entries = some(rng, 200)
        found = read(entries)
        assert len(found) < len(entries)
        for lane in range(3):
            assert apart(found, lane) == apart(entries, lane)
        assert [each for each in found if isinstance(each, Dropped)] == [
            each for each in entries if isinstance(each, Dropped)
        ]


def test_of_more_lanes_than_are_looked_back_for_all_is_there() -> None:
    entries: list[Entry] = [piece(begin, begin + 8, lane) for begin in range(0, 24, 8) for lane in range(300)]
    found = read(entries)
    for lane in (0, 150, 299):
        assert apart(found, lane) == [piece(0, 24, lane)]


def test_whatever_is_wrong_is_what_it_is_unjoined(seed: int) -> None:
    rng = random.Random(seed)
    seen: set[bool] = set()
    for _ in range(2000):
        entries = some(rng, 12)
        body = bytearray(b"".join(map(pack, entries)))
        count = len(entries) + (rng.randrange(20) == 0)
        for _ in range(rng.randrange(3)):
            body[rng.randrange(len(body))] = rng.choice((0, 1, 8, 0x7F, 0xFF))
        if rng.randrange(5) == 0:
            del body[rng.randrange(len(body)) :]
        try:
            expected = parse_block(memoryview(bytes(body)), count)
        except JournalDamaged as error:
            with pytest.raises(JournalDamaged, match=re.escape(str(error))):
                parse_joined(memoryview(bytes(body)), count)
            seen.add(False)
            continue
        found = parse_joined(memoryview(bytes(body)), count)
        for lane in range(3):
            assert apart(found, lane) == apart(expected, lane)
        seen.add(True)
    assert seen == {False, True}


def test_numbers_that_wrap_around_are_no_piece() -> None:
    body = bytearray(pack(piece(0, 16)))
    body[24:40] = (2**63 - 8).to_bytes(8, "little") + (-(2**63) + 8).to_bytes(8, "little", signed=True)
    with pytest.raises(JournalDamaged, match="has 16 bytes"):
        parse_joined(memoryview(bytes(body)), 1)


def test_what_comes_is_not_to_be_written_to() -> None:
    """As unjoined: kernels that read it are compiled for that."""
    (found,) = read([piece(0, 16)])
    assert isinstance(found, Piece)
    assert found.data.readonly
    joined.warm()


def test_from_any_block_on_the_lanes_are_known(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 400)
    made_past.record(tmp_path, 7, made.entries)
    with JournalFile(journal_files(tmp_path)[0]) as file:
        assert len(file.blocks) > 3
        whole = [[each for each in joined_of(file, block) if not isinstance(each, Lane)] for block in file.blocks]
        for number in range(len(file.blocks)):
            found = list(joined_from(file, number))
            assert [each for each in found if not isinstance(each, Lane)] == [*itertools.chain(*whole[number:])]
            assert {each.symbol for each in found if isinstance(each, Lane)} == {"MNQ", "MES"}
