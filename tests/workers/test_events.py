"""The events of records, against the plain model: each once, in order, with its bounds, whoever is killed meanwhile."""

import os
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shm import layout
from shm.layout import EventKind, Reason
from tests import model
from tests.workers import rig
from tests.workers.rig import Rig, depth, quote, snapshot, trades
from workers import pump

SEED = int(os.environ.get("SHARDBOOK_SEED", "13"))
OTHER_CONTRACT = "CON.F.US.MNQ.H27"
GAPS = {
    Reason.DISCONNECTED: "disconnected",
    Reason.SILENCE: "silent",
    Reason.RECONNECTED: "reconnected",
    Reason.RESYNC: "resubscribed",
    Reason.STARTING: "starting",
    Reason.ENGINE_PAUSED: "paused",
}


class Told:
    """Rigs and a model that are told the same records."""

    def __init__(self, *rigs: Rig) -> None:
        self.rigs = rigs
        self.book = model.Book(Decimal("0.25"))
        self.chronicle = model.Chronicle()
        self.contract = rig.CONTRACT
        for each in rigs:
            each.configure()

    @property
    def next_sequence(self) -> int:
        return int(self.rigs[0].memory.ring[layout.NEXT_SEQUENCE])

    def message(self, text: str) -> None:
        number = self.next_sequence
        for each in self.rigs:
            assert each.send(text)
        tape = len(self.book.tape)
        try:
            target, event = model.decode(text, self.contract)
        except model.Refused:
            self.book.lose()
            self.chronicle.record(number, self.book.live, False)
            return
        self.book.apply(target, event)
        refused = target == "GatewayTrade" and len(event) > 0 and len(self.book.tape) == tape
        self.chronicle.record(number, self.book.live, not refused)

    def gap(self, reason: Reason) -> None:
        number = self.next_sequence
        for each in self.rigs:
            each.engine.gap(reason)
        self.book.lose()
        self.chronicle.gap(number, GAPS[reason], 0, False)

    def pause(self, n: int) -> None:
        """The engine paused; the first stamp after it ends that, because venue lag is not judged here."""
        number = self.next_sequence
        for each in self.rigs:
            each.engine.gap(Reason.ENGINE_PAUSED)
        self.chronicle.gap(number, "paused", 0, False)
        self.message(quote(self.contract, lastUpdated=rig.stamp(n)))

    def roll(self) -> None:
        number = self.next_sequence
        self.contract = OTHER_CONTRACT if self.contract == rig.CONTRACT else rig.CONTRACT
        for each in self.rigs:
            each.configure(contract=self.contract)
        self.book.lose()
        self.chronicle.roll(number)

    def clock(self) -> None:
        for each in self.rigs:
            each.engine.clock()

    def outage_of(self, pair: Rig) -> None:
        """What the state says of the last outage. When it began is known from the events that begin there."""
        outage, state = self.chronicle.outage, pair.memory.state[0]
        if outage is None:
            assert state["gap_reason"] == 0
            return
        assert GAPS[Reason(state["gap_reason"])] == outage.why
        assert (state["gap_sequence"], state["gap_count"]) == (outage.end, outage.lost)
        begins = (EventKind.GAP, EventKind.RESYNC, EventKind.ROLL)
        known = {int(row["from_sequence"]): row["from_wall_ns"] for row in pair.memory.events if row["kind"] in begins}
        assert state["gap_from_wall_ns"] == known.get(outage.begin, state["gap_from_wall_ns"])

    @property
    def expected(self) -> list[tuple[str, int, int, int]]:
        return [tuple(happened) for happened in self.chronicle.happened]  # type: ignore[misc]


def tell_anything(told: Told, rng: random.Random, n: int) -> None:
    dice = rng.random()
    contract = told.contract
    if dice < 0.06:
        told.gap(rng.choice([reason for reason in GAPS if reason is not Reason.ENGINE_PAUSED]))
    elif dice < 0.09:
        told.pause(n)
    elif dice < 0.11:
        told.roll()
    elif dice < 0.20:
        told.clock()
    elif dice < 0.35:
        told.message(snapshot(5, 5, n=n).replace(rig.CONTRACT, contract))
    elif dice < 0.40:
        told.message(depth([(2, 21000.1, 3)], n, contract))
    elif dice < 0.44:
        told.message(depth([(6, 0, 0)], n, contract))
    elif dice < 0.48:
        told.message(depth([(2, 21005.0, 3)], n, contract))  # crossed
    elif dice < 0.50:
        told.message("{")
    elif dice < 0.62:
        told.message(trades([(rng.choice((21000.0, 21000.0, 21000.1)), 2, 0)] * 2, n, contract))
    else:
        told.message(depth([(2, 20999.75, n), (1, 21000.25, n)], n, contract))


@pytest.mark.parametrize("turn", range(6))
def test_every_record_gives_the_events_the_model_has(turn: int) -> None:
    """Also when the worker is killed after any batch, and its successor applies again what was not checkpointed."""
    rng = random.Random(f"{SEED} {turn}")
    print(f"SHARDBOOK_SEED={SEED}, turn {turn}")
    broken, whole = Rig(batch=3), Rig()
    told = Told(broken, whole)
    for n in range(2, 500):
        tell_anything(told, rng, n)
        if rng.random() < 0.5:
            whole.drain()
            told.outage_of(whole)
            broken.engine.publish()
            for _ in range(rng.randrange(4)):
                if (code := pump.pump(broken.memory)) not in (pump.IDLE, pump.MORE):
                    broken.worker.handle(code)
        if rng.random() < 0.1:
            broken.restart()
    whole.drain()
    broken.drain()
    assert whole.events() == told.expected
    assert broken.events() == told.expected
    assert len(told.expected) > 100
    told.outage_of(whole)
    told.outage_of(broken)


def test_an_outage_keeps_its_first_cause_and_where_it_began_until_the_book_is_live() -> None:
    """An engine that is killed: its successor says so, and then that it waits for a snapshot."""
    pair = Rig()
    pair.configure()
    for turn in (1, 2):
        pair.send(snapshot(5, 5, n=turn))
        pair.drain()
        begun = pair.state["data_wall_ns"]
        for reason in (Reason.ENGINE_RESTART, Reason.RECONNECTED, Reason.RESYNC):
            pair.engine.gap(reason)
            pair.drain()
            assert pair.state["gap_reason"] == Reason.ENGINE_RESTART
            assert pair.state["gap_from_wall_ns"] == begun > 0
            assert pair.state["gap_wall_ns"] == pair.state["wall_ns"]
    pair.send(snapshot(5, 5, n=3))
    pair.send(depth([(2, 21005.0, 3)], 4))  # crossed: no gap, but the gap behind it begins another outage
    pair.engine.gap(Reason.RESYNC)
    pair.drain()
    assert pair.state["gap_reason"] == Reason.RESYNC


def test_drops_are_gaps_with_their_counts() -> None:
    pair = Rig(ring_bytes=1 << 14)
    pair.configure()
    pair.send(snapshot(20, 20))
    pair.drain()
    live = int(pair.state["sequence"])
    sent = [pair.send(depth([(2, 20999.75, k + 1)], k + 2)) for k in range(400)]
    pair.drain()
    pair.drain()  # the gap that found no room before
    _, first, stale, *others = pair.events()
    assert first[:2] == ("gap", live + sent.index(False))
    assert stale[:3] == ("stale", live, first[2])
    assert {kind for kind, *_ in others} == {"gap"}
    assert first[3] + sum(lost for *_, lost in others) == sent.count(False)
    assert (pair.state["gap_reason"], pair.state["gap_count"]) == (Reason.DROPPED, sent.count(False))


def test_a_record_set_aside_is_a_gap_of_one(tmp_path: Path) -> None:
    pair = Rig()
    pair.configure()
    pair.send(snapshot(5, 5))
    pair.drain()
    sequence = int(pair.state["sequence"])
    pair.send(depth([(2, 20999.75, 5)], 2))
    pair.restart(rig.task((sequence + 1,)), tmp_path)
    pair.drain()
    assert pair.events()[1:] == [("gap", sequence, sequence + 1, 1), ("stale", sequence, sequence + 1, 0)]
    assert pair.memory.events[1]["reason"] == Reason.QUARANTINED


def test_a_roll_names_both_contracts_and_no_other_event_does() -> None:
    pair = Rig()
    pair.configure()
    pair.configure()  # the same again, as after a reconnect: no roll
    pair.send(snapshot(5, 5))
    pair.configure(contract=OTHER_CONTRACT)
    pair.send(snapshot(5, 5, n=2).replace(rig.CONTRACT, OTHER_CONTRACT))
    pair.drain()
    assert [kind for kind, *_ in pair.events()] == ["live", "roll", "stale", "live"]
    texts = [(bytes(row["subject"]).decode(), bytes(row["text"]).decode()) for row in pair.memory.events[:4]]
    assert texts == [("", ""), (rig.CONTRACT, OTHER_CONTRACT), ("", ""), ("", "")]
    assert [int(row["reason"]) for row in pair.memory.events[1:3]] == [Reason.ROLL, Reason.ROLL]


def test_rows_that_are_used_again_keep_nothing_of_what_was_there() -> None:
    pair = Rig()
    pair.configure()
    rows: Any = pair.memory.events
    rows["subject"], rows["text"], rows["symbol"], rows["count"], rows["pid"] = b"old", b"old", b"", 9, 9
    pair.send(snapshot(5, 5))
    pair.drain()
    live = rows[0]
    assert (live["kind"], live["reason"], live["count"], live["pid"]) == (EventKind.LIVE, 0, 0, 0)
    assert (bytes(live["subject"]), bytes(live["text"])) == (b"", b"")
