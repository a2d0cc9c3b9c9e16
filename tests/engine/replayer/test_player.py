"""Stretches into rings: all of them, in order, at their pace, and once, whoever is killed."""

from collections.abc import Callable

import numpy as np
import pytest

from engine.replayer.pace import Pace
from engine.replayer.player import PRESENT_EVERY_NS, Player
from engine.replayer.stretches import Stretch, stretches
from shm import layout
from shm.errors import JournalDamaged
from shm.journal_entries import Entry, Piece
from shm.layout import Reason, Record
from shm.records import AFTER, AT, KIND, PEEK_WORDS, SEQUENCE, SIZE, peek
from shm.refill import take_back, words_of
from shm.ring import RingWriter
from tests.recorded_minute import STEP_NS, SYMBOLS, bytes_of, made
from tests.shm.consumer import ring_words


class Taker:
    """A ring, and what came out of it: (kind, sequence, payload) of each record but PRESENT, which are counted."""

    def __init__(self) -> None:
        self.words = ring_words(1 << 16)
        self.seen: list[tuple[int, int, bytes]] = []
        self.present = 0
        self._position = 0

    def take(self) -> None:
        row = np.zeros(PEEK_WORDS, np.int64)
        tail = int(self.words[layout.TAIL])
        while peek(self.words, self._position, tail, row):
            self._position = int(row[AFTER])
            if row[KIND] == Record.PRESENT:
                self.present += 1
                continue
            start, size = int(row[AT]), int(row[SIZE])
            payload = bytes(self.words.view(np.uint8)[start : start + size])
            self.seen.append((int(row[KIND]), int(row[SEQUENCE]), payload))
        self.words[layout.HEAD] = self._position = tail

    def forget_unpublished(self) -> RingWriter:
        """What a player finds that takes the place of one that was killed."""
        take_back(self.words)
        return RingWriter(self.words, 1)


def player(takers: dict[str, Taker], rest: Callable[[int], bool] | None = None, pace: Pace | None = None) -> Player:
    def take_all(ns: int) -> bool:
        for each in takers.values():
            each.take()
        return True

    rings = {symbol: each.forget_unpublished() for symbol, each in takers.items()}
    return Player(rings, pace or Pace(None, None), lambda: 1, rest or take_all)


def all_records(entries: list[Entry], symbol: str) -> list[tuple[int, int]]:
    """Kind and sequence of each record of the bytes themselves."""
    words, at, found = words_of(bytes_of(entries, symbol)), 0, []
    while at < len(words):
        kind, size = int(words[at] >> 32) & 0xFFFFFFFF, int(words[at]) & 0xFFFFFFFF
        if kind == Record.PAD:
            at += size // 8
            continue
        found.append((kind, int(words[at + 1])))
        at += (layout.RECORD_BYTES + ((size + 8) & ~7)) // 8
    return found


def test_all_records_come_out_in_order(seed: int) -> None:
    entries = made(np.random.default_rng(seed), 400)
    takers = {symbol: Taker() for symbol in SYMBOLS}
    assert player(takers).play(stretches(entries, SYMBOLS))
    for symbol, taker in takers.items():
        taker.take()
        assert [each[:2] for each in taker.seen] == all_records(entries, symbol)
        assert taker.present >= 1


def test_a_player_that_is_killed_goes_on_where_its_ring_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    entries = made(rng, 400)
    takers = {symbol: Taker() for symbol in SYMBOLS}

    def often_killed(ns: int) -> bool:
        for each in takers.values():
            each.take()
        return bool(rng.integers(30))

    while not player(takers, often_killed).play(stretches(entries, SYMBOLS)):
        pass
    for symbol, taker in takers.items():
        taker.take()
        whole = [each[:2] for each in taker.seen]
        assert list(dict.fromkeys(whole)) == list(dict.fromkeys(all_records(entries, symbol)))
        assert [each for each in whole if each[0] != Record.CHUNK] == [
            each for each in all_records(entries, symbol) if each[0] != Record.CHUNK
        ]  # a message of which only some chunks were in is begun once more, as its worker expects


def test_where_records_are_missing_a_gap_goes_in_once(seed: int) -> None:
    entries = made(np.random.default_rng(seed), 200)
    places = [i for i, entry in enumerate(entries) if isinstance(entry, Piece) and entry.lane == 1]
    lost = entries.pop(places[3])
    assert isinstance(lost, Piece)
    takers = {symbol: Taker() for symbol in SYMBOLS}
    for _ in range(3):
        player(takers).play(stretches(entries, SYMBOLS))
    taker = takers[SYMBOLS[1]]
    taker.take()
    before = {each[:2] for each in taker.seen} - set(all_records(entries, SYMBOLS[1]))
    ((kind, sequence),) = before
    assert kind == Record.GAP
    (payload,) = [each[2] for each in taker.seen if each[:2] == (kind, sequence)]
    assert np.frombuffer(payload, layout.GAP)["reason"][0] == Reason.DROPPED
    numbers = [each[1] for each in taker.seen if each[0] != Record.CHUNK]
    assert numbers == sorted(set(numbers))


def test_it_keeps_the_pace_and_tells_the_time_all_along(seed: int) -> None:
    entries = made(np.random.default_rng(seed), 300)
    takers = {symbol: Taker() for symbol in SYMBOLS}
    clock = {"ns": 1}
    put_at: dict[int, int] = {}

    def rest(ns: int) -> bool:
        assert ns <= PRESENT_EVERY_NS
        clock["ns"] += max(ns, 1)
        for each in takers.values():
            each.take()
        put_at[clock["ns"]] = len(takers["MNQ"].seen)
        return True

    rings = {symbol: each.forget_unpublished() for symbol, each in takers.items()}
    paced = Player(rings, Pace(0.5, None), lambda: clock["ns"], rest)
    assert paced.play(stretches(entries, SYMBOLS))
    assert 590 * STEP_NS <= clock["ns"] <= 620 * STEP_NS
    half = max(count for at, count in put_at.items() if at <= 300 * STEP_NS)
    assert 0.3 < half / len(takers["MNQ"].seen) < 0.7
    assert all(each.present >= 5 for each in takers.values())


def test_what_is_no_record_is_said() -> None:
    takers = {"MNQ": Taker()}
    with pytest.raises(JournalDamaged, match="no record"):
        player(takers).play([Stretch("MNQ", words_of(b"\xee" * 80), False)])


def test_it_stays_until_it_is_to_end() -> None:
    takers, turns = {"MNQ": Taker()}, [True, True, False]
    staying = player(takers, lambda ns: turns.pop(0))
    staying.stay()
    assert not turns
    takers["MNQ"].take()
    assert takers["MNQ"].present == 1
