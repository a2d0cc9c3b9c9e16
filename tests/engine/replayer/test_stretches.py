"""A journal as stretches: of the instruments that are wanted, up to a time, with what is missing marked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.replayer.pace import FOREVER_NS
from engine.replayer.stretches import entries_of, stretches, survey
from shm.errors import JournalDamaged, LayoutError
from shm.journal import JournalFile, files_of
from shm.journal_entries import Entry, Head, Lane, Loss, Piece
from shm.refill import words_of
from tests import recorded_minute
from tests.recorded_minute import BEGIN_NS, STEP_NS, SYMBOLS, bytes_of, made


@pytest.fixture
def entries(seed: int) -> list[Entry]:
    return made(np.random.default_rng(seed), 60)


def joined(found: list[Any], symbol: str) -> bytes:
    return b"".join(each.words.tobytes() for each in found if each.symbol == symbol)


def test_each_instrument_gets_all_that_it_received(entries: list[Entry]) -> None:
    found = list(stretches(entries, SYMBOLS))
    assert not any(each.is_torn for each in found)
    for symbol in SYMBOLS:
        assert joined(found, symbol) == bytes_of(entries, symbol)


def test_only_those_that_are_wanted_come(entries: list[Entry]) -> None:
    assert {each.symbol for each in stretches(entries, ["MNQ"])} == {"MNQ"}


def test_a_stretch_that_is_missing_tears_the_next(entries: list[Entry]) -> None:
    places = [i for i, entry in enumerate(entries) if isinstance(entry, Piece) and entry.lane == 1]
    del entries[places[2]]
    found = [each for each in stretches(entries, SYMBOLS) if each.symbol == SYMBOLS[1]]
    assert [i for i, each in enumerate(found) if each.is_torn] == [2]


def test_what_was_taken_down_twice_tears_nothing(entries: list[Entry]) -> None:
    entries[8:8] = entries[2:8]
    assert not any(each.is_torn for each in stretches(entries, SYMBOLS))


def test_a_journal_that_begins_in_the_middle_is_torn_there(entries: list[Entry]) -> None:
    pieces = [entry for entry in entries[2:] if isinstance(entry, Piece) and entry.lane == 0]
    assert next(stretches([*entries[:2], *pieces[1:]], SYMBOLS)).is_torn


def test_a_head_comes_where_what_it_repeats_was_not_read(entries: list[Entry]) -> None:
    first, *rest = (entry for entry in entries if isinstance(entry, Piece) and entry.lane == 0)
    head = Head(0, first.end, first.data)
    found = list(stretches([*entries[:2], head, *rest], SYMBOLS))
    assert [each.is_torn for each in found] == [False, True, *[False] * (len(rest) - 1)]
    assert joined(found, SYMBOLS[0]) == bytes_of(entries, SYMBOLS[0])
    assert len(list(stretches([*entries[:2], first, head, *rest], SYMBOLS))) == 1 + len(rest)
    assert joined(list(stretches([*entries[:2], head], SYMBOLS, BEGIN_NS)), SYMBOLS[0]) == b""


def test_nothing_of_the_end_or_later_comes(entries: list[Entry]) -> None:
    to_ns = BEGIN_NS + 30 * STEP_NS
    before = list(stretches([entry for entry in entries if _first_wall_ns(entry) < to_ns], SYMBOLS))
    found = list(stretches(entries, SYMBOLS, to_ns))
    for symbol in SYMBOLS:
        assert joined(found, symbol) == joined(before, symbol)


def _first_wall_ns(entry: Entry) -> int:
    """All records of a piece of these are of one time."""
    return int(words_of(bytes(entry.data[:32]))[3]) if isinstance(entry, Piece) else 0


def test_a_piece_of_nobody_knows_what_is_damage(entries: list[Entry]) -> None:
    with pytest.raises(JournalDamaged, match="never said"):
        list(stretches(entries[1:], SYMBOLS))


def test_files_are_found_in_the_order_of_their_names(entries: list[Entry], tmp_path: Path) -> None:
    recorded_minute.write(tmp_path / "journal", entries)
    (file,) = files_of([tmp_path])
    assert files_of([file, tmp_path / "journal"]) == [file]
    content = survey([file])
    assert content.symbols == list(SYMBOLS)
    assert content.first_wall_ns is not None
    assert content.first_wall_ns >= BEGIN_NS
    assert content.last_wall_ns == BEGIN_NS + 59 * STEP_NS
    found = list(stretches(entries_of([file]), SYMBOLS))
    assert joined(found, "MNQ") == bytes_of(entries, "MNQ")


def test_up_to_a_time_blocks_come_joined_and_from_there_on_as_they_were_taken_down(
    entries: list[Entry], tmp_path: Path
) -> None:
    recorded_minute.write(tmp_path, entries)
    files = files_of([tmp_path])
    plain = list(entries_of(files))
    with JournalFile(files[0]) as file:
        middle = file.blocks[len(file.blocks) // 2]
        after = [entry for block in file.blocks[middle.number + 1 :] for entry in file.entries_of(block)]
    some = list(entries_of(files, None, middle.last_wall_ns + 1))
    assert some[len(some) - len(after) :] == after
    for found in (some, list(entries_of(files, None, FOREVER_NS))):
        assert len(found) < len(plain)
        for symbol in SYMBOLS:
            assert joined(list(stretches(found, SYMBOLS)), symbol) == bytes_of(entries, symbol)


def test_what_a_journal_says_was_lost_tears_the_next(entries: list[Entry]) -> None:
    places = [i for i, entry in enumerate(entries) if isinstance(entry, Piece) and entry.lane == 1]
    lost = entries[places[2]]
    assert isinstance(lost, Piece)
    entries[places[2]] = Loss(1, lost.begin, lost.end, 0, 0)
    found = [each for each in stretches(entries, SYMBOLS) if each.symbol == SYMBOLS[1]]
    assert [i for i, each in enumerate(found) if each.is_torn] == [2]


def test_a_ring_made_anew_is_torn_only_if_its_beginning_is_missing(entries: list[Entry]) -> None:
    first, second = [entry for entry in entries[2:] if isinstance(entry, Piece) and entry.lane == 0][:2]
    lane = entries[0]
    assert isinstance(lane, Lane)
    anew: list[Entry] = [lane, first, lane._replace(made=lane.made + 1)]
    assert [each.is_torn for each in stretches([*anew, first, second], SYMBOLS)] == [False] * 3
    assert [each.is_torn for each in stretches([*anew, second], SYMBOLS)] == [False, True]


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no journal files"):
        files_of([tmp_path])
    with pytest.raises(FileNotFoundError):
        files_of([tmp_path / "none"])
