"""The main job on real data: a CME capture through the whole engine, against a book of its orders made in another way.

The simulator's truth is asked for one thing only: which event of the capture a stamp stands for. What the book was
after that event is added up here from the orders themselves, and the trades are the capture's own.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from engine.simulator.flow import Flow, Kind
from engine.simulator.recorded import read_flow
from engine.simulator.truth import ContractTruth, Truth
from engine.simulator_control import SimulatorGone, ask
from shm import Book, Market, Stale, WriterGone
from shm.errors import LayoutError
from shm.layout import REASON_TEXT, Reason
from tests.system.orders import Orders, capture, difference
from tests.system.running import Running, running
from tests.waiting import wait_for

SYMBOL = "ES"
DAY_OF_SNAPSHOT = "esh4-glbx-mdp3-20231224.mbo.dbn.zst"
DAY_OF_FLOW = "esh4-glbx-mdp3-20231225.mbo.dbn.zst"
PACE = 20
PACED_S = os.environ.get("SHARDBOOK_PACED_S", "8")  # of three minutes; 0 is all of it
CROSSED_PACE = 800
END_LIMIT_S = 110 if PACED_S != "0" else 400
MIN_BOOKS = 50
MAX_BOOKS = 20_000
TAPE_ROWS = 1 << 15
CROSSED_TEXT = REASON_TEXT[Reason.CROSSED]


class Recording:
    """Live books as a reader saw them, by the stamp that they bore; and whether crossed ones were seen, not live."""

    def __init__(self, engine: Running) -> None:
        self.books: dict[int, Book] = {}
        self.whole: dict[int, Book] = {}
        self.crossed = 0
        self.market, self.truth = _begin(engine)

    def watch(self, engine: Running) -> None:
        """Look as often as there is something new, until the engine has ended."""
        instrument = self.market[SYMBOL]
        while engine.process.poll() is None and len(self.books) < MAX_BOOKS:
            self.look()
            if len(self.books) % 8 == 0:
                self.look_deep()
            try:
                instrument.wait(0.1)
            except WriterGone:
                return

    def look(self) -> None:
        try:
            book = self.market[SYMBOL].book(allow_stale=True)
        except Stale:
            return
        if book.state == "live":
            assert book.best_bid < book.best_ask, book
            self.books[book.venue_ns] = book
        elif book.reason == CROSSED_TEXT and book.best_bid >= book.best_ask:
            self.crossed += 1

    def look_deep(self) -> None:
        try:
            book = self.market[SYMBOL].depth()
        except (Stale, WriterGone):
            return
        self.whole[book.venue_ns] = book

    def compare(self, orders: Orders, flow: Flow) -> int:
        """Hold every book against the orders; how many levels that were."""
        levels = 0
        # A publication and a checkpoint of one stamp are two books to compare.
        seen = sorted(
            ((self._event(flow, book), book) for book in (*self.books.values(), *self.whole.values())),
            key=lambda each: each[0],
        )
        for event, book in seen:
            bids, asks = orders.book_after(event)
            wrong = difference("bids", book.bids, book.bids_complete, bids, best_is_high=True)
            wrong = wrong or difference("asks", book.asks, book.asks_complete, asks, best_is_high=False)
            assert not wrong, f"after event {event} (stamp {book.venue_ns}): {wrong}"
            levels += len(book.bids) + len(book.asks)
        return levels

    def _event(self, flow: Flow, book: Book) -> int:
        return event_of(flow, self.truth.record_of(book.venue_ns))

    def last_event(self, flow: Flow) -> int:
        """The event of the capture that was sent last."""
        assert flow.source is not None
        record = self.truth.last_record
        return int(flow.source[record]) if record >= 0 else int(flow.source[0])


def _begin(engine: Running) -> tuple[Market, ContractTruth]:
    """Attach before the flow runs: the simulator is told to wait as soon as it has an address, and then to go on."""

    def held() -> bool:
        try:
            url = engine.registry.simulator_url
            return url is not None and bool(ask(url, "pause")["paused"])
        except (FileNotFoundError, NotADirectoryError, LayoutError, SimulatorGone):
            return engine.process.poll() is not None

    wait_for(held, 90, "the simulator has an address")
    market = engine.attach()
    registry = engine.registry
    assert registry.truth_folder is not None
    assert registry.simulator_url is not None
    truth = Truth.open(registry.truth_folder).of_symbol(SYMBOL)
    wait_for(lambda: market[SYMBOL].status().published > 0, 30, "the snapshot is there")
    ask(registry.simulator_url, "resume")
    return market, truth


def event_of(flow: Flow, record: int) -> int:
    """The capture's last event in the book after a record of the flow: only its depth records change the book."""
    assert flow.source is not None
    depth = np.flatnonzero(flow.records["kind"] == Kind.DEPTH)
    place = int(np.searchsorted(depth, record, side="right")) - 1
    return int(flow.source[depth[place]]) if place >= 0 else int(flow.source[0])


def _check_prints(market: Market, orders: Orders, count: int) -> None:
    """The tape is the first `count` trades of the capture: each once, in order, with its size and its side."""
    tape = market[SYMBOL].tape().last(TAPE_ROWS)
    seen = list(zip(tape["price"].tolist(), tape["size"].tolist(), tape["side"].tolist(), strict=True))
    assert seen == orders.prints()[:count]


def _prints_through(orders: Orders, path: Path, event: int) -> int:
    import databento

    actions = databento.DBNStore.from_bytes(path.read_bytes()).to_ndarray()["action"]
    return int(np.count_nonzero(actions[: event + 1] == b"T"))


@pytest.mark.timeout(END_LIMIT_S + 100)
@pytest.mark.parametrize("pace", [PACE, None], ids=["20 times its pace", "as fast as possible"])
def test_capture_every_book_and_every_trade(left_nothing: Path, engine_name: str, pace: int | None) -> None:
    path = capture(DAY_OF_FLOW)
    orders, flow = Orders(path), read_flow(path)
    paced = () if pace is None else ("--pace", str(pace), *(("--for", PACED_S) if PACED_S != "0" else ()))
    with running(engine_name, "--flow", str(path), *paced) as engine:
        recording = Recording(engine)
        recording.watch(engine)
        summary = engine.wait(END_LIMIT_S)
        end = recording.last_event(flow)
        # The engine is gone, and its memory is still mapped: the end of it all.
        last = recording.market[SYMBOL].depth(allow_stale=True)
        if last.venue_ns:
            recording.whole[last.venue_ns] = last
        _check_prints(recording.market, orders, _prints_through(orders, path, end))
        recording.market.close()
    assert len(recording.books) >= MIN_BOOKS
    assert len(recording.whole) >= 2
    levels = recording.compare(orders, flow)
    print(f"{len(recording.books)} books and {len(recording.whole)} whole ones, {levels} levels, to event {end}")
    if pace is None:
        assert flow.source is not None
        assert end == int(flow.source[-1])
        assert summary["totals"]["trades"] == len(orders.prints())
    assert engine.status == 0, engine.errors
    totals = summary["totals"]
    assert totals["wrong_levels"] == totals["lost_trades"] == totals["dropped"] == totals["resyncs"] == 0
    assert totals["records"] == totals["applied"] + totals["refused"]


def test_crossed_pre_open_is_a_reason_and_never_live(left_nothing: Path, engine_name: str) -> None:
    path = capture(DAY_OF_FLOW)
    orders, flow = Orders(path), read_flow(path, crossed=True)
    with running(engine_name, "--flow", str(path), "--crossed", "--pace", str(CROSSED_PACE)) as engine:
        recording = Recording(engine)
        recording.watch(engine)
        summary = engine.wait()
        recording.market.close()
    assert recording.crossed > 0, "no crossed book was ever seen, so nothing was shown"
    assert recording.compare(orders, flow) > 0
    row = summary["instruments"][0]
    assert row["state"] == "live", "the crossing ended with the opening"
    assert row["resyncs"] > 0
    assert row["wrong_levels"] == row["lost_trades"] == row["dropped"] == 0
    assert engine.status == 0, engine.errors


def test_snapshot_alone_is_one_book(left_nothing: Path, engine_name: str) -> None:
    """A capture that ends before the opening: its pre-open is one book, sent before anybody has looked once."""
    path = capture(DAY_OF_SNAPSHOT)
    orders, flow = Orders(path), read_flow(path, crossed=True)
    with running(engine_name, "--flow", str(path), "--crossed") as engine:
        recording = Recording(engine)
        recording.watch(engine)
        summary = engine.wait()
        last = recording.market[SYMBOL].depth(allow_stale=True)
        recording.whole[last.venue_ns] = last
        recording.market.close()
    assert engine.status == 0, engine.errors
    assert summary["totals"]["wrong_levels"] == 0
    assert summary["totals"]["compared_samples"] > 1, "it was looked at while it was live, not only at the end"
    assert last.bids_complete
    assert last.asks_complete
    assert recording.compare(orders, flow) >= len(last.bids) + len(last.asks) > 0
