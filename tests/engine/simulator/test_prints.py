"""The judge of the tape: each way in which a tape can be wrong is seen, and counted as what it is."""

from pathlib import Path

import numpy as np
import pytest

from engine.simulator import truth as truth_files
from engine.simulator.channel import Channel
from engine.simulator.contracts import CONTRACTS
from engine.simulator.flow import Ints
from engine.simulator.generated import generate
from engine.simulator.prints import PrintCounts, Prints
from engine.simulator.rules import checkpoints
from engine.simulator.truth import LOG_ROWS, Truth

NOW_NS = 1_795_357_980_000_000_000


class Tape:
    """A channel with one subscriber, and the tape that it should get: (n, 4) of stamp, ticks, size, aggressor."""

    def __init__(self, folder: Path) -> None:
        flow = generate(CONTRACTS["MNQ"], 8, depth_records=600)
        marks = checkpoints(flow)
        log = truth_files.write(folder, [(flow, marks)])["MNQ"]
        self.channel = Channel(flow, marks, log, NOW_NS)
        self.truth = Truth.open(folder).of_symbol("MNQ")
        self.prints = Prints(self.truth)

    def send(self, records: int) -> Ints:
        begin = self.channel.log.count
        self.channel.advance(records, NOW_NS)
        sent = self.truth.trades_sent(begin, self.channel.log.count)
        return np.stack([sent[name] for name in ("venue_ns", "price", "size", "side")], axis=1)


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    return Tape(tmp_path / "truth")


def first_list(seen: Ints, at_least: int = 2) -> slice:
    """Where a record with several prints lies."""
    stamps, firsts, counts = np.unique(seen[:, 0], return_index=True, return_counts=True)
    i = int(np.argmax(counts >= at_least))
    assert counts[i] >= at_least, len(stamps)
    return slice(int(firsts[i]), int(firsts[i] + counts[i]))


def test_a_right_tape_is_right_in_any_portions(tape: Tape) -> None:
    tape.channel.count_trade_clients(1)
    seen = tape.send(500)
    middle = first_list(seen).start
    for part in (seen[:middle], seen[middle:]):
        tape.prints.judge(part)
    tape.prints.finish()
    assert tape.prints.counts == PrintCounts(compared=len(seen))


def test_lost_prints_are_lost_wherever_they_are(tape: Tape) -> None:
    tape.channel.count_trade_clients(1)
    seen = tape.send(500)
    whole = first_list(seen)
    tape.prints.judge(np.delete(seen, whole.start, axis=0))
    assert tape.prints.counts.lost == 1
    more = tape.send(500)
    tape.prints.judge(more[4:])
    tape.send(500)
    lost = 1 + 4 + len(tape.truth.trades_sent(1001, 1501))
    tape.prints.finish()
    assert (tape.prints.counts.lost, tape.prints.counts.wrong, tape.prints.counts.cut) == (lost, 0, 0)


def test_doubled_foreign_changed_and_swapped_prints_are_wrong(tape: Tape) -> None:
    tape.channel.count_trade_clients(1)
    seen = tape.send(300)
    tape.prints.judge(np.concatenate((seen, seen[-1:])))
    assert (tape.prints.counts.wrong, tape.prints.counts.lost) == (1, 0)
    tape.prints.judge(seen[:1])
    assert tape.prints.counts.wrong == 2
    more = tape.send(300)
    changed = more.copy()
    changed[3, 2] += 1
    tape.prints.judge(changed)
    assert (tape.prints.counts.wrong, tape.prints.counts.lost) == (3, 1)
    again = tape.send(600)
    foreign = np.concatenate((again, [[again[-1, 0] + 50, 1, 1, 0]]))
    tape.prints.judge(foreign)
    assert (tape.prints.counts.wrong, tape.prints.counts.lost) == (4, 1)


def test_two_prints_of_one_record_in_another_order_are_wrong(tape: Tape) -> None:
    tape.channel.count_trade_clients(1)
    seen = tape.send(600)
    _, firsts, counts = np.unique(seen[:, 0], return_index=True, return_counts=True)
    start, count = next(
        (int(first), int(n))
        for first, n in zip(firsts, counts, strict=True)
        if n > 1 and not np.array_equal(seen[first], seen[first + n - 1])
    )
    seen[[start, start + count - 1]] = seen[[start + count - 1, start]]
    tape.prints.judge(seen)
    assert (tape.prints.counts.wrong, tape.prints.counts.lost) == (2, 0)


def test_what_nobody_was_subscribed_to_is_not_expected(tape: Tape) -> None:
    tape.send(200)
    tape.channel.count_trade_clients(1)
    seen = tape.send(200)
    tape.prints.judge(seen)
    assert tape.prints.counts == PrintCounts(compared=len(seen))


def test_the_end_of_a_broken_connection_is_cut_and_not_lost(tape: Tape) -> None:
    tape.channel.count_trade_clients(1)
    seen = tape.send(300)
    tape.channel.count_trade_clients(-1)
    tape.send(100)
    tape.channel.count_trade_clients(1)
    more = tape.send(300)
    records = np.unique(seen[:, 0])
    arrived = seen[(seen[:, 0] > records[0]) & (seen[:, 0] < records[-3])]  # the first was lost, three never came
    tape.prints.judge(np.concatenate((arrived, more)))
    lost, cut = int(np.sum(seen[:, 0] == records[0])), int(np.sum(seen[:, 0] >= records[-3]))
    assert (tape.prints.counts.lost, tape.prints.counts.cut, tape.prints.counts.wrong) == (lost, cut, 0)


def test_a_judge_that_comes_too_late_says_so(tape: Tape) -> None:
    tape.channel.count_trade_clients(1)
    seen = tape.send(300)
    while tape.channel.log.count < LOG_ROWS * 2:
        tape.send(5000)
    tape.prints.judge(seen)
    assert tape.prints.counts.unjudged == len(seen)
    assert tape.prints.counts.wrong == 0


@pytest.mark.parametrize("in_portions", [True, False])
def test_a_list_that_was_sent_once_more_is_on_the_tape_twice(tape: Tape, in_portions: bool) -> None:
    tape.channel.count_trade_clients(1)
    before = tape.send(500)
    tape.channel.repeat_last_trades()
    tape.channel.count_trade_clients(-1)
    tape.send(100)  # nobody hears these
    tape.channel.count_trade_clients(1)
    tape.channel.repeated(NOW_NS)
    again = before[before[:, 0] == before[-1, 0]]
    after = tape.send(500)
    parts = [before, again, after] if in_portions else [np.concatenate((before, again, after))]
    for part in parts:
        tape.prints.judge(part)
    tape.prints.finish()
    assert tape.prints.counts == PrintCounts(compared=len(before) + len(again) + len(after))


def test_a_repetition_that_is_missing_or_was_never_sent_is_seen(tape: Tape) -> None:
    tape.channel.count_trade_clients(1)
    before = tape.send(500)
    again = before[before[:, 0] == before[-1, 0]]
    tape.prints.judge(np.concatenate((before, again)))
    assert tape.prints.counts.wrong == len(again)
    tape.channel.repeat_last_trades()
    tape.channel.repeated(NOW_NS)
    tape.prints.judge(tape.send(500))
    assert tape.prints.counts.lost == len(again)
