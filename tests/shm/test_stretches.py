"""Stretches of a ring out of journal entries: each byte once, and what is missing as such."""

from collections.abc import Sequence

import pytest

from shm.errors import JournalDamaged
from shm.journal_entries import Entry, Head, Lane, Loss, Piece
from shm.stretches import Stream, StretchReader

MNQ = Lane(0, "MNQ", 7, 1, 1 << 20)
DATA = bytes(range(200))


def piece(begin: int, end: int, lane: int = 0) -> Piece:
    return Piece(lane, begin, end, memoryview(DATA[begin:end]))


def read(entries: Sequence[Entry], reader: StretchReader | None = None) -> list[tuple[int, int, int, bytes | None]]:
    return [
        (each.stream.made, each.begin, each.end, None if each.data is None else bytes(each.data))
        for each in (reader or StretchReader("MNQ")).read(entries)
    ]


def test_what_was_taken_down_twice_comes_once() -> None:
    assert read([MNQ, piece(0, 16), piece(8, 40), piece(0, 40), MNQ, piece(40, 48)]) == [
        (1, 0, 16, DATA[:16]),
        (1, 16, 40, DATA[16:40]),
        (1, 40, 48, DATA[40:48]),
    ]


def test_another_lane_of_the_same_ring_goes_on_where_it_was() -> None:
    entries: list[Entry] = [MNQ, piece(0, 16), Lane(0, "MES", 7, 1, 1 << 20), MNQ._replace(lane=1), piece(0, 24, 1)]
    assert read(entries) == [
        (1, 0, 16, DATA[:16]),
        (1, 16, 24, DATA[16:24]),
    ]


def test_a_ring_that_was_made_anew_begins_anew_and_the_old_one_is_over() -> None:
    anew: list[Entry] = [MNQ, piece(0, 16), MNQ._replace(lane=1, made=2), piece(0, 8, 1), piece(16, 24)]
    assert read(anew) == [(1, 0, 16, DATA[:16]), (2, 0, 8, DATA[:8])]


def test_what_is_missing_is_a_stretch_without_bytes_marked_or_not() -> None:
    marked: list[list[Entry]] = [
        [],
        [Loss(0, 16, 32, 0, 0)],
        [Loss(0, 8, 24, 0, 0), Loss(0, 24, 32, 0, 0), Loss(0, -1, -1, 0, 0)],
    ]
    for marks in marked:
        found = read([MNQ, piece(0, 16), *marks, piece(32, 40)])
        assert [each[3] for each in found if each[3] is not None] == [DATA[:16], DATA[32:40]]
        lost = [each[1:3] for each in found if each[3] is None]
        assert (lost[0][0], lost[-1][1]) == (16, 32)


def test_nothing_is_missing_before_the_first_piece_unless_it_is_known_what_came_before() -> None:
    entries: list[Entry] = [MNQ, piece(32, 40)]
    assert read(entries) == [(1, 32, 40, DATA[32:40])]
    assert read(entries, StretchReader("MNQ", Stream(7, 1), 24))[0] == (1, 24, 32, None)
    assert read(entries, StretchReader("MNQ", Stream(7, 1), 36)) == [(1, 36, 40, DATA[36:40])]


def test_a_head_is_there_for_who_has_not_read_up_to_it() -> None:
    head = Head(0, 40, memoryview(b"standing"))
    assert read([MNQ, head, piece(40, 48), head]) == [(1, 40, 40, b"standing"), (1, 40, 48, DATA[40:48])]
    assert read([MNQ, piece(0, 16), head, piece(40, 48)]) == [
        (1, 0, 16, DATA[:16]),
        (1, 16, 16, b"standing"),
        (1, 16, 40, None),
        (1, 40, 48, DATA[40:48]),
    ]
    assert read([MNQ, piece(0, 40), head, piece(40, 48)]) == [(1, 0, 40, DATA[:40]), (1, 40, 48, DATA[40:48])]


@pytest.mark.parametrize("entry", [piece(0, 12), Head(0, 8, memoryview(b"no words"[:5]))])
def test_what_cannot_be_whole_records_is_said(entry: Entry) -> None:
    with pytest.raises(JournalDamaged, match="MNQ do not end"):
        read([MNQ, entry])
    assert read([MNQ._replace(symbol="MES"), entry]) == []
