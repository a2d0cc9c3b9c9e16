"""A book in words: the state that was published last, its counters and events, and what must hold of its levels."""

import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shm import layout
from shm.layout import ASK, BID, SESSION_FIELDS, Source
from shm.segment import Segment

from ..table import reason_text
from . import published
from .report import Check, Checks, Groups, after
from .words import heard, name_of, price, wall_or_never

# The fields of STATE that count something, in the order in which they are printed.
COUNTERS = (
    *("applied", "refused", "dropped", "quarantined", "resyncs", "trades", "depth_entries", "fast_records"),
    *("slow_records", "ignored_entries", "unknown_entries", "overflow_levels"),
)


def examine(segment: Segment) -> tuple[Groups, Checks]:
    cell, _ = published.newest(segment)
    state = None if cell is None else cell["state"]
    groups = (
        ("state", tuple(_state(segment, state))),
        ("counters", tuple(_counters(segment, state))),
        ("events", tuple(published.events(segment))),
    )
    return groups, tuple(_checks(segment))


def _state(segment: Segment, state: np.void | None) -> Iterator[tuple[str, str]]:
    control = segment.array("control")
    yield "published", f"{control[layout.PUBLISHED]:,}"
    if state is None:
        yield "state", "syncing: waiting for the first snapshot"
        return
    scale = int(state["price_increment"]), int(state["price_scale"])
    age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - int(control[layout.THROUGH_NS])
    yield "state", f"{heard(int(state['state']), age_ns)}{after(reason_text(int(state['reason'])))}"
    yield "since", wall_or_never(int(state["since_wall_ns"]))
    yield "source", name_of(Source, int(state["source"]))
    yield "contract", bytes(state["contract"]).decode("ascii", "replace")
    yield "engine heard", f"{age_ns / 1e9:,.3f} s ago"
    yield "sequence", f"{state['sequence']:,}  at ring byte {state['position']:,}"
    yield "venue's stamp", wall_or_never(int(state["venue_ns"]))
    if state["n_bids"] and state["n_asks"]:
        yield "best bid", f"{price(int(state['best_bid']), *scale)} × {state['best_bid_size']:,}"
        yield "best ask", f"{price(int(state['best_ask']), *scale)} × {state['best_ask_size']:,}"
    yield "levels", f"{state['n_bids']:,} bids, {state['n_asks']:,} asks"
    if state["trades"]:
        yield "last trade", f"{price(int(state['last_price']), *scale)} × {state['last_size']:,}"
    known = [name for bit, name in enumerate(SESSION_FIELDS) if int(state["known"]) >> bit & 1]
    yield "session fields", " ".join(known) or "none"
    last_gap = reason_text(int(state["gap_reason"]))
    yield "last gap", f"{last_gap}, {wall_or_never(int(state['gap_wall_ns']))}" if last_gap else "none"


def _counters(segment: Segment, state: np.void | None) -> Iterator[tuple[str, str]]:
    control = segment.array("control")
    for name in COUNTERS if state is not None else ():
        yield name.replace("_", " "), f"{state[name]:,}"  # type: ignore[index]
    yield "tape rows", f"{control[layout.TAPE_COUNT]:,}"
    yield "quote rows", f"{control[layout.QUOTE_COUNT]:,}"
    yield "reader wakes", f"{control[layout.WAKE]:,}"


def _checks(segment: Segment) -> Iterator[Check]:
    control = segment.array("control")
    yield _cells_check(segment)
    yield _slots_check(segment)
    yield published.rows_check("tape", segment.array("tape"), control, layout.TAPE_INTENT, ("sequence", "place"))
    yield published.rows_check("quotes", segment.array("quotes"), control, layout.QUOTE_INTENT, ("sequence",))
    yield published.events_check(segment)


def _cells_check(segment: Segment) -> Check:
    """Every written cell but the one in the writer's hands is whole, at its place, and in order of price."""
    cells, levels = segment.array("cells"), segment.array("cell_levels")
    whole, torn = 0, 0
    faults: list[str] = []
    for i in range(layout.CELLS):
        cell, sides = cells[i].copy(), levels[i].copy()
        again = int(cells[i]["begin"])
        number = int(cell["end"])
        if not number == int(cell["begin"]) == again:
            torn += 1
        elif number:
            whole += 1
            if number % layout.CELLS != i:
                faults.append(f"cell {i} holds number {number:,}")
            faults += _side_faults(f"cell {i}", cell, sides, best_first=True)
    if torn > 1:
        faults.append(f"{torn} cells are half written, and one writer can have only one in hand")
    return Check(f"cells: {whole} whole, {torn} in hand", "; ".join(faults[:3]))


def _slots_check(segment: Segment) -> Check:
    """At most one checkpoint slot is half written, and the levels of a whole one are in order."""
    slots, levels = segment.array("slots"), segment.array("slot_levels")
    whole, torn = 0, 0
    faults: list[str] = []
    for i in range(len(slots)):
        slot, sides = slots[i].copy(), levels[i].copy()
        again = int(slots[i]["begin"])
        if not int(slot["end"]) == int(slot["begin"]) == again:
            torn += 1
        elif int(slot["end"]):
            whole += 1
            faults += _side_faults(f"slot {i}", slot["state"], sides, best_first=False)
    if torn > 1:
        faults.append("both are half written: nothing to recover from")
    return Check(f"checkpoints: {whole} whole, {torn} in hand", "; ".join(faults[:3]))


def _side_faults(where: str, counts: np.void, sides: npt.NDArray[np.void], *, best_first: bool) -> Iterator[str]:
    """What is wrong with two sides of levels: counts, order of price, sizes."""
    for side, name in ((BID, "n_bids"), (ASK, "n_asks")):
        n = int(counts[name])
        if not 0 <= n <= sides.shape[1]:
            yield f"{where} says {name} = {n:,}"
            continue
        rising = (side == ASK) == best_first
        steps = np.diff(sides[side]["price"][:n])
        if not (steps > 0 if rising else steps < 0).all():
            yield f"{where}: prices of {name} out of order"
        if (sides[side]["size"][:n] <= 0).any():
            yield f"{where}: a level of {name} without size"
