"""The sender with a clock of the test's own: it keeps the rate, catches up when late, and looks after its clients."""

import dataclasses
import itertools
from pathlib import Path

import pytest

from engine.simulator import truth as truth_files
from engine.simulator.channel import Channel
from engine.simulator.contracts import CONTRACTS
from engine.simulator.generated import generate
from engine.simulator.rules import checkpoints
from engine.simulator.schedule import Schedule
from engine.simulator.sender import MAX_BEHIND_BYTES, UNPACED_BEHIND_BYTES, UNPACED_RUN, Sender

NOW_NS = 1_795_357_980_000_000_000


class FakeClient:
    """Takes what it is given; `behind` is how far it says it is."""

    def __init__(self, wanted: dict[str, int]) -> None:
        self.wanted = wanted
        self.behind = 0
        self.taken = 0
        self.writes = 0
        self.ended = ""

    def write(self, frames: bytes) -> None:
        self.taken += len(frames)
        self.writes += 1

    def behind_bytes(self) -> int:
        return self.behind

    def cut_off(self, why: str) -> None:
        self.ended = why


class Stage:
    def __init__(self, folder: Path, rate: float, recorded: bool = False, gap_s: float = 0.0) -> None:
        flows = {symbol: generate(CONTRACTS[symbol], 6, depth_records=300) for symbol in ("MNQ", "MES")}
        if recorded:
            flows = {symbol: dataclasses.replace(flow, loops=False) for symbol, flow in flows.items()}
        marks = {symbol: checkpoints(flow) for symbol, flow in flows.items()}
        logs = truth_files.write(folder, [(flows[symbol], marks[symbol]) for symbol in flows])
        channels = {symbol: Channel(flows[symbol], marks[symbol], logs[symbol], NOW_NS) for symbol in flows}
        self.now_s = 100.0
        schedules = {symbol: Schedule(flow, rate) for symbol, flow in flows.items()}
        clocks = (lambda: NOW_NS + int(self.now_s * 1e9)), (lambda: self.now_s)
        self.sender = Sender(channels, schedules, *clocks, gaps_s=dict.fromkeys(flows, gap_s))

    def pass_time(self, seconds: float) -> float:
        self.now_s += seconds
        return self.sender.tick()

    def entries(self, symbol: str = "MNQ") -> int:
        return self.sender.channels[symbol].log.sent_entries


def test_the_rate_is_kept_even_when_ticks_come_late(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "t", rate=1000.0)
    for seconds in (0.001, 0.5, 0.003, 2.0, 0.0, 0.7):
        stage.pass_time(seconds)
    assert 0 <= stage.entries() - 3204 <= 20
    assert stage.sender.late_ticks == 3
    assert stage.sender.late_s_max == pytest.approx(2.0, abs=0.02)


def test_it_says_when_the_next_record_is_due(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "t", rate=1.0)
    wait_s = stage.pass_time(0.0)
    first = stage.entries()
    begin_s = stage.now_s
    while stage.entries() == first:
        assert 0 < wait_s <= 0.05
        assert stage.now_s < begin_s + 25, "no record has more than 20 entries"
        wait_s = stage.pass_time(wait_s)
    assert stage.now_s - begin_s == pytest.approx(first, abs=0.002), (
        "the next one comes when the first has been paid for"
    )


def test_each_client_gets_only_what_it_wants_in_one_write(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "t", rate=1000.0)
    both, one, none = FakeClient({"MNQ": 7, "MES": 7}), FakeClient({"MNQ": 7}), FakeClient({"MES": 0})
    stage.sender.clients |= {both, one, none}
    stage.pass_time(0.1)
    assert both.taken > one.taken > 0 == none.taken
    assert (both.writes, one.writes) == (1, 1)


@pytest.mark.parametrize(("behind", "is_cut"), [(MAX_BEHIND_BYTES, False), (MAX_BEHIND_BYTES + 1, True)])
def test_a_client_too_far_behind_is_cut_off(tmp_path: Path, behind: int, is_cut: bool) -> None:
    stage = Stage(tmp_path / "t", rate=1000.0)
    client = FakeClient({"MNQ": 7})
    client.behind = behind
    stage.sender.clients.add(client)
    stage.pass_time(0.1)
    assert bool(client.ended) == is_cut
    assert stage.sender.cut_off == is_cut


def test_while_paused_nothing_goes_out_and_time_stands_still(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "t", rate=1000.0)
    stage.pass_time(1.0)
    stage.sender.pause()
    before = stage.entries()
    stage.pass_time(5.0)
    assert stage.entries() == before
    stage.sender.resume()
    stage.pass_time(1.0)
    assert 0 <= stage.entries() - 2000 <= 20
    assert stage.sender.active_s == pytest.approx(2.0)


def test_a_recorded_flow_waits_for_a_client_and_is_sent_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "t", rate=1000.0, recorded=True)
    client = FakeClient({"MNQ": 1})
    stage.sender.clients.add(client)
    stage.sender.start_flows(client)
    stage.pass_time(10.0)
    assert stage.entries() == 0
    client.wanted["MNQ"] = 3
    stage.sender.start_flows(client)
    for _ in range(30):
        stage.pass_time(1.0)
    flow = stage.sender.channels["MNQ"].flow
    assert stage.sender.finished("MNQ")
    assert stage.entries() == flow.span
    assert stage.entries("MES") == 0


def test_as_fast_as_possible_waits_for_the_client(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "t", rate=float("inf"), recorded=True)
    client = FakeClient({"MNQ": 3})
    stage.sender.clients.add(client)
    stage.sender.start_flows(client)
    assert stage.pass_time(0.0) <= 0
    assert stage.sender.channels["MNQ"].position == UNPACED_RUN
    client.behind = UNPACED_BEHIND_BYTES + 1
    assert stage.pass_time(0.0) > 0
    assert stage.sender.channels["MNQ"].position == UNPACED_RUN
    client.behind = 0
    while not stage.sender.finished("MNQ"):
        stage.pass_time(0.001)
    assert stage.sender.late_ticks == 0


def test_with_a_gap_records_leave_one_at_a_time_and_none_is_left_out(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "t", rate=100.0, gap_s=0.01)
    log = stage.sender.channels["MNQ"].log
    before = log.count
    wait_s = stage.pass_time(3.0)
    stamps = []
    while stage.now_s < 130.0:
        assert log.count <= before + 1, "one at a time"
        if log.count > before:
            stamps.append(log.last_ns)
        before = log.count
        wait_s = stage.pass_time(max(wait_s, 0.0005))
    assert min(b - a for a, b in itertools.pairwise(stamps)) >= 9_900_000
    assert 0 <= stage.entries() - 3000 <= 60, "what it was late with it has caught up with"
