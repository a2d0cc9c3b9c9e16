"""Trading hours from the keeper's files into the rings: all of them, in order, once, and again into a new ring."""

import logging
from pathlib import Path

import numpy as np
import pytest

from engine import hours
from engine.hours_relay import HoursRelay
from shm.layout import KEPT_SESSIONS, MAX_SESSION_ROWS, Rows
from tests.engine.test_hours import rows_of


class Ring:
    """Takes records while it has room."""

    def __init__(self, room: int = 99) -> None:
        self.room = room
        self.records: list[Rows] = []
        self.published = 0

    def sessions(self, rows: Rows) -> bool:
        assert 1 <= len(rows) <= MAX_SESSION_ROWS
        if len(self.records) < self.room:
            self.records.append(rows.copy())
            return True
        return False

    def publish(self) -> bool:
        self.published = len(self.records)
        return True

    def days(self) -> list[int]:
        """Of all rows that it was given, each once."""
        assert self.published == len(self.records)
        return (
            np.unique(np.concatenate([each["trading_day"] for each in self.records])).tolist() if self.records else []
        )


@pytest.fixture
def relay(tmp_path: Path) -> HoursRelay:
    return HoursRelay(tmp_path)


def put(folder: Path, count: int, symbol: str = "MNQ") -> None:
    hours.write(hours.path_of(folder, symbol), rows_of(count))


@pytest.mark.parametrize("count", [1, MAX_SESSION_ROWS, MAX_SESSION_ROWS + 1, KEPT_SESSIONS])
def test_all_rows_go_down_the_ring_in_records_that_leave_no_time_between_them(
    relay: HoursRelay, tmp_path: Path, count: int
) -> None:
    ring = Ring()
    relay.look({"MNQ": ring})
    assert ring.records == []
    put(tmp_path, count)
    relay.look({"MNQ": ring})
    assert ring.days() == list(range(count))
    for before, after in zip(ring.records, ring.records[1:], strict=False):
        assert before[-1] == after[0]
    records = len(ring.records)
    relay.look({"MNQ": ring})
    assert len(ring.records) == records, "what was given is given once"


def test_a_file_that_takes_the_place_of_another_is_given_and_only_to_its_ring(
    relay: HoursRelay, tmp_path: Path
) -> None:
    mnq, mes = Ring(), Ring()
    put(tmp_path, 2)
    put(tmp_path, 3, "MES")
    relay.look({"MNQ": mnq, "MES": mes})
    put(tmp_path, 5)
    relay.look({"MNQ": mnq, "MES": mes})
    assert [len(each) for each in mnq.records] == [2, 5]
    assert [len(each) for each in mes.records] == [3]


def test_a_ring_that_is_made_anew_is_given_what_there_is(relay: HoursRelay, tmp_path: Path) -> None:
    put(tmp_path, 2)
    old, new, newer = Ring(), Ring(), Ring()
    for ring in (old, new):
        relay.look({"MNQ": ring})
        assert ring.days() == [0, 1]
    relay.look({})
    relay.look({"MNQ": newer})
    assert newer.days() == [0, 1]


def test_a_ring_without_room_is_given_the_rest_later(relay: HoursRelay, tmp_path: Path) -> None:
    put(tmp_path, KEPT_SESSIONS)
    ring = Ring(room=0)
    for room in (0, 1, 3, 99):
        ring.room = room
        relay.look({"MNQ": ring})
        assert len(ring.records) == min(room, 5)
    assert ring.days() == list(range(KEPT_SESSIONS))


def test_a_file_that_is_none_is_told_of_once_and_the_next_is_taken(
    relay: HoursRelay, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring = Ring()
    put(tmp_path, 2)
    relay.look({"MNQ": ring})
    hours.path_of(tmp_path, "MNQ").write_bytes(b"nonsense")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            relay.look({"MNQ": ring})
    assert caplog.text.count("holds no trading hours") == 1
    assert ring.days() == [0, 1]
    put(tmp_path, 4)
    relay.look({"MNQ": ring})
    assert ring.days() == [0, 1, 2, 3]
