"""Segments and hot bars with something in them, and what the command says."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from engine.inspection.__main__ import main
from engine.keeper.store import Store
from engine.sessions import marked_sessions
from shm import layout
from shm.bars_frame import frame
from shm.layout import EventKind, Kind, Reason, State
from shm.ring import RingWriter
from shm.segment import Segment, create
from tests import made_bars
from tests.made_bars import BEGIN_NS, QUARTERS, plain
from tests.made_hot import MadeHot

GENERATION = 3
FIRST_SEQUENCE = GENERATION << layout.GENERATION_SHIFT
HOUR_NS = 3600 * 10**9


@pytest.fixture
def ring(tmp_path: Path) -> Segment:
    """A ring with three records and a gap, of 16 KiB."""
    segment = create(
        tmp_path / "MNQ.ring", Kind.RING, layout.ring_regions(1 << 14), generation=GENERATION, symbol="MNQ"
    )
    writer = RingWriter(segment.array("words"), GENERATION)
    for payload in (b"a", b"bb" * 40, b"c" * 5000):  # the last one goes in chunks
        assert writer.push(payload)
    writer.gap(Reason.DISCONNECTED)
    writer.publish()
    return segment


@pytest.fixture
def book(tmp_path: Path) -> Segment:
    """A live book of two levels a side, published eleven times, with one checkpoint, five trades and one quote."""
    segment = create(
        tmp_path / "MNQ.book",
        Kind.BOOK,
        layout.book_regions(levels=4, max_depth=8, tape_rows=4, quote_rows=4),
        generation=GENERATION,
        symbol="MNQ",
    )
    control, cells, shown = segment.array("control"), segment.array("cells"), segment.array("cell_levels")
    for number in range(1, 12):
        cell, levels = cells[number % layout.CELLS], shown[number % layout.CELLS]
        cell["begin"] = cell["end"] = number
        cell["n_bids"] = cell["n_asks"] = 2
        levels["price"][:, :2] = [[100, 99], [101, 102]]
        levels["size"][:, :2] = 5
        _fill_state(cell["state"])
    control[layout.PUBLISHED] = 11
    slot, kept = segment.array("slots")[1], segment.array("slot_levels")[1]
    slot["begin"] = slot["end"] = 1
    _fill_state(slot["state"])
    kept["price"][:, :2] = [[99, 100], [102, 101]]
    kept["size"][:, :2] = 5
    control[layout.TAPE_INTENT] = control[layout.TAPE_COUNT] = 5
    segment.array("tape")["sequence"] = np.roll(FIRST_SEQUENCE + np.array([1, 2, 3, 4]), 1)
    control[layout.QUOTE_INTENT] = control[layout.QUOTE_COUNT] = 1
    control[layout.EVENT_INTENT] = control[layout.EVENT_COUNT] = 2
    events = segment.array("events")
    events["kind"][:2], events["reason"][:2] = (EventKind.GAP, EventKind.STALE), Reason.DISCONNECTED
    events["count"][0], events["place"][1] = 3, 1
    return segment


def _fill_state(state: np.void) -> None:
    state["state"] = State.LIVE
    state["sequence"] = FIRST_SEQUENCE + 7
    state["n_bids"] = state["n_asks"] = 2
    state["best_bid"], state["best_ask"] = 100, 101
    state["best_bid_size"] = state["best_ask_size"] = 5
    state["price_increment"], state["price_scale"] = 25, 2
    state["applied"] = 1234
    state["contract"] = b"CON.F.US.MNQ.Z26"


@pytest.fixture
def hot(tmp_path: Path) -> MadeHot:
    """Sixty hours, of which forty are sealed; one of those was told by the venue too."""
    made = MadeHot(tmp_path / "bars" / "MNQ")
    rows = plain(60, step_ns=HOUR_NS)
    made.append(rows, forming=plain(1, 60, BEGIN_NS + 60 * HOUR_NS, HOUR_NS))
    store = Store(made.path.parent / "1hr", made_bars.subject("1hr"))
    made.sealed_to = store.seal(rows[:40], 1)
    again = rows[5:6].copy()
    again["revision"] = 1
    store.add(frame(again, QUARTERS), 1)
    made.tell_hours(marked_sessions("CME_Equity", date(2026, 3, 2), date(2026, 3, 3)))
    return made


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[Path], tuple[int, str]]:
    """The command of a path: its status, and all that it printed."""

    def inspect(path: Path) -> tuple[int, str]:
        status = main([str(path)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return inspect
