"""Recorded flow against an aggregate of the same order events that shares nothing with it."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from engine.simulator.book import book_after
from engine.simulator.flow import Flow, Kind
from engine.simulator.recorded import CaptureError, aggregate, read_flow
from engine.simulator.rules import checkpoints

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "databento"
CAPTURE = FOLDER / "esh4-glbx-mdp3-20231225.mbo.dbn.zst"
TICK_E9 = 250_000_000


@pytest.fixture(scope="module")
def events() -> np.ndarray:
    databento = pytest.importorskip("databento", reason="the optional package databento is not installed")
    if not CAPTURE.is_file():
        pytest.skip(f"no capture at {CAPTURE}")
    read: np.ndarray = databento.DBNStore.from_bytes(CAPTURE.read_bytes()).to_ndarray()
    return read


@pytest.fixture(scope="module")
def flow(events: np.ndarray) -> Flow:
    return read_flow(CAPTURE)


@pytest.mark.parametrize("crossed", [False, True])
def test_the_truth_is_the_sum_of_the_orders_at_the_same_event(events: np.ndarray, crossed: bool) -> None:
    flow = read_flow(CAPTURE, crossed=crossed)
    marks = checkpoints(flow)
    assert flow.source is not None
    wanted = {int(flow.source[record]): record for record in range(len(flow)) if record % 500 == 0}
    # The last record of an event group has its whole effect; earlier ones of the same group may not have it yet.
    last_of = {int(index): record for record, index in enumerate(flow.source.tolist())}
    orders: dict[int, tuple[str, int, int]] = {}
    compared = crossings = 0
    for index, event in enumerate(events):
        action, order_id = event["action"].decode(), int(event["order_id"])
        if action == "A" or action == "M":
            orders[order_id] = event["side"].decode(), int(event["price"]), int(event["size"])
        elif action == "C":
            side, price, size = orders.pop(order_id)
            if size > event["size"]:
                orders[order_id] = side, price, size - int(event["size"])
        if index in wanted:
            levels: dict[str, dict[int, int]] = {"B": defaultdict(int), "A": defaultdict(int)}
            for side, price, size in orders.values():
                levels[side][price // TICK_E9] += size
            bids, asks = book_after(flow.records, flow.entries, marks, last_of[index])
            assert bids.tolist() == [list(level) for level in sorted(levels["B"].items(), reverse=True)]
            assert asks.tolist() == [list(level) for level in sorted(levels["A"].items())]
            crossings += bids[0, 0] >= asks[0, 0]
            compared += 1
    assert compared > 100
    assert (crossings > 0) == crossed


def test_every_trade_goes_out_in_order_and_size(events: np.ndarray, flow: Flow) -> None:
    trades = events[events["action"] == b"T"]
    sent = [
        (int(price), int(size), int(side))
        for kind, first, count in flow.records.tolist()
        if kind == Kind.TRADES
        for side, price, size in flow.entries[first : first + count].tolist()
    ]
    expected = [(int(trade["price"]) // TICK_E9, int(trade["size"]), int(trade["side"] == b"A")) for trade in trades]
    assert sent == expected
    assert len(sent) == 2973


def test_it_keeps_the_times_of_the_capture(events: np.ndarray, flow: Flow) -> None:
    assert flow.source is not None
    times = events["ts_event"][flow.source].astype(np.int64)
    assert (flow.due == times - times[0]).all()
    assert not flow.loops
    assert flow.contract.contract_id == "CON.F.US.EP.H24"
    assert flow.contract.name == "ESH4"


def test_it_is_never_crossed_after_a_whole_record(flow: Flow) -> None:
    marks = checkpoints(flow)
    for record in range(-1, len(flow), 101):
        bids, asks = book_after(flow.records, flow.entries, marks, record)
        assert bids[0, 0] < asks[0, 0], record


def test_a_file_that_is_no_capture_is_named(tmp_path: Path) -> None:
    pytest.importorskip("databento", reason="the optional package databento is not installed")
    (tmp_path / "junk.dbn").write_bytes(b"no DBN at all")
    for path in (tmp_path / "junk.dbn", tmp_path / "absent.dbn.zst"):
        with pytest.raises(CaptureError, match=path.name) as caught:
            read_flow(path)
        assert "no DBN at all" not in str(caught.value), "what is in a file that was named by mistake is not for a log"


def test_a_capture_of_trades_only_is_refused() -> None:
    path = FOLDER / "futures_trades_2024-07-01T23-58_2024-07-02T00-02.dbn.zst"
    pytest.importorskip("databento", reason="the optional package databento is not installed")
    if not path.is_file():
        pytest.skip(f"no capture at {path}")
    with pytest.raises(CaptureError, match="mbo"):
        read_flow(path)


def test_a_capture_that_ends_before_the_opening_has_no_flow(events: np.ndarray, flow: Flow) -> None:
    with pytest.raises(CaptureError, match="opening"):
        aggregate(events[:9000], flow.contract)
