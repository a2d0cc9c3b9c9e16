"""`since` from the reader's side: the journal's rows, then memory's, each once, and reading on behind them."""

import numpy as np
import polars as pl
import pytest

from shm import BUY, Hole, Incomplete, Instrument, Quotes, Tape, stream
from shm.layout import NEVER_NS
from shm.past_rows import DTYPES, Part, PastRows, Through
from shm.values import PRICED_QUOTE, PRICED_TRADE, Scale
from tests.shm.plain_writer import TAPE_ROWS, PlainEngine, PlainWriter

SCALE = Scale(2, 25, 0, 1)


class Journal:
    """In the place of a Past: each question is answered by the next of `ends`, all rows up to that sequence."""

    def __init__(self, *ends: int, made: tuple[int, int] = (1, 1), holes: tuple[Hole, ...] = ()) -> None:
        self.ends = list(ends)
        self.made = made
        self.holes = holes
        self.asked = 0

    def rows(self, symbol: str, region: str, start_ns: int, end_ns: int = NEVER_NS) -> PastRows:
        assert symbol == "MNQ"
        self.asked += 1
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        rows = np.zeros(end, DTYPES[region])
        rows["sequence"] = rows["price" if region == "tape" else "bid"] = np.arange(1, end + 1)
        rows["wall_ns"] = rows["sequence"]
        return PastRows([Part(SCALE, rows)], list(self.holes), Through(self.made, end, end))


@pytest.fixture(autouse=True)
def ready(engine: PlainEngine) -> None:
    for writer in engine.writers.values():
        writer.publish([(100, 1)], [(101, 1)], wall_ns=1000, recv_ns=0)


def tape_of(mnq: Instrument, journal: Journal) -> Tape:
    return Tape(mnq._follower, lambda: journal)  # type: ignore[arg-type,return-value]


def fill(writer: PlainWriter, first: int, last: int) -> None:
    for n in range(first, last + 1):
        writer.trade((n, 1, BUY), sequence=n, wakes=False)


def test_rows_of_both_are_given_once_and_the_next_read_goes_on_behind_them(
    writer: PlainWriter, mnq: Instrument
) -> None:
    fill(writer, 1, 10)
    tape = tape_of(mnq, Journal(6))
    fill(writer, 11, 12)
    frame = tape.since(0)
    assert frame.columns == ["wall_ns", *(PRICED_TRADE.names or ())]
    assert frame["sequence"].to_list() == list(range(1, 13))
    assert frame["price"].to_list() == [0.25 * n for n in range(1, 13)]
    assert frame["wall_ns"].to_list() == [1, 2, 3, 4, 5, 6, *[1006] * 6]
    assert len(tape.read()) == 0
    fill(writer, 13, 14)
    assert tape.read()["sequence"].tolist() == [13, 14]
    assert tape.lost == tape.restarts == 0


def test_what_is_overwritten_before_the_journal_has_it_is_waited_for(writer: PlainWriter, mnq: Instrument) -> None:
    journal = Journal(5, 20, 90)
    fill(writer, 1, 10)
    tape = tape_of(mnq, journal)
    fill(writer, 11, 100 + TAPE_ROWS // 2)
    assert tape.since(0)["sequence"].to_list() == list(range(1, 100 + TAPE_ROWS // 2 + 1))
    assert journal.asked == 3
    assert tape.lost == 0


def test_a_journal_that_stays_behind_is_a_hole_that_is_told(
    writer: PlainWriter, mnq: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PATIENCE_NS", 0)
    tape = tape_of(mnq, Journal(5))
    fill(writer, 1, 200)
    with pytest.raises(Incomplete, match="some may be missing from 1970") as raised:
        tape.since(0)
    assert raised.value.holes == (Hole(5, 1006),)
    assert tape.read()["sequence"][-1] == 200  # it is where it was
    frame = tape.since(0, allow_holes=True)
    assert frame["sequence"].to_list() == [*range(1, 6), *range(201 - TAPE_ROWS, 201)]


def test_a_hole_in_the_journal_is_told_unless_it_is_allowed(writer: PlainWriter, mnq: Instrument) -> None:
    fill(writer, 1, 10)
    tape = tape_of(mnq, Journal(6, holes=(Hole(2, 3),)))
    with pytest.raises(Incomplete) as raised:
        tape.since(0)
    assert raised.value.holes == (Hole(2, 3),)
    assert len(tape.since(0, allow_holes=True)) == 10


def test_after_a_new_generation_the_journal_is_waited_for_and_the_iterator_goes_on_in_it(
    engine: PlainEngine, mnq: Instrument
) -> None:
    tape = tape_of(mnq, journal := Journal(4, 4, made=(2, 1)))
    fill(engine.writers["MNQ"], 1, 3)
    next(tape)  # so that rows are copied ahead
    engine.start(["MNQ"])
    writer = engine.writers["MNQ"]
    writer.publish([(100, 1)], [(101, 1)], wall_ns=1000, recv_ns=0)
    fill(writer, 4, 5)
    mnq._follower.follow(0)
    assert tape.since(0)["sequence"].to_list() == [1, 2, 3, 4, 5]
    assert journal.asked == 1
    fill(writer, 6, 6)
    assert next(tape).sequence == 6
    assert (tape.restarts, tape.lost) == (1, 0)


def test_rows_from_before_the_first_publication_come_with_the_next_read(engine: PlainEngine, mnq: Instrument) -> None:
    engine.start(["MNQ"])
    writer = engine.writers["MNQ"]
    mnq._follower.follow(0)
    tape = tape_of(mnq, Journal(2, made=(2, 1)))
    fill(writer, 3, 4)
    assert tape.since(0)["sequence"].to_list() == [1, 2]
    writer.publish([(100, 1)], [(101, 1)])
    assert tape.read()["sequence"].tolist() == [3, 4]


def test_quotes_are_given_in_the_same_way(writer: PlainWriter, mnq: Instrument) -> None:
    quotes = Quotes(mnq._follower, lambda: Journal(2))  # type: ignore[arg-type,return-value]
    for n in (2, 3):
        writer.quote(n, 1, 0, 0, sequence=n)
    frame = quotes.since(0)
    assert frame.columns == ["wall_ns", *(PRICED_QUOTE.names or ())]
    assert frame["sequence"].to_list() == [1, 2, 3]
    assert frame["bid_ticks"].to_list() == [1, 2, 3]
    assert frame["ask"].is_nan().all()
    assert frame.schema["bid_ticks"] == pl.Int64


def test_a_time_that_is_none_is_refused(mnq: Instrument) -> None:
    with pytest.raises(TypeError, match="is a datetime"):
        mnq.tape().since("yesterday")  # type: ignore[arg-type]
