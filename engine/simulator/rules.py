"""The rules of book.py as kernels, on a window of prices: for making a flow, and the checkpoints along it, fast.

A window is two arrays of sizes, bids and asks, indexed by price less the window's lowest price (a *place*).
"""

from typing import NamedTuple

import numpy as np

from shm.compiled import allocating_kernel

from .book import CHECKPOINT_RECORDS, Checkpoints
from .flow import Flow, Ints, Kind

BEST_BID, BEST_ASK, N_BIDS, N_ASKS = range(4)  # places in `tops`; a best is an index into the window


class Columns(NamedTuple):
    """A flow for kernels. Of each record its kind, first entry and count of entries; of each entry the rest."""

    kinds: Ints
    firsts: Ints
    counts: Ints
    doms: Ints
    places: Ints
    sizes: Ints


@allocating_kernel
def set_level(bids: Ints, asks: Ints, tops: Ints, is_bid: bool, place: int, size: int) -> None:
    """Set one level of a window and keep `tops` true; an empty side's best is -1 (bids) or the width (asks)."""
    width = len(bids)
    side, n = (bids, N_BIDS) if is_bid else (asks, N_ASKS)
    tops[n] += (size > 0) - (side[place] > 0)
    side[place] = size
    if is_bid:
        if size > 0 and place > tops[BEST_BID]:
            tops[BEST_BID] = place
        while tops[BEST_BID] >= 0 and bids[tops[BEST_BID]] == 0:
            tops[BEST_BID] -= 1
    else:
        if size > 0 and place < tops[BEST_ASK]:
            tops[BEST_ASK] = place
        while tops[BEST_ASK] < width and asks[tops[BEST_ASK]] == 0:
            tops[BEST_ASK] += 1


@allocating_kernel
def apply_entry(bids: Ints, asks: Ints, tops: Ints, dom: int, place: int, size: int) -> None:
    """One depth entry on a window of sizes by price (place 0 is the lowest price)."""
    is_bid = dom == 2 or dom == 4 or dom == 9
    if dom == 6:
        bids[:] = 0
        asks[:] = 0
        tops[BEST_BID], tops[BEST_ASK], tops[N_BIDS], tops[N_ASKS] = -1, len(bids), 0, 0
    elif is_bid or dom == 1 or dom == 3 or dom == 10:
        set_level(bids, asks, tops, is_bid, place, size)
        own, other, better = (BEST_BID, BEST_ASK, 1) if is_bid else (BEST_ASK, BEST_BID, -1)
        while dom > 2 and (tops[own] - place) * better > 0:
            set_level(bids, asks, tops, is_bid, tops[own], 0)
        while dom > 4 and (tops[other] - place) * better <= 0:
            set_level(bids, asks, tops, not is_bid, tops[other], 0)


@allocating_kernel
def apply_record(flow: Columns, record: int, bids: Ints, asks: Ints, tops: Ints) -> None:
    """One record on a window; only depth moves a book."""
    if flow.kinds[record] == 0:
        first = flow.firsts[record]
        for i in range(first, first + flow.counts[record]):
            apply_entry(bids, asks, tops, flow.doms[i], flow.places[i], flow.sizes[i])


@allocating_kernel
def _walk(flow: Columns, bids: Ints, asks: Ints, tops: Ints, spacing: int, starts: Ints, levels: Ints) -> int:
    """Apply a flow to a window and lay down a checkpoint before each `spacing`-th record and after the last.

    starts: (checkpoints, 2) first level of the bids and of the asks in `levels`, which is (n, 2) of (place, size)
    and may be empty: then only the levels are counted. Returns how many there are.
    """
    width, records = len(bids), len(flow.kinds)
    used = 0
    for record in range(records + 1):
        if record % spacing == 0 or record == records:
            checkpoint = -(-record // spacing)
            starts[checkpoint, 0] = used
            for place in range(tops[BEST_BID], -1, -1):
                if bids[place] > 0:
                    if len(levels) > 0:
                        levels[used, 0], levels[used, 1] = place, bids[place]
                    used += 1
            starts[checkpoint, 1] = used
            for place in range(tops[BEST_ASK], width):
                if asks[place] > 0:
                    if len(levels) > 0:
                        levels[used, 0], levels[used, 1] = place, asks[place]
                    used += 1
        if record < records:
            apply_record(flow, record, bids, asks, tops)
    return used


def checkpoints(flow: Flow) -> Checkpoints:
    """The checkpoints of a flow."""
    placed, low, width = columns(flow)
    starts = np.zeros((-(-len(flow) // CHECKPOINT_RECORDS) + 2, 2), np.int64)
    levels = np.zeros((0, 2), np.int64)
    for _ in range(2):  # once to count, once to write
        bids, asks, tops = window(flow.opening_bids, flow.opening_asks, low, width)
        used = _walk(placed, bids, asks, tops, CHECKPOINT_RECORDS, starts[:-1], levels)
        if len(levels) == 0:
            levels = np.zeros((used, 2), np.int64)
    starts[-1] = used
    levels[:, 0] += low
    return Checkpoints(starts, levels)


def columns(flow: Flow) -> tuple[Columns, int, int]:
    """A flow for kernels, and the window that holds all of its levels: its lowest price and its width."""
    depth = np.repeat(flow.records["kind"], flow.records["entries"]) == Kind.DEPTH
    booked = flow.entries["price"][depth & (flow.entries["type"] != 6)]
    parts = [part for part in (booked, flow.opening_bids[:, 0], flow.opening_asks[:, 0]) if len(part)]
    low = min(int(part.min()) for part in parts)
    high = max(int(part.max()) for part in parts)
    records, entries = flow.records, flow.entries
    placed = Columns(
        kinds=np.ascontiguousarray(records["kind"]),
        firsts=np.ascontiguousarray(records["first"]),
        counts=np.ascontiguousarray(records["entries"]),
        doms=np.ascontiguousarray(entries["type"]),
        places=entries["price"] - low,
        sizes=np.ascontiguousarray(entries["size"]),
    )
    return placed, low, high - low + 1


def window(bids: Ints, asks: Ints, low: int, width: int) -> tuple[Ints, Ints, Ints]:
    """A book as two windows of sizes by price and their tops, for `apply_entry`."""
    bid_sizes, ask_sizes = np.zeros(width, np.int64), np.zeros(width, np.int64)
    bid_sizes[bids[:, 0] - low] = bids[:, 1]
    ask_sizes[asks[:, 0] - low] = asks[:, 1]
    best_bid = int(bids[:, 0].max()) - low if len(bids) else -1
    best_ask = int(asks[:, 0].min()) - low if len(asks) else width
    return bid_sizes, ask_sizes, np.array([best_bid, best_ask, len(bids), len(asks)], np.int64)
