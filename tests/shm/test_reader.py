"""The public reader API against segments written by plain Python: what is equal, what is stale, what is refused."""

import gc
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import shm
from shm import (
    Book,
    Instrument,
    LayoutError,
    Market,
    NoEngine,
    Overrun,
    ShardbookError,
    Stale,
    State,
    UnknownSymbol,
    WriterGone,
    attach,
)
from shm.layout import CELLS, LATENCY, LEVEL, Reason
from shm.values import PRICED_LEVEL
from tests.shm.later import Later
from tests.shm.plain_writer import ASKS, BIDS, LEVELS, MAX_LAG_MS, PlainEngine, PlainWriter, Racer, boottime_ns
from tests.shm.reads import READS, Read, each_read

# ── what is read is what was written ──────────────────────────────────────────────────────────────────────


def test_a_book_equals_what_was_published(writer: PlainWriter, mnq: Instrument) -> None:
    number = writer.publish(BIDS, ASKS, venue_ns=77)
    book = mnq.book()
    assert book.bid_ticks.tolist() == BIDS[:LEVELS]
    assert book.ask_ticks.tolist() == ASKS[:LEVELS]
    assert book.bid_ticks.dtype == LEVEL
    assert book.bids.dtype == PRICED_LEVEL
    assert book.bids.tolist() == [(price * 25 / 100, float(size)) for price, size in BIDS[:LEVELS]]
    assert book.asks.tolist() == [(price * 25 / 100, float(size)) for price, size in ASKS[:LEVELS]]
    assert (book.symbol, book.best_bid, book.best_ask) == ("MNQ", 21600.0, 21600.25)
    assert (book.state, book.reason, book.venue_ns, book.published) == ("live", "", 77, number)
    assert (book.sequence, book.recv_ns) == (int(writer.state["sequence"]), int(writer.state["recv_ns"]))
    assert not book.bids_complete  # more are held than are published
    assert not book.asks_complete


def test_a_quote_and_a_book_print_what_a_person_reads(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, [])
    assert repr(mnq.quote()) == "Quote(bid 21600.0 × 3, ask none, live)"
    assert repr(mnq.book()) == "Book(MNQ: bid 21600.0 × 3, ask none, 16 + 0 levels, live)"


def test_latencies_are_those_since_a_look(writer: PlainWriter, mnq: Instrument) -> None:
    writer.control[LATENCY + 5] = 7
    before = mnq.latency()
    writer.control[LATENCY + 5] += 2
    writer.control[LATENCY + 9] += 1
    recent = mnq.latency().since(before)
    assert {step: count for step, count in enumerate(recent.counts) if count} == {5: 2, 9: 1}
    assert before.since(mnq.latency()) == before  # counted anew: all of it is recent


def test_a_book_is_private(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    book = mnq.book()
    for _ in range(2 * CELLS):
        writer.publish([(1, 1)], [(2, 1)])
    assert book.bid_ticks.tolist() == BIDS[:LEVELS]
    assert mnq.book().bid_ticks.tolist() == [(1, 1)]
    assert mnq.book().bids_complete


def test_a_bounded_side_is_not_complete(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish([(1, 1)], [(2, 1)], bid_bound=1)
    assert (mnq.book().bids_complete, mnq.book().asks_complete) == (False, True)


def test_prices_are_the_nearest_floats(writer: PlainWriter, mnq: Instrument) -> None:
    for price, increment, scale in [(123_456_789, 5, 9), (3, 1, 1), (-37, 1, 2), (7_999_999_999, 1_000, 8)]:
        writer.publish(
            [(price, 7)], [(price + 1, 7)],
            price_increment=increment, price_scale=scale, size_increment=3, size_scale=4,
        )  # fmt: skip
        expected = price * increment / 10**scale
        assert mnq.book().best_bid == mnq.quote().bid == expected
        assert mnq.book().bids["size"][0] == mnq.quote().bid_size == 7 * 3 / 10**4
        assert mnq.tick_size == increment / 10**scale


def test_a_book_as_a_frame(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish([(4, 1), (3, 2)], [(5, 9)])
    assert mnq.book().to_polars().rows() == [
        ("bid", 0, 1.0, 1.0, 4, 1),
        ("bid", 1, 0.75, 2.0, 3, 2),
        ("ask", 0, 1.25, 9.0, 5, 9),
    ]


def test_best_bid_and_ask(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS, venue_ns=78)
    quote = mnq.quote()
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (21600.0, 3.0, 21600.25, 1.0)
    assert (quote.bid_ticks, quote.bid_units, quote.ask_ticks, quote.ask_units) == (86400, 3, 86401, 1)
    assert (quote.spread, quote.mid, quote.venue_ns, quote.state) == (0.25, 21600.125, 78, State.LIVE)
    assert quote == mnq.quote(allow_stale=True)


def test_the_first_levels(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS[:1])
    top = mnq.top(3)
    assert (top.n_bids, top.n_asks, top.state) == (LEVELS, 1, State.LIVE)
    assert top.levels[0].tolist() == [list(level) for level in BIDS[:3]]
    assert top.levels[1, 0].tolist() == list(ASKS[0])
    for _ in range(2 * CELLS):
        writer.publish([(1, 1)], [(2, 1)])
    assert top.levels[0].tolist() == [list(level) for level in BIDS[:3]]
    for count in (0, LEVELS + 1):
        with pytest.raises(ValueError, match=str(LEVELS)):
            mnq.top(count)
    assert mnq.top(LEVELS).levels.shape == (2, LEVELS, 2)


def test_all_levels_come_from_the_newest_checkpoint(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    writer.checkpoint([(1, 1)], [(2, 2)])
    number = writer.checkpoint(BIDS, ASKS, venue_ns=79)
    depth = mnq.depth()
    assert depth.bid_ticks.tolist() == BIDS
    assert depth.ask_ticks.tolist() == ASKS
    assert depth.bids["price"].tolist() == [price * 25 / 100 for price, _ in BIDS]
    assert (depth.bids_complete, depth.asks_complete) == (True, True)
    assert (depth.published, depth.venue_ns, depth.best_ask) == (number, 79, 21600.25)
    assert depth.sequence == int(writer.state["sequence"])


def test_a_checkpoint_that_was_cut_off_is_not_read(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    writer.checkpoint(BIDS, ASKS)
    writer.slots["begin"][0] = 2  # killed inside the next one
    writer.slot_levels[0] = (9, 9)
    assert mnq.depth().bid_ticks.tolist() == BIDS


def test_the_very_first_checkpoint_cut_off(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    writer.slots["begin"][0] = 1
    assert len(mnq.depth(allow_stale=True).bids) == 0
    with pytest.raises(Stale, match="waiting for the first snapshot"):
        mnq.depth()


def test_an_empty_side_has_no_price(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish([], [(5, 1)], state=State.STALE, reason=Reason.ONE_SIDED)
    quote, book = mnq.quote(allow_stale=True), mnq.book(allow_stale=True)
    assert np.isnan([quote.bid, quote.spread, quote.mid, book.best_bid]).all()
    assert (quote.bid_size, quote.ask, book.best_ask, len(book.bids)) == (0.0, 1.25, 1.25, 0)


def test_what_an_instrument_is(writer: PlainWriter, mnq: Instrument) -> None:
    assert mnq.contract == ""
    with pytest.raises(Stale, match="tick size"):
        _ = mnq.tick_size
    writer.publish(BIDS, ASKS)
    assert (mnq.symbol, mnq.contract, mnq.tick_size) == ("MNQ", "CON.F.US.MNQ.Z26", 0.25)
    assert repr(mnq) == "Instrument('MNQ')"


# ── live or not ───────────────────────────────────────────────────────────────────────────────────────────


@each_read
@pytest.mark.parametrize(
    ("state", "reason", "name", "text"),
    [
        (State.STALE, Reason.CROSSED, "stale", "best bid at or above best ask"),
        (State.SYNCING, Reason.RESYNC, "syncing", "resubscribed"),
        (State.CLOSED, Reason.CLOSED, "closed", "the feed was closed"),
        (State.STALE, 99, "stale", "reason 99"),
    ],
)
def test_a_publication_that_says_it_is_not_live(
    writer: PlainWriter,
    mnq: Instrument,
    read: Read,
    state: State,
    reason: int,
    name: str,
    text: str,
) -> None:
    writer.checkpoint(BIDS, ASKS)
    writer.publish(BIDS, ASKS)
    read(mnq, False)  # the quick ways are open from here on
    writer.publish(BIDS, ASKS, state=state, reason=reason)
    with pytest.raises(Stale, match=text) as raised:
        read(mnq, False)
    assert (raised.value.state, mnq.status().state) == (name, name)
    assert "MNQ" in str(raised.value)
    assert read(mnq, True) is not None


@each_read
def test_a_publication_that_is_too_old(writer: PlainWriter, mnq: Instrument, read: Read, later: Later) -> None:
    """Stale at the limit: the clock runs on between writing and reading. Also when it was live a moment ago."""
    writer.checkpoint(BIDS, ASKS)
    writer.publish(BIDS, ASKS)
    read(mnq, False)
    read(mnq, False)
    later.by_ns = MAX_LAG_MS * 1_000_000
    with pytest.raises(Stale, match="nothing heard") as raised:
        read(mnq, False)
    assert (raised.value.state, mnq.status().live) == ("stale", False)
    assert read(mnq, True) is not None
    writer.hear(boottime_ns())  # a clock frame is enough
    read(mnq, False)
    assert mnq.status().live


@each_read
def test_before_the_first_publication(mnq: Instrument, read: Read) -> None:
    with pytest.raises(Stale, match="waiting for the first snapshot") as raised:
        read(mnq, False)
    assert raised.value.state == "syncing"
    assert read(mnq, True) is not None
    assert len(mnq.book(allow_stale=True).bids) == 0


def test_a_checkpoint_from_before_the_book_was_live(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    with pytest.raises(Stale):
        mnq.depth()  # there is none yet
    writer.checkpoint([], [], state=State.SYNCING, reason=Reason.RESYNC)
    writer.publish(BIDS, ASKS, reason=Reason.NONE)
    with pytest.raises(Stale, match="resubscribed") as raised:
        mnq.depth()
    assert raised.value.state == "syncing"
    assert mnq.depth(allow_stale=True).state == "syncing"
    writer.checkpoint(BIDS, ASKS)
    assert mnq.depth().state == "live"


# ── in place ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_view_is_the_memory_itself(writer: PlainWriter, mnq: Instrument) -> None:
    number = writer.publish(BIDS, ASKS)
    with mnq.book_view() as view:
        assert view.bids.tolist() == BIDS[:LEVELS]
        assert view.asks.tolist() == ASKS[:LEVELS]
        assert (view.published, view.state["best_bid"], view.state["n_bids"]) == (number, 86400, len(BIDS))
        assert view.bids.base is not None
        assert not view.bids.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            view.bids["price"] = 0
        writer.cell_levels[number % CELLS, 0, 0] = (1, 1)  # no copy: it is seen
        assert view.bids[0].tolist() == (1, 1)


@pytest.mark.parametrize(("ahead", "lapped"), [(0, False), (CELLS - 1, False), (CELLS, True), (CELLS + 1, True)])
def test_a_view_says_when_it_was_lapped(writer: PlainWriter, mnq: Instrument, ahead: int, lapped: bool) -> None:
    writer.publish(BIDS, ASKS)
    expected = pytest.raises(Overrun, match="MNQ") if lapped else nullcontext()
    with expected, mnq.book_view() as view:
        for _ in range(ahead):
            writer.publish([(1, 1)], [(2, 1)])
        assert view.whole is not lapped


def test_an_error_from_inside_a_view_goes_first(writer: PlainWriter, mnq: Instrument) -> None:
    def fail_when_lapped() -> None:
        with mnq.book_view():
            for _ in range(CELLS):
                writer.publish([(1, 1)], [(2, 1)])
            raise KeyError("from inside")

    writer.publish(BIDS, ASKS)
    with pytest.raises(KeyError):
        fail_when_lapped()


# ── waiting ───────────────────────────────────────────────────────────────────────────────────────────────


def test_waiting_for_the_next_publication(writer: PlainWriter, mnq: Instrument) -> None:
    assert not mnq.wait(0.0)
    assert not mnq.wait(0.15)
    writer.publish(BIDS, ASKS)
    assert mnq.wait(0.0)  # it was there before: no wait
    assert not mnq.wait(0.01)
    for _ in range(3):
        writer.publish(BIDS, ASKS)
    assert mnq.wait(20.0)
    assert not mnq.wait(0.0)  # all three were one


def test_a_wait_is_ended_by_another_process(engine: PlainEngine, mnq: Instrument) -> None:
    with Racer(engine, "cells"):
        begun_s = time.monotonic()
        while mnq._publication()[1] < 1000:
            assert mnq.wait(20.0)
        assert time.monotonic() - begun_s < 20.0


# ── a market ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_instruments_of_a_market(market: Market) -> None:
    assert market.symbols == ("MNQ", "MES", "MGC")
    assert market["MES"] is market["MES"]
    assert repr(market) == "Market('default', generation 1, MNQ, MES, MGC)"


@pytest.mark.parametrize("asked", [3, None, ["MNQ", "MES"]])
def test_what_is_no_text_is_refused_with_a_sentence(engine: PlainEngine, market: Market, asked: object) -> None:
    with pytest.raises(TypeError, match="by its symbol"):
        market[asked]  # type: ignore[index]
    with pytest.raises(TypeError, match="by its name"):
        attach(asked, root=engine.root)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "offered"), [("MNK", "MNQ"), ("mes", "MES"), ("GC", "MGC"), ("ZZZZ", "MNQ, MES, MGC")]
)
def test_an_unknown_symbol_offers_near_names(market: Market, asked: str, offered: str) -> None:
    with pytest.raises(UnknownSymbol, match=offered) as raised:
        market[asked]
    assert asked in str(raised.value)
    assert isinstance(raised.value, LookupError)


def test_after_close_reads_raise_and_values_stay(engine: PlainEngine, writer: PlainWriter) -> None:
    writer.publish(BIDS, ASKS)
    with attach(root=engine.root) as market:
        handle = market["MNQ"]
        book, top = handle.book(), handle.top()
        streams = handle.tape(), handle.quotes(), market.watch(), market.events()
        mapped = _mapped(engine.folder)
        assert mapped > 0
    for read in READS.values():
        with pytest.raises(ValueError, match="this market is closed: attach again"):
            read(handle, True)
    after: list[Callable[[], object]] = [
        *(partial(next, stream) for stream in streams),
        *(stream.read for stream in streams[:2]),
        *(stream.read_ticks for stream in streams[:2]),
        *(partial(stream.last, 1) for stream in (*streams[:2], streams[3])),
        *(handle.status, handle.session, handle.depth, handle.tape, handle.quotes, lambda: handle.contract),
        *(market.watch, market.events, lambda: handle.tick_size, lambda: market["MNQ"], lambda: handle.wait(1.0)),
    ]
    for call in after:
        with pytest.raises(ValueError, match="this market is closed: attach again"):
            call()
    del streams, after, call
    assert book.best_bid == 21600.0
    assert top.levels[0, 0, 0] == 86400
    gc.collect()
    assert _mapped(engine.folder) <= mapped - 2  # book and ring; what is left is the writer's


def test_the_public_names() -> None:
    for name in shm.__all__:
        assert getattr(shm, name) is not None
    for error in (NoEngine, UnknownSymbol, Stale, Overrun, WriterGone, LayoutError):
        assert issubclass(error, ShardbookError)
    assert issubclass(Book, tuple)


def _mapped(folder: Path) -> int:
    """How many mappings this process has of an engine's segments."""
    return Path("/proc/self/maps").read_text().count(f"{folder}/")


def test_a_market_is_read_like_a_mapping_of_symbols(market: Market) -> None:
    assert list(market) == list(market.symbols)
    assert len(market) == len(market.symbols)
    assert "MNQ" in market
    assert "XXX" not in market
    assert 0 not in market
