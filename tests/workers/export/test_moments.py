"""Where records are missing, or another ring begins, an export knows nothing of the book until the next snapshot."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from engine import export_command
from shm import layout
from shm.errors import Hole
from shm.journal import JournalFile, journal_files, parse_name, records
from shm.journal_entries import Entry, Lane, Loss, Piece, RingRecord, span
from shm.layout import LEVEL, State
from shm.stretches import Stream, Stretch
from tests import made_past
from tests.made_journal import BEGIN
from tests.made_past import Past, of_lane, pieces, slow_replay
from tests.shm.test_refill import recorded
from tests.workers.rig import Rig, depth
from workers.export.__main__ import export
from workers.export.changes import BID
from workers.export.hftbacktest import CLEAR
from workers.export.moments import Moment, Reader, moments

BEGIN_NS = BEGIN.wall_ns
S = 1_000_000_000
MNQ = Lane(0, "MNQ", 7, 1, 1 << 20)
RESET = b'"type":6,'

Sides = tuple[dict[int, int], dict[int, int]]


class Case(NamedTuple):
    folder: Path
    whole: dict[int, Past]  # by sequence: what a slow replay of all that there ever was sees

    @property
    def files(self) -> list[Path]:
        return journal_files(self.folder)

    def kept(self) -> list[RingRecord]:
        """The records that the journal has."""
        opened = [JournalFile(path) for path in self.files]
        try:
            return list(records(opened))
        finally:
            for file in opened:
                file.close()


def _whole(*runs: list[Piece]) -> dict[int, Past]:
    return {int(past.state["sequence"]): past for past in slow_replay(*runs)}


def _known_end(made: list[Piece], least: int) -> int:
    """So many of the pieces, and at least `least`, that the book is known behind them."""
    whole = _whole(made)
    for number, piece in enumerate(made[least - 1 :], least):
        found = span(piece.data)
        if found is not None and whole[found.last_sequence].state["synced"]:
            return number
    raise AssertionError("the book is never known")


def _marked(folder: Path, rng: np.random.Generator) -> Case:
    made = pieces(rng, 400, Stream(7, 1), BEGIN_NS)
    begin = _known_end(made[:300], 100)
    end = begin + 20
    entries: list[Entry] = [MNQ, *made[:begin], Loss(0, made[begin].begin, made[end].begin, 0, 0), *made[end:]]
    made_past.record(folder, 7, entries)
    return Case(folder, _whole(made))


def _deleted(folder: Path, rng: np.random.Generator) -> Case:
    made = pieces(rng, 400, Stream(7, 1), BEGIN_NS)
    made_past.record(folder, 7, of_lane(MNQ, made))
    journal_files(folder)[1].unlink()
    return Case(folder, _whole(made))


def _emptied(folder: Path, rng: np.random.Generator) -> Case:
    case = _deleted(folder, rng)
    (folder / case.files[0].name.replace("00.sbj", "01.sbj")).touch()
    return case


def _two_lives(folder: Path, rng: np.random.Generator, *, close: bool = True) -> Case:
    made, again = pieces(rng, 200, Stream(7, 1), BEGIN_NS), pieces(rng, 300, Stream(8, 1), BEGIN_NS + 2 * S)
    made = made[: _known_end(made, 100)]
    made_past.record(folder, 7, of_lane(MNQ, made), close=close)
    made_past.record(folder, 8, of_lane(MNQ._replace(generation=8), again))
    return Case(folder, _whole(made, again))


def _killed(folder: Path, rng: np.random.Generator) -> Case:
    return _two_lives(folder, rng, close=False)


def _late(folder: Path, rng: np.random.Generator) -> Case:
    case = _two_lives(folder, rng)
    next(path for path in case.files if parse_name(path.name) == (8, 0)).unlink()
    return case


def _remade(folder: Path, rng: np.random.Generator) -> Case:
    """The instrument's ring is made anew within one life of the engine."""
    made, again = pieces(rng, 200, Stream(7, 1), BEGIN_NS), pieces(rng, 200, Stream(8, 1), BEGIN_NS + 2 * S)
    made = made[: _known_end(made, 100)]
    made_past.record(folder, 7, [*of_lane(MNQ, made), *of_lane(MNQ._replace(lane=1, made=2), again)])
    return Case(folder, _whole(made, again))


CASES = {
    "a loss that is marked": (_marked, 1),
    "a file that was deleted": (_deleted, 1),
    "a file of zero length": (_emptied, 1),
    "two engines, one after the other": (_two_lives, 0),
    "an engine that was killed with its recorder": (_killed, 1),
    "an engine whose first records are missing": (_late, 1),
    "a ring that was made anew": (_remade, 0),
}


def _expected(case: Case, kept: list[RingRecord]) -> list[Sides]:
    """After each record the book: that of the slow replay, void from a break to the next message with a Reset."""
    found: list[Sides] = []
    is_known, before = False, 0
    for record in kept:
        is_known = (is_known and record.sequence == before + 1) or RESET in record.payload
        before = record.sequence
        past = case.whole[before]
        sides: Sides = {}, {}
        if is_known and past.state["synced"]:
            for side, levels in enumerate(past.sides):
                rows = np.frombuffer(levels, LEVEL)
                sides[side].update(zip(rows["price"].tolist(), rows["size"].tolist(), strict=True))
        found.append(sides)
    return found


def _apply(moment: Moment, sides: Sides) -> None:
    if moment.changed is None:
        return
    if moment.changed.cleared:
        for each in sides:
            each.clear()
    for side, price, size in moment.changed.rows.tolist():
        levels = sides[0 if side == BID else 1]
        levels[price] = size
        if not size:
            del levels[price]


@pytest.mark.parametrize("name", CASES)
def test_the_book_is_void_from_a_break_to_the_next_snapshot_and_trades_go_on(
    name: str, tmp_path: Path, seed: int
) -> None:
    make, missing = CASES[name]
    case = make(tmp_path, np.random.default_rng(seed))
    kept = case.kept()
    found = list(moments(case.files, "MNQ"))
    seen = [each for each in found if isinstance(each, Moment)]
    mine: Sides = {}, {}
    at = 0
    expected = _expected(case, kept)
    for record, wanted in zip(kept, expected, strict=True):
        while at < len(seen) and seen[at].sequence <= record.sequence:
            _apply(seen[at], mine)
            at += 1
        assert mine == wanted, record.sequence
    assert at == len(seen)

    trades, before = [], 0
    for record in kept:
        past = case.whole[record.sequence]
        was = case.whole.get(record.sequence - 1)
        trades += [record.sequence] * (int(past.state["trades"]) - (int(was.state["trades"]) if was else 0))
    assert [each.sequence for each in seen for _ in each.trades] == trades

    breaks = [i for i in range(1, len(kept)) if kept[i].sequence != kept[i - 1].sequence + 1]
    assert len(breaks) == 1
    (i,) = breaks
    before = kept[i - 1].wall_ns
    void = [each for each in seen if each.sequence == kept[i - 1].sequence + 1]
    assert len(void) == int(expected[i - 1] != ({}, {}))  # where a file ends the book may have been void before
    for each in void:
        assert (each.wall_ns, len(each.trades)) == (before + 1, 0)
        assert [int(state) for state in each.quotes["state"]] == [State.STALE]
        assert each.changed is not None
        assert each.changed.cleared
    assert [each for each in found if isinstance(each, Hole)] == [Hole(before, kept[i].wall_ns)] * missing


def test_a_loss_is_in_every_format_and_told_in_the_summary(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    case = _marked(tmp_path / "journal", np.random.default_rng(seed))
    out = tmp_path / "out"
    out.mkdir()
    command = [str(case.folder), "--symbol", "MNQ", "--out", str(out)]
    assert export_command.main(command) == 0
    kept = case.kept()
    (i,) = [i for i in range(1, len(kept)) if kept[i].sequence != kept[i - 1].sequence + 1]
    before, behind = kept[i - 1].wall_ns, kept[i].wall_ns
    told = f"records are missing at 1 place, {(behind - before) / 1e9:.1f} s in all: scripts/inspect says where"
    assert told in capsys.readouterr().out
    changes, quotes = (pl.read_parquet(out / f"MNQ-{kind}.parquet") for kind in ("changes", "quotes"))
    void = changes.filter(pl.col("side").is_null())
    assert before + 1 in void["received"].to_physical().to_list()
    at_loss = quotes.filter(pl.col("received").to_physical() == before + 1)
    assert at_loss["state"].to_list() == ["stale"]

    assert export_command.main([*command, "--format", "hftbacktest"]) == 0
    assert told in capsys.readouterr().out
    events = np.load(out / "MNQ.npz")["data"]
    assert np.count_nonzero(events["ev"] & 0xFF == CLEAR) == 2 * len(void)

    job = {"files": case.files, "symbol": "MNQ", "form": "parquet", "folder": out}
    for start, end, missing in ((None, before, (0, 0)), (behind + 1, None, (0, 0)), (None, before + 2, (1, 2))):
        assert export(job | {"start_wall_ns": start, "end_wall_ns": end})[1:] == missing


def test_what_a_lost_stretch_changed_of_the_contract_holds_behind_it_and_the_book_is_void_before() -> None:
    rig = Rig(levels=8, max_depth=256)
    words = rig.ring.array("words")
    ends = [0]
    for tick_e9 in (250_000_000, 500_000_000, 0):  # the second one is lost
        if tick_e9:
            rig.configure(tick_e9=tick_e9)
        rig.send(depth([(6, 0.0, 0), (2, 21000.5, 3), (1, 21001.0 + tick_e9 / 1e9, 2)]))
        rig.drain()
        ends.append(int(words[layout.TAIL]))
    first, lost, last = (memoryview(recorded(words, ends[i], ends[i + 1])) for i in range(3))
    before, within, behind = span(first), span(lost), span(last)
    assert before is not None
    assert within is not None
    assert behind is not None
    ring = Stream(1, 1)
    head = memoryview(b"".join(each.data for each in within.standing))
    reader = Reader(())
    found = [
        each
        for stretch in (
            Stretch(ring, 0, ends[1], first),
            Stretch(ring, ends[1], ends[1], head),
            Stretch(ring, ends[1], ends[2], None),
            Stretch(ring, ends[2], ends[3], last),
        )
        for each in reader.read(stretch)
    ]
    *_, void, hole, known = found
    assert isinstance(void, Moment)
    assert (void.sequence, void.wall_ns) == (before.last_sequence + 1, before.last_wall_ns + 1)
    assert void.changed is not None
    assert void.changed.cleared
    assert void.scale.price(int(void.quotes["bid"][0])) == 21000.5
    assert hole == Hole(before.last_wall_ns, behind.first_wall_ns)
    assert isinstance(known, Moment)
    assert known.scale.price(1) == 0.5
    sides: Sides = {}, {}
    _apply(known, sides)
    assert sides == (dict(rig.working(layout.BID)), dict(rig.working(layout.ASK)))
