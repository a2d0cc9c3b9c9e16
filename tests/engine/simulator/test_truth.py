"""The truth files: what another process reads is what was sent, also when the log's ring has wrapped."""

from pathlib import Path

import numpy as np
import pytest

from engine.simulator import truth as truth_files
from engine.simulator.book import book_after
from engine.simulator.channel import MAX_RUN, Channel
from engine.simulator.contracts import CONTRACTS
from engine.simulator.flow import Kind
from engine.simulator.generated import generate
from engine.simulator.rules import checkpoints
from engine.simulator.truth import LOG_ROWS, ContractTruth, Truth, UnknownStamp

NOW_NS = 1_795_357_980_000_000_000


class Sent:
    """A channel and what another process sees of it."""

    def __init__(self, folder: Path) -> None:
        self.flow = generate(CONTRACTS["MES"], 4, depth_records=400)
        self.marks = checkpoints(self.flow)
        log = truth_files.write(folder, [(self.flow, self.marks)])["MES"]
        self.channel = Channel(self.flow, self.marks, log, NOW_NS)
        self.truth: ContractTruth = Truth.open(folder)[self.flow.contract.contract_id]

    def book(self, record: int) -> list[list[list[int]]]:
        return [side.tolist() for side in book_after(self.flow.records, self.flow.entries, self.marks, record)]


@pytest.fixture
def sent(tmp_path: Path) -> Sent:
    return Sent(tmp_path / "truth")


def books(truth: ContractTruth, stamp_ns: int) -> list[list[list[int]]]:
    return [side.tolist() for side in truth.book_at(stamp_ns)]


def test_each_stamp_names_one_state(sent: Sent) -> None:
    first_ns = sent.channel.log.last_ns
    assert first_ns == NOW_NS
    sent.channel.advance(70, NOW_NS + 1234)
    assert sent.truth.rows == 71
    stamps = [NOW_NS, *(NOW_NS + 1200 + 100 * i for i in range(70))]
    for row in (0, 1, 35, 70):
        assert sent.truth.row_of(stamps[row]) == row
        assert sent.truth.record_of(stamps[row]) == row - 1
        assert books(sent.truth, stamps[row]) == sent.book(row - 1)


def test_stamps_grow_even_if_the_clock_does_not(sent: Sent) -> None:
    sent.channel.advance(5, NOW_NS)
    sent.channel.advance(5, NOW_NS - 10**9)
    assert [sent.truth.record_of(NOW_NS + 100 * (i + 1)) for i in range(10)] == list(range(10))


def test_a_snapshot_is_a_stamp_of_its_own_and_the_state_as_last_sent(sent: Sent) -> None:
    sent.channel.snapshot(NOW_NS + 500)
    assert sent.truth.record_of(NOW_NS + 500) == -1
    sent.channel.advance(9, NOW_NS + 10_000)
    sent.channel.snapshot(NOW_NS + 20_000)
    assert sent.truth.record_of(NOW_NS + 20_000) == 8
    assert books(sent.truth, NOW_NS + 20_000) == sent.book(8)
    assert sent.truth.last_record == 8


def test_the_flow_goes_round(sent: Sent) -> None:
    n = len(sent.flow)
    for i in range(5):
        sent.channel.advance(n // 2, NOW_NS + i * 10**9)
    record = (5 * (n // 2) - 1) % n
    assert sent.truth.last_record == record
    assert books(sent.truth, sent.channel.log.last_ns) == sent.book(record)
    depth = sent.flow.records["kind"] == Kind.DEPTH
    trades = sent.flow.records["kind"] == Kind.TRADES
    counts = sent.flow.records["entries"]
    part = np.arange(n) < 5 * (n // 2) - 2 * n
    assert sent.truth.sent_records == 5 * (n // 2)
    assert sent.truth.sent_entries == 2 * counts[depth].sum() + counts[depth & part].sum()
    assert sent.truth.sent_trades == 2 * counts[trades].sum() + counts[trades & part].sum()


def test_an_unknown_stamp_and_one_out_of_the_window_are_errors(sent: Sent) -> None:
    for stamp_ns in (NOW_NS - 100, NOW_NS + 50, NOW_NS + 100):
        with pytest.raises(UnknownStamp):
            sent.truth.book_at(stamp_ns)
    rounds = LOG_ROWS // MAX_RUN + 3
    for i in range(rounds):
        sent.channel.advance(MAX_RUN, NOW_NS + 10**9 * (i + 1))
    with pytest.raises(UnknownStamp):
        sent.truth.book_at(NOW_NS)
    rows = 1 + rounds * MAX_RUN
    assert sent.truth.oldest_row == rows - LOG_ROWS + LOG_ROWS // 8
    for row in (sent.truth.oldest_row, LOG_ROWS - 1, LOG_ROWS, rows - 1):
        stamp_ns = NOW_NS + 10**9 * ((row - 1) // MAX_RUN + 1) + 100 * ((row - 1) % MAX_RUN)
        assert sent.truth.row_of(stamp_ns) == row
        assert sent.truth.record_of(stamp_ns) == (row - 1) % len(sent.flow)
    with pytest.raises(UnknownStamp):
        sent.truth.row_of(NOW_NS + 10**9 * ((sent.truth.oldest_row - 2) // MAX_RUN + 1))


def test_trades_are_listed_over_the_wrap_of_the_ring(sent: Sent) -> None:
    while sent.channel.log.count < LOG_ROWS + 1000:
        sent.channel.advance(MAX_RUN // 2, NOW_NS)
    begin, end = LOG_ROWS - 700, LOG_ROWS + 700
    listed = sent.truth.trades_sent(begin, end)
    expected = []
    for row in range(begin, end):
        record = (row - 1) % len(sent.flow)
        expected += [(row, price, size, side) for price, size, side in sent.truth.trades_of(record).tolist()]
    assert [(row, price, size, side) for row, _, price, size, side in listed.tolist()] == expected
    assert all(sent.truth.row_of(int(stamp)) == row for row, stamp, *_ in listed[::50].tolist())


def test_intervals_say_when_somebody_was_subscribed_to_trades(sent: Sent) -> None:
    channel = sent.channel
    channel.count_trade_clients(1)
    channel.advance(10, NOW_NS)
    channel.count_trade_clients(1)
    channel.count_trade_clients(-1)
    assert sent.truth.trade_intervals() == [(1, 11, True)]
    channel.count_trade_clients(-1)
    channel.advance(10, NOW_NS)
    channel.count_trade_clients(1)
    channel.advance(3, NOW_NS)
    assert sent.truth.trade_intervals() == [(1, 11, False), (21, 24, True)]


def test_there_is_no_truth_before_it_is_whole(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Truth.open(tmp_path)


def test_a_flow_too_deep_for_a_snapshot_is_refused(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.simulator.channel.MAX_LEVELS", 100)
    with pytest.raises(ValueError, match="MES"):
        Channel(sent.flow, sent.marks, sent.channel.log, NOW_NS)


def test_records_sent_are_listed_without_snapshots(sent: Sent) -> None:
    sent.channel.advance(3, NOW_NS)
    sent.channel.snapshot(NOW_NS)
    sent.channel.advance(2, NOW_NS)
    assert sent.truth.rows == 7
    assert sent.truth.records_sent(0, 7) == [0, 1, 2, 3, 4]
    assert sent.truth.records_sent(3, 6) == [2, 3]
