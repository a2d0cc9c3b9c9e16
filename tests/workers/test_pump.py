"""The worker's whole path, ring to cell, against the plain model: every record, every reason to lose the book."""

import os
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.layout import Reason, State
from shm.refill import put_present
from tests import model
from tests.waiting import wait_for
from tests.workers import rig
from tests.workers.rig import Rig, depth, quote, snapshot, trades
from workers import pump

SEED = int(os.environ.get("SHARDBOOK_SEED", "11"))
TICK = Decimal("0.25")


def ticks(levels: list[tuple[Decimal, Decimal]]) -> list[tuple[int, int]]:
    return [(int(price / TICK), int(size)) for price, size in levels]


class Pair:
    """The engine's worker and the model, fed the same."""

    def __init__(self, **settings: Any) -> None:
        self.rig = Rig(**settings)
        self.rig.configure()
        self.model = model.Book(TICK)
        self.lost_sides = False

    def send(self, message: str) -> None:
        assert self.rig.send(message)
        try:
            self.model.apply(*model.decode(message, rig.CONTRACT))
        except model.Refused:
            self.model.lose()

    def check(self) -> None:
        live = self.rig.state["state"] == State.LIVE
        assert live == self.model.live
        if live:
            assert self.rig.working(layout.BID) == ticks(self.model.best_bids())
            assert self.rig.working(layout.ASK) == ticks(self.model.best_asks())
            assert self.rig.published(layout.BID) == ticks(self.model.best_bids(64))
            assert self.rig.published(layout.ASK) == ticks(self.model.best_asks(64))
            assert self.rig.state["venue_ns"] == self.model.stamp_ns
        wanted = [(int(t.price / TICK), int(t.size), t.side) for t in self.model.tape]
        assert [row[2:] for row in self.rig.tape()] == wanted


def random_depth(rng: random.Random, book: model.Book, n: int) -> str:
    entries: list[tuple[int, float, int]] = []
    touch = float(max(book.bids, default=Decimal(21000)))
    for _ in range(rng.randrange(1, 21)):
        kind = rng.choice((1, 1, 1, 2, 2, 2, 3, 4, 9, 10, 0, 5, 7, 8, 11, 14))
        bid = kind in (2, 4, 9)
        away = rng.randrange(0, 60) if kind in (1, 2) else rng.randrange(0, 3)
        price = touch - 0.25 * away if bid else touch + 0.25 + 0.25 * away
        entries.append((kind, price, rng.choice((0, 0, 1, 5, 40))))
    return depth(entries, n)


@pytest.mark.parametrize("turn", range(6))
def test_every_record_leaves_the_book_the_model_has(turn: int) -> None:
    rng = random.Random(f"{SEED} {turn}")
    print(f"SHARDBOOK_SEED={SEED}, turn {turn}")
    pair = Pair(max_depth=1024)
    pair.send(snapshot())
    for n in range(2, 400):
        dice = rng.random()
        if dice < 0.02:
            pair.rig.engine.gap(rng.choice((Reason.RECONNECTED, Reason.RESYNC, Reason.SILENCE)))
            pair.model.lose()
        elif dice < 0.08:
            pair.send(snapshot(rng.randrange(1, 60), rng.randrange(0, 60), n=n))
        elif dice < 0.10:
            pair.send(depth([(6, 0, 0)], n))
        elif dice < 0.12:
            pair.send(depth([(2, 21000.1, 3)], n))
        elif dice < 0.30:
            rows = [(21000 + rng.randrange(9) / 4, rng.randrange(1, 9), rng.randrange(2)) for _ in range(3)]
            pair.send(trades(rows, n))
        elif dice < 0.40:
            pair.send(quote(lastPrice=21000.25, volume=rng.randrange(10**6), lastUpdated=rig.stamp(n)))
        else:
            pair.send(random_depth(rng, pair.model, n))
        if rng.random() < 0.6:
            pair.rig.drain()
            pair.check()
    pair.rig.drain()
    pair.check()
    state = pair.rig.state
    assert pair.rig.engine.delivered == state["applied"] + state["refused"] + state["dropped"] + state["quarantined"]


@pytest.mark.parametrize("turn", range(4))
def test_a_worker_restarted_at_any_batch_equals_one_that_was_not(turn: int) -> None:
    rng = random.Random(f"{SEED} restart {turn}")
    print(f"SHARDBOOK_SEED={SEED}, turn {turn}")
    broken, whole = Rig(ring_bytes=1 << 16, batch=3), Rig(ring_bytes=1 << 16)
    book = model.Book(TICK)
    for each in (broken, whole):
        each.configure()
        each.send(snapshot())
    seen = 0
    for n in range(2, 500):
        if rng.random() < 0.3:
            message = trades([(21000.0, n, 0)] * rng.randrange(1, 5), n)
        else:
            message = random_depth(rng, book, n)
            if rng.random() < 0.3:
                message = snapshot(n=n)
        for each in (broken, whole):
            assert each.send(message)
            each.engine.publish()
        whole.drain()
        for _ in range(rng.randrange(3)):
            code = pump.pump(broken.memory)
            if code not in (pump.IDLE, pump.MORE):
                broken.worker.handle(code)
        if int(broken.memory.ring[layout.TAIL] - broken.memory.ring[layout.HEAD]) > 1 << 14:
            broken.drain()
        if rng.random() < 0.2:
            broken.restart()
        if broken.memory.control[layout.PUBLISHED]:
            assert int(broken.state["sequence"]) >= seen, "a reader saw the book go back"
            seen = int(broken.state["sequence"])
    broken.drain()
    assert broken.tape() == whole.tape()
    assert broken.working(layout.BID) == whole.working(layout.BID)
    assert broken.working(layout.ASK) == whole.working(layout.ASK)
    names = [n for n in layout.STATE.names or () if n not in ("recv_ns", "wall_ns", "lag_ns", "contract", "spare")]
    names = [n for n in names if "lag_" not in n and "wall" not in n and n != "since_ns"]
    assert {n: int(broken.memory.state[n][0]) for n in names} == {n: int(whole.memory.state[n][0]) for n in names}


def test_drops_are_counted_said_and_asked_back() -> None:
    pair = Rig(ring_bytes=1 << 14)
    pair.configure()
    pair.send(snapshot(20, 20))
    pair.drain()
    sent = [pair.send(depth([(2, 20999.75, k + 1)], k + 2)) for k in range(400)]
    assert not all(sent)
    wanted = pair.engine.resync_wanted
    pair.drain()
    assert pair.state["state"] == State.STALE
    assert pair.state["reason"] == Reason.DROPPED
    assert pair.engine.resync_wanted > wanted
    pair.engine.gap(Reason.RESYNC)
    pair.send(snapshot(20, 20, n=900))
    pair.drain()
    state = pair.state
    assert state["state"] == State.LIVE
    assert state["dropped"] == sent.count(False) == pair.engine.dropped
    assert pair.engine.delivered == state["applied"] + state["refused"] + state["dropped"]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (depth([(2, 21000.25, 5)], 2), Reason.CROSSED),
        (depth([(2, 20999.8, 5)], 2), Reason.OFF_GRID),
        (depth([(6, 0, 0)], 2), Reason.RESET),
        (depth([(6, 0, 0), (2, 20999.75, 5)], 2), Reason.ONE_SIDED),
        (depth([(2, 20999.75, 5)], 2).replace("20999.75", '"x"'), Reason.REFUSED),
        ("{", Reason.REFUSED),
    ],
)
def test_a_book_that_cannot_be_trusted_is_never_live(message: str, reason: Reason) -> None:
    pair = Rig()
    pair.configure()
    pair.send(snapshot())
    pair.drain()
    assert pair.state["state"] == State.LIVE
    pair.send(message)
    pair.drain()
    assert pair.state["state"] != State.LIVE
    assert pair.state["reason"] == reason
    pair.send(depth([(2, 20999.75, 7)], 3))
    if reason not in (Reason.RESET, Reason.ONE_SIDED):  # those two only wait for the missing side
        pair.drain()
        assert pair.state["state"] != State.LIVE
    pair.engine.gap(Reason.RESYNC)
    pair.send(snapshot(n=4))
    pair.drain()
    assert pair.state["state"] == State.LIVE


def test_an_older_stamp_does_not_take_the_books_stamp_back() -> None:
    pair = Pair()
    stamps = []
    for message in (
        snapshot(n=5000),
        depth([(2, 20999.75, 5)], 7000),
        depth([(2, 20999.75, 6)], 6000),
        depth([(2, 20999.75, 7)], 8000),
        snapshot(n=5000),
    ):
        pair.send(message)
        pair.rig.drain()
        pair.check()
        stamps.append(int(pair.rig.state["venue_ns"]))
    first, newest, stale, newer, last = stamps
    assert first == last < newest == stale < newer


def test_an_unknown_target_is_refused_and_leaves_the_book_alone() -> None:
    pair = Rig()
    pair.configure()
    pair.send(snapshot())
    pair.send('{"type":1,"target":"GatewayNews","arguments":["CON.F.US.MNQ.Z26",{}]}')
    pair.drain()
    assert pair.state["state"] == State.LIVE
    assert pair.state["refused"] == 1


def test_a_chunked_message_counts_once_and_is_whole() -> None:
    pair = Rig(ring_bytes=1 << 16, max_depth=256)
    pair.configure()
    message = snapshot(100, 100)
    assert len(message) > (1 << 16) // 8
    pair.send(message)
    pair.drain()
    assert pair.state["state"] == State.LIVE
    assert pair.state["applied"] == pair.engine.delivered == 1
    assert len(pair.working(layout.BID)) == 100


def test_a_chunked_message_survives_a_restart_in_its_middle() -> None:
    pair = Rig(ring_bytes=1 << 16, max_depth=256, batch=1)
    pair.configure()
    pair.send(snapshot(100, 100))
    pair.engine.publish()
    for _ in range(3):
        code = pump.pump(pair.memory)
        if code not in (pump.IDLE, pump.MORE):
            pair.worker.handle(code)
        pump.checkpoint(pair.memory)
    pair.restart()
    pair.drain()
    assert pair.state["applied"] == 1
    assert len(pair.working(layout.BID)) == 100


def test_a_record_above_half_the_ring_is_dropped_with_its_own_reason() -> None:
    pair = Rig(ring_bytes=1 << 14)
    pair.configure()
    assert not pair.send(b"x" * ((1 << 13) + 1))
    pair.drain()
    assert pair.state["gap_reason"] == Reason.OVERSIZE
    assert pair.state["dropped"] == pair.engine.delivered == 1


def test_a_side_that_overflows_never_serves_what_it_does_not_know() -> None:
    pair = Rig(levels=16, max_depth=16)
    pair.configure()
    pair.send(snapshot(20, 20))
    pair.drain()
    assert [price for price, _ in pair.published(layout.BID)] == [84000 - k for k in range(1, 17)]
    pair.send(depth([(2, 21000 - 0.25 * k, 0) for k in range(1, 9)], 2))
    pair.send(depth([(2, 21000 - 0.25 * 18, 7)], 3))  # beyond what is known: not taken as the ninth level
    pair.drain()
    assert [price for price, _ in pair.published(layout.BID)] == [84000 - k for k in range(9, 17)]
    pair.send(depth([(2, 21000 - 0.25 * k, 0) for k in range(9, 17)], 4))
    wanted = pair.engine.resync_wanted
    pair.drain()
    assert pair.state["state"] == State.STALE
    assert pair.engine.resync_wanted > wanted


def test_an_engine_pause_is_over_when_venue_lag_is_back() -> None:
    pair = Rig()
    assert pair.engine.configure(rig.config(max_venue_lag_ns=1_000_000_000))
    pair.send(snapshot())
    pair.send(depth([(2, 20999.75, 5)], 30_000_000))
    pair.drain()
    pair.engine.gap(Reason.ENGINE_PAUSED)
    pair.drain()
    assert (pair.state["state"], pair.state["reason"]) == (State.STALE, Reason.ENGINE_PAUSED)
    pair.send(depth([(2, 20999.75, 6)], 10_000_000))  # two seconds older: still behind
    pair.drain()
    assert pair.state["state"] == State.STALE
    pair.send(depth([(2, 20999.75, 7)], 30_000_001))
    pair.drain()
    assert pair.state["state"] == State.LIVE
    assert pair.published(layout.BID)[0] == (83999, 7)


def test_a_feed_behind_the_venues_clock_is_stale_however_fresh_it_feels() -> None:
    pair = Rig()
    assert pair.engine.configure(rig.config(max_venue_lag_ns=1_000_000_000))
    pair.send(snapshot())
    pair.send(depth([(2, 20999.75, 5)], 50_000_000))
    pair.send(depth([(2, 20999.75, 5)], 30_000_000))
    pair.drain()
    assert (pair.state["state"], pair.state["reason"]) == (State.STALE, Reason.VENUE_LAG)


def test_quarantined_records_are_kept_counted_and_the_book_asks_for_a_snapshot(tmp_path: Any) -> None:
    pair = Rig()
    pair.configure()
    pair.send(snapshot())
    pair.drain()
    poison = depth([(2, 20999.75, 5)], 2)
    pair.send(poison)
    sequence = int(pair.state["sequence"]) + 1
    pair.restart(rig.task((sequence,)), tmp_path)
    pair.drain()
    state = pair.state
    assert (state["state"], state["reason"], state["quarantined"]) == (State.STALE, Reason.QUARANTINED, 1)
    assert (tmp_path / "quarantine" / f"MNQ-{sequence}.record").read_text() == poison
    assert pair.engine.delivered == state["applied"] + state["quarantined"]


@pytest.mark.parametrize("kind", ["config", "hours", "gap"])
def test_a_quarantined_record_that_is_no_message_counts_as_none(tmp_path: Any, kind: str) -> None:
    pair = Rig()
    pair.configure()
    pair.send(snapshot())
    pair.drain()
    sequence = int(pair.state["sequence"]) + 1
    if kind == "config":
        pair.configure()
    elif kind == "hours":
        assert pair.engine.sessions(np.zeros(1, layout.SESSION))
    else:
        assert not pair.send(bytes(1 << 20))
        sequence += 1  # the gap comes behind what is missing
        pair.engine.publish()
    pair.restart(rig.task((sequence,)), tmp_path)
    pair.drain()
    state = pair.state
    assert (tmp_path / "quarantine" / f"MNQ-{sequence}.record").exists(), "it was not set aside"
    assert (state["state"], state["reason"], state["quarantined"]) == (State.STALE, Reason.QUARANTINED, 0)
    assert pair.engine.delivered == state["applied"] + state["dropped"]


def test_a_quarantined_record_in_chunks_counts_once_and_is_kept_whole(tmp_path: Any) -> None:
    pair = Rig(ring_bytes=1 << 16, max_depth=256)
    pair.configure()
    pair.send(snapshot(3, 3))
    pair.drain()
    poison = snapshot(100, 100)
    sequence = int(pair.state["sequence"]) + 1
    pair.send(poison)
    pair.restart(rig.task((sequence,)), tmp_path)
    pair.drain()
    assert pair.state["quarantined"] == 1
    assert (tmp_path / "quarantine" / f"MNQ-{sequence}.record").read_text() == poison


def test_partial_quotes_are_merged() -> None:
    pair = Rig()
    pair.configure()
    pair.send(quote(lastPrice=21000.25, bestBid=21000.0, volume=10, lastUpdated=rig.stamp(5)))
    pair.send(quote(lastPrice=None, bestBid=21000.5))
    pair.drain()
    state = pair.state
    assert (state["session_last"], state["session_bid"], state["session_volume"]) == (84001, 84002, 10)
    known = {name for bit, name in enumerate(layout.SESSION_FIELDS) if state["known"] >> bit & 1}
    assert known == {"last", "bid", "volume", "updated_ns"}


def test_another_contract_is_another_book_and_the_tape_goes_on() -> None:
    one = Rig()
    one.configure()
    one.send(snapshot())
    one.send(trades([(21000.0, 1, 0)], 2))
    one.drain()
    assert one.state["state"] == State.LIVE
    next_month = rig.CONTRACT.replace("Z26", "H27")
    one.engine.gap(Reason.ROLL)
    one.configure(contract=next_month)
    one.drain()
    assert (one.state["state"], one.state["reason"]) == (State.SYNCING, Reason.ROLL)
    assert (one.published(layout.BID), one.published(layout.ASK)) == ([], [])
    assert (one.state["contract"], one.state["resync_wanted"]) == (next_month.encode(), 0)
    one.send(snapshot(n=3).replace(rig.CONTRACT, next_month))
    one.send(trades([(21000.0, 2, 0)], 4).replace(rig.CONTRACT, next_month))
    one.drain()
    assert (one.state["state"], one.state["refused"]) == (State.LIVE, 0)
    assert len(one.tape()) == 2


def test_what_a_replay_played_last_is_released_when_time_goes_on() -> None:
    alone = Rig()
    alone.engine.clock()  # no data: by itself it is no reason for a checkpoint
    alone.drain()
    words = alone.memory.ring
    assert words[layout.HEAD] == 0
    assert put_present(words)

    def released() -> bool:
        alone.drain()
        return bool(words[layout.HEAD] == words[layout.TAIL])

    wait_for(released, 20, "a checkpoint")
