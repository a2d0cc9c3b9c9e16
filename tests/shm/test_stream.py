"""Tape and quotes from the reader's side: what was there, what comes, what was lost, and a new generation."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from shm import BUY, SELL, Instrument, Market, Overrun, Quote, Trade, WriterGone, attach, broadcast, presence
from shm.layout import TAPE_COUNT, TAPE_INTENT, TRADE, Region
from shm.presence import Presence
from shm.values import PRICED_TRADE
from tests.shm.plain_writer import QUOTE_ROWS, TAPE_ROWS, PlainEngine, PlainWriter, Racer, boottime_ns

RACE_READS = 500


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[PlainEngine]:
    with PlainEngine(tmp_path) as engine:
        for writer in engine.writers.values():
            writer.publish([(100, 1)], [(101, 1)])
        yield engine


def _fill(writer: PlainWriter, first: int, last: int) -> None:
    """Trades `first` to `last` (exclusive); row n has price and sequence n."""
    for n in range(first, last):
        writer.trade((n, 1, BUY), sequence=n, wakes=False)


def test_last_trades_are_priced_and_oldest_first(writer: PlainWriter, mnq: Instrument) -> None:
    writer.trade((86400, 2, BUY), (86401, 3, SELL), sequence=9)
    rows = mnq.tape().last(10)
    assert rows.dtype == PRICED_TRADE
    assert rows.tolist() == [(21600.0, 2.0, BUY, 5, 6, 9, 0, 86400, 2), (21600.25, 3.0, SELL, 5, 6, 9, 1, 86401, 3)]
    assert mnq.tape().last(1)["price"].tolist() == [21600.25]


@pytest.mark.parametrize("written", [0, 1, TAPE_ROWS - 1, TAPE_ROWS, TAPE_ROWS + 1, 3 * TAPE_ROWS + 5])
@pytest.mark.parametrize("wanted", [0, 1, TAPE_ROWS - 1, TAPE_ROWS, TAPE_ROWS + 1])
def test_last_gives_what_is_still_there(writer: PlainWriter, mnq: Instrument, written: int, wanted: int) -> None:
    _fill(writer, 0, written)
    expected = min(written, wanted, TAPE_ROWS)
    assert mnq.tape().last(wanted)["sequence"].tolist() == list(range(written - expected, written))


def test_a_negative_number_of_rows_is_refused(mnq: Instrument) -> None:
    with pytest.raises(ValueError, match="negative"):
        mnq.tape().last(-1)


def test_rows_before_the_first_publication_have_no_price(engine: PlainEngine, market: Market) -> None:
    engine.start(["MNQ"])
    writer = engine.writers["MNQ"]
    with attach(root=engine.root) as later:
        tape = later["MNQ"].tape()
        writer.trade((1, 1, BUY))
        assert len(tape.last(5)) == len(tape.read()) == len(tape.read()) == 0
        writer.publish([(1, 1)], [(2, 1)])
        assert tape.read()["price"].tolist() == [0.25]
        writer.trade((2, 1, BUY))
        assert next(tape).price == 0.5
        assert tape.lost == 0


def test_read_gives_rows_once_priced_or_in_ticks(writer: PlainWriter, mnq: Instrument) -> None:
    _fill(writer, 0, 5)
    tape = mnq.tape()
    assert len(tape.read()) == 0  # it begins now: what is older is what last() is for
    _fill(writer, 5, 15)
    priced, exact = tape.read(4), tape.read_ticks(4)
    assert (priced.dtype, exact.dtype) == (PRICED_TRADE, TRADE)
    assert priced["price"].tolist() == [1.25, 1.5, 1.75, 2.0]
    assert priced["price_ticks"].tolist() == priced["sequence"].tolist() == [5, 6, 7, 8]
    assert exact["price"].tolist() == exact["sequence"].tolist() == [9, 10, 11, 12]
    assert tape.read()["sequence"].tolist() == [13, 14]
    assert len(tape.read()) == len(tape.read_ticks()) == 0
    assert tape.lost == 0


@pytest.mark.parametrize("extra", [-1, 0, 1, 40, 2 * TAPE_ROWS])
def test_a_lapped_reader_counts_exactly_what_it_lost(writer: PlainWriter, mnq: Instrument, extra: int) -> None:
    _fill(writer, 0, 3)
    tape = mnq.tape()
    _fill(writer, 3, 3 + TAPE_ROWS + extra)
    rows = tape.read()
    assert tape.lost == max(extra, 0)
    assert rows["sequence"].tolist() == list(range(3 + max(extra, 0), 3 + TAPE_ROWS + extra))


@pytest.mark.parametrize("ahead", [0, 1, 3, TAPE_ROWS])
def test_rows_that_are_being_overwritten_are_not_believed(writer: PlainWriter, mnq: Instrument, ahead: int) -> None:
    tape = mnq.tape()
    _fill(writer, 0, TAPE_ROWS)
    writer.control[TAPE_INTENT] = TAPE_ROWS + ahead  # the writer stands inside its next record
    assert tape.read()["sequence"].tolist() == list(range(ahead, TAPE_ROWS))
    assert tape.lost == ahead


def test_rows_overwritten_during_the_copy_are_not_believed(
    writer: PlainWriter, mnq: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = mnq.tape()
    _fill(writer, 0, 10)
    _after_copy(monkeypatch, [lambda: _fill(writer, 10, TAPE_ROWS + 4)])
    assert tape.read()["sequence"].tolist() == [4, 5, 6, 7, 8, 9]
    assert tape.lost == 4
    assert tape.read()["sequence"].tolist() == list(range(10, TAPE_ROWS + 4))
    assert tape.lost == 4


def test_last_begins_again_when_all_of_it_was_overwritten(
    writer: PlainWriter, mnq: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(writer, 0, 10)
    tape = mnq.tape()
    _after_copy(monkeypatch, [lambda: _fill(writer, 10, 10 + TAPE_ROWS)])
    assert tape.last(3)["sequence"].tolist() == [TAPE_ROWS + 7, TAPE_ROWS + 8, TAPE_ROWS + 9]
    assert tape.lost == 0


def test_last_gives_up_in_the_end(writer: PlainWriter, mnq: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(writer, 0, 3)
    written = iter(range(1, 10_000))

    def lap() -> None:
        n = 3 + TAPE_ROWS * next(written)
        _fill(writer, n - TAPE_ROWS, n)

    _after_copy(monkeypatch, [lap] * 1000)
    with pytest.raises(Overrun, match="MNQ"):
        mnq.tape().last(3)


def test_iterating_blocks_until_there_is_a_trade(writer: PlainWriter, mnq: Instrument) -> None:
    tape = mnq.tape()
    got: list[Trade] = []
    thread = threading.Thread(target=lambda: got.extend(trade for trade, _ in zip(tape, range(3), strict=False)))
    thread.start()
    writer.trade((86400, 2, SELL), (86402, 1, BUY), sequence=4)
    writer.trade((86404, 5, BUY), sequence=5)
    writer.trade((0, 1, BUY), sequence=6)  # zip takes one more before it sees that it has enough
    thread.join(20)
    assert not thread.is_alive()
    assert got[0] == Trade(21600.0, 2.0, SELL, 5, 6, 4, 0, 86400, 2)
    assert [(trade.price, trade.sequence, trade.place) for trade in got[1:]] == [(21600.5, 4, 1), (21601.0, 5, 0)]


def test_a_closed_stream_ends_also_while_it_waits(mnq: Instrument) -> None:
    tape = mnq.tape()
    thread = threading.Thread(target=lambda: list(tape))
    thread.start()
    tape.close()
    thread.join(20)
    assert not thread.is_alive()


def test_read_after_iterating_leaves_nothing_out(writer: PlainWriter, mnq: Instrument) -> None:
    tape = mnq.tape()
    _fill(writer, 0, 10)
    assert [next(tape).sequence for _ in range(3)] == [0, 1, 2]
    assert tape.read()["sequence"].tolist() == list(range(3, 10))


def test_quotes_are_read_the_same_way(writer: PlainWriter, mnq: Instrument) -> None:
    quotes = mnq.quotes()
    writer.quote(86400, 3, 86401, 4, sequence=7)
    writer.quote(0, 0, 86401, 4, sequence=8)
    first, second = next(quotes), next(quotes)
    assert isinstance(first, Quote)
    assert (first.bid, first.bid_size, first.ask, first.ask_size) == (21600.0, 3.0, 21600.25, 4.0)
    assert (first.spread, first.sequence, first.bid_ticks) == (0.25, 7, 86400)
    assert np.isnan(second.bid)
    assert second.bid_size == 0
    rows = quotes.last(2)
    assert rows["ask"].tolist() == [21600.25, 21600.25]
    assert np.isnan(rows["bid"][1])
    for n in range(QUOTE_ROWS + 5):
        writer.quote(n, 1, n + 1, 1, sequence=n)
    assert len(quotes.read()) == QUOTE_ROWS
    assert quotes.lost == 5


def test_read_goes_on_with_a_new_generation(engine: PlainEngine, writer: PlainWriter, mnq: Instrument) -> None:
    tape = mnq.tape()
    _fill(writer, 0, 3)
    tape.read(1)
    engine.start(["MNQ", "MES"])
    fresh = engine.writers["MNQ"]
    fresh.publish([(1, 1)], [(2, 1)])
    _fill(fresh, 0, 2)
    writer.hear(boottime_ns() - 2_000_000_000)
    assert tape.read()["sequence"].tolist() == [1, 2]  # first what the old one left
    assert tape.restarts == 0
    assert tape.read()["sequence"].tolist() == [0, 1]
    assert tape.restarts == 1
    assert tape.lost == 0


def test_an_iterator_goes_on_with_a_new_generation(engine: PlainEngine, writer: PlainWriter, mnq: Instrument) -> None:
    tape = mnq.tape()
    _fill(writer, 0, 2)
    assert next(tape).sequence == 0
    engine.start(["MNQ", "MES"])
    fresh = engine.writers["MNQ"]
    fresh.publish([(1, 1)], [(2, 1)])
    _fill(fresh, 70, 70 + TAPE_ROWS + 1)
    assert next(tape).sequence == 1
    assert next(tape).sequence == 71  # the new one's first row was overwritten before
    assert tape.restarts == 1
    assert tape.lost == 1


@pytest.mark.parametrize("way", ["read", "iterate"])
def test_rows_written_just_before_the_old_generation_ended(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """They come in after the reader has found nothing, and before it has found the new generation."""
    tape = mnq.tape()
    writer.hear(1)
    look = Presence.look

    def end_and_look(self: Presence, now_ns: int) -> None:
        if engine.generation == 1:
            _fill(writer, 0, 2)
            engine.start(["MNQ", "MES"])
            engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
        look(self, now_ns)

    monkeypatch.setattr(Presence, "look", end_and_look)

    def read() -> list[int]:
        if way == "iterate":
            return [next(tape).sequence for _ in range(2)]
        sequences: list[int] = tape.read()["sequence"].tolist()
        return sequences

    assert read() == [0, 1]
    _fill(engine.writers["MNQ"], 7, 9)
    assert read() == [7, 8]
    assert (tape.lost, tape.restarts) == (0, 1)


def test_rows_left_in_a_generation_without_prices_are_lost_and_counted(engine: PlainEngine) -> None:
    engine.start(["MNQ"])
    with attach(root=engine.root) as market:
        tape = market["MNQ"].tape()
        _fill(engine.writers["MNQ"], 0, 4)
        engine.start(["MNQ"])
        engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
        _fill(engine.writers["MNQ"], 10, 11)
        assert next(tape).sequence == 10
        assert tape.lost == 4


def test_an_iterator_ends_when_the_engine_is_gone(
    engine: PlainEngine, mnq: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "PATIENCE_NS", 1)
    tape = mnq.tape()
    engine.end()
    with pytest.raises(WriterGone, match="scripts/launch"):
        next(tape)


def test_reads_against_a_writer_that_never_pauses(engine: PlainEngine, mnq: Instrument) -> None:
    """Every row is whole, in order, and returned or counted as lost."""
    tape = mnq.tape()
    reads = returned = 0
    with Racer(engine, "tape"):
        while reads < RACE_READS:
            rows = tape.read_ticks(max_rows=1 + reads % 100)
            words = rows.view(np.int64).reshape(-1, TRADE.itemsize // 8)
            first = tape.lost + returned
            assert (words == np.arange(first, first + len(rows))[:, np.newaxis]).all()
            returned += len(rows)
            reads += len(rows) > 0
            newest = tape.last(7)
            assert (np.diff(newest["price_ticks"]) == 1).all()
            assert (newest["size_units"] == newest["price_ticks"]).all()
    assert tape.lost > 0
    returned += len(tape.read())
    assert tape.lost + returned == engine.writers["MNQ"].control[TAPE_COUNT]


def _after_copy(monkeypatch: pytest.MonkeyPatch, actions: list[Callable[[], None]]) -> None:
    """Do one of `actions` after each copy of rows, before it is checked: a writer that comes in between."""
    copy = broadcast.copy_rows
    left = iter(actions)

    def rows(memory: memoryview, region: Region, first: int, last: int) -> bytes:
        copied = copy(memory, region, first, last)
        action = next(left, None)
        if action is not None:
            action()
        return copied

    monkeypatch.setattr(broadcast, "copy_rows", rows)
