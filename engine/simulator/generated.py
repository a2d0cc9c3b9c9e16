"""Order flow that looks like a market, from a seed: the same seed and contract give the same flow on any machine.

A record's depth entries are drawn one event after the other until the record is full: orders arrive and are
cancelled (half of them near the best, half spread over the nearest 90 levels), the spread is filled from inside,
the best level is pulled, and about one record in five begins with an aggressive order that is printed in a trade
list and eats into the other side. How it eats is sent in three ways that mean the same to whoever follows the rules:
deletes one by one, a new best that purges what is better, or a resting remainder whose price purges the other side.
All is integer arithmetic on one 64-bit generator. A pull towards the middle keeps the price near its start; the
last records then lead back to the opening book (`_go_back`), in an order in which the book is never crossed.
"""

import hashlib

import numpy as np
import numpy.typing as npt

from shm.compiled import allocating_kernel

from .contracts import Contract
from .flow import ENTRY, RECORD, Dom, Field, Flow, Ints, Kind, entries_before
from .rules import apply_entry, window

Random = npt.NDArray[np.uint64]

DEPTH_RECORDS = 8_000  # in one loop, before those that lead back
MAX_ENTRIES = 20
WIDTH = 1_024  # ticks that the window spans: the pull keeps the best well inside of it
MIDDLE = WIDTH // 2  # the opening best bid
OPENING_LEVELS = 90
NEAR_LEVELS = 90  # levels from the best within which orders come and go
MIN_LEVELS = 72
MAX_LEVELS = 130
MAX_SPREAD = 8
MAX_SWEPT = 3  # levels that one order takes
MAX_PRINTS = 12
OPENING_VOLUME = 250_000

_KEEP_FILLING = int(0.8382 * 2**32)  # the chance of one more entry that gives 1 … 20 of them a mean of 6
_KEEP_GOING = int(0.85 * 2**32)  # the same for the distance of an order near the best

# Enum members as plain numbers: kernels read globals, and know no enums.
_DEPTH, _TRADES, _QUOTE = (int(kind) for kind in Kind)
_ASK, _BID, _BEST_ASK, _BEST_BID = int(Dom.ASK), int(Dom.BID), int(Dom.BEST_ASK), int(Dom.BEST_BID)
_NEW_BEST_BID, _NEW_BEST_ASK = int(Dom.NEW_BEST_BID), int(Dom.NEW_BEST_ASK)
_NO_CHANGE = (int(Dom.TRADE), int(Dom.LOW), int(Dom.HIGH), int(Dom.FILL))

# places in `at`: records and entries so far, and what quotes tell
_RECORDS, _ENTRIES, _LAST, _HIGH, _LOW, _VOLUME = range(6)


@allocating_kernel
def _draw(random: Random, below: int) -> int:
    """0 … below - 1, of a 64-bit xorshift state."""
    x = random[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    random[0] = x
    return int(np.int64((x >> np.uint64(31)) % np.uint64(below)))


@allocating_kernel
def _run_length(random: Random, keep: int, limit: int) -> int:
    """One more than how often a chance of keep / 2^32 comes in a row; at most `limit`."""
    n = 1
    while n < limit and _draw(random, 1 << 32) < keep:
        n += 1
    return n


@allocating_kernel
def _order_size(random: Random, distance: int) -> int:
    """Single digits at the best, some thirty deeper down."""
    return 1 + _draw(random, 6 + 2 * min(distance, 30)) + _draw(random, 4)


@allocating_kernel
def _add(at: Ints, entries: Ints, kind: int, price: int, size: int) -> None:
    i = at[_ENTRIES]
    entries[i, 0], entries[i, 1], entries[i, 2] = kind, price, size
    at[_ENTRIES] += 1


@allocating_kernel
def _close(at: Ints, records: Ints, kind: int, first: int) -> int:
    """End the record whose entries began at `first`, unless it is empty. Returns where the next one begins."""
    if at[_ENTRIES] > first:
        i = at[_RECORDS]
        records[i, 0], records[i, 1], records[i, 2] = kind, first, at[_ENTRIES] - first
        at[_RECORDS] += 1
    return int(at[_ENTRIES])


@allocating_kernel
def _settle(at: Ints, entries: Ints, bids: Ints, asks: Ints, tops: Ints, first: int) -> None:
    """Let the depth entries from `first` on do to our own book what they do to everyone's."""
    for i in range(first, at[_ENTRIES]):
        apply_entry(bids, asks, tops, entries[i, 0], entries[i, 1], entries[i, 2])


@allocating_kernel
def _print(random: Random, at: Ints, entries: Ints, first: int, side: int, place: int, size: int) -> None:
    """Report `size` traded at one price as one print or several; equal ones are as normal as at a real venue."""
    left = size
    while left > 0:
        whole = at[_ENTRIES] - first >= MAX_PRINTS - MAX_SWEPT or _draw(random, 3) == 0
        part = left if whole else min(left, 1 + _draw(random, 3))
        _add(at, entries, side, place, part)
        left -= part
    at[_VOLUME] += size
    at[_LAST], at[_HIGH], at[_LOW] = place, max(at[_HIGH], place), min(at[_LOW], place)


@allocating_kernel
def _trade(
    random: Random, at: Ints, records: Ints, entries: Ints, bids: Ints, asks: Ints, tops: Ints, room: int
) -> int:
    """An aggressive order: its prints as a record, then what it did to the book, in at most `room` depth entries.

    Returns where those depth entries begin; their record is still open.
    """
    buys = _draw(random, 1000) < min(850, max(150, 500 - 2 * (tops[0] - MIDDLE)))
    step = 1 if buys else -1
    side, best = (asks, tops[1]) if buys else (bids, tops[0])
    own, own_best, own_new = (_ASK, _BEST_ASK, _NEW_BEST_ASK) if buys else (_BID, _BEST_BID, _NEW_BEST_BID)
    other, other_new = (_BID, _NEW_BEST_BID) if buys else (_ASK, _NEW_BEST_ASK)
    sweeps = room >= MAX_SWEPT + 2 and tops[1] - tops[0] < MAX_SPREAD and _draw(random, 100) < 45
    first: int = at[_ENTRIES]
    if not sweeps and side[best] == 1:
        return first  # there is nothing smaller than the level to take
    left = side[best] + _draw(random, 12) if sweeps else 1 + _draw(random, side[best] - 1)
    place, swept, cleared, remains, partly = best, 0, best, side[best], False
    while left > 0 and swept < MAX_SWEPT:
        filled = min(remains, left)
        _print(random, at, entries, first, 0 if buys else 1, place, filled)
        left -= filled
        if filled < remains:
            remains, partly = remains - filled, True
        else:
            swept, cleared = swept + 1, place
            place += step
            while side[place] == 0:
                place += step
            remains = side[place]
    first = _close(at, records, _TRADES, first)
    if swept == 0:
        _add(at, entries, own_best if _draw(random, 3) == 0 else own, best, remains)
        return first
    way = _draw(random, 3)
    if way == 0:  # what is left of the order rests where it last swept: that purges the level there
        if partly:
            _add(at, entries, own, place, remains)
        _add(at, entries, other_new, cleared, _order_size(random, 0))
        return first
    if way == 1:  # deletes one by one
        for gone in range(best, place, step):
            if side[gone] > 0:
                _add(at, entries, own, gone, 0)
    _add(at, entries, own_new, place, remains)
    if _draw(random, 3) > 0:  # the other side follows
        dom = other_new if _draw(random, 2) == 0 else other
        _add(at, entries, dom, cleared, _order_size(random, 0))
    return first


@allocating_kernel
def _improve(random: Random, at: Ints, entries: Ints, tops: Ints) -> None:
    """An order inside the spread: a new best."""
    inside = 1 + _draw(random, tops[1] - tops[0] - 1)
    plain = _draw(random, 3) == 0
    size = _order_size(random, 0)
    if _draw(random, 2) == 0:
        dom = _BEST_BID if plain else _NEW_BEST_BID
        _add(at, entries, dom, tops[0] + inside, size)
    else:
        dom = _BEST_ASK if plain else _NEW_BEST_ASK
        _add(at, entries, dom, tops[1] - inside, size)


@allocating_kernel
def _order(random: Random, at: Ints, entries: Ints, bids: Ints, asks: Ints, tops: Ints) -> None:
    """An order arrives, changes or is cancelled somewhere in the nearest levels; far ones are culled in passing."""
    is_bid = _draw(random, 2) == 0
    side, best, n, step, dom = (bids, tops[0], tops[2], -1, _BID) if is_bid else (asks, tops[1], tops[3], 1, _ASK)
    near = _draw(random, 2) == 0
    distance = _run_length(random, _KEEP_GOING, NEAR_LEVELS) - 1 if near else _draw(random, NEAR_LEVELS)
    place = best + step * distance
    size = side[place]
    if n > MAX_LEVELS:
        place = 0 if is_bid else WIDTH - 1
        while side[place] == 0:
            place -= step
        size = 0
    elif size == 0:
        size = _order_size(random, distance)
    elif n > MIN_LEVELS and distance > 0 and _draw(random, 4) == 0:
        size = 0
    else:
        change = 1 + _draw(random, 3)
        size = size - change if size > change and _draw(random, 2) == 0 else size + change
    _add(at, entries, dom, place, size)


@allocating_kernel
def _pull_best(random: Random, at: Ints, entries: Ints, bids: Ints, asks: Ints, tops: Ints, room: int) -> None:
    """The best level of a side is cancelled; sometimes the next one is announced as the best."""
    is_bid = _draw(random, 2) == 0
    side, best, n, step = (bids, tops[0], tops[2], -1) if is_bid else (asks, tops[1], tops[3], 1)
    own, own_best = (_BID, _BEST_BID) if is_bid else (_ASK, _BEST_ASK)
    if n <= MIN_LEVELS or tops[1] - tops[0] >= MAX_SPREAD:
        return
    _add(at, entries, own, best, 0)
    if room > 1 and _draw(random, 2) == 0:
        place = best + step
        while side[place] == 0:
            place += step
        _add(at, entries, own_best, place, side[place])


@allocating_kernel
def _events(random: Random, at: Ints, entries: Ints, bids: Ints, asks: Ints, tops: Ints, end: int) -> None:
    """Fill a depth record up to entry `end`."""
    while at[_ENTRIES] < end:
        first = at[_ENTRIES]
        what = _draw(random, 1000)
        spread = tops[1] - tops[0]
        if spread > 1 and (what < 250 or spread > MAX_SPREAD // 2):
            _improve(random, at, entries, tops)
        elif what < 270:
            _pull_best(random, at, entries, bids, asks, tops, end - at[_ENTRIES])
        elif what < 300:
            _add(at, entries, _NO_CHANGE[_draw(random, 4)], at[_LAST], _order_size(random, 0))
        else:
            _order(random, at, entries, bids, asks, tops)
        _settle(at, entries, bids, asks, tops, first)


@allocating_kernel
def _quote(
    random: Random, at: Ints, records: Ints, entries: Ints, tops: Ints, bid: int, ask: int, traded: bool, whole: bool
) -> None:
    """A quote with the fields that changed (or all): `bid` and `ask` are the best prices of the quote before."""
    first = at[_ENTRIES]
    change = at[_LAST] - MIDDLE
    # In the order of Field: what it would say, and whether it says it.
    values = (at[_LAST], tops[0], tops[1], change, change, MIDDLE, at[_HIGH], at[_LOW], at[_VOLUME], 0, 0)
    moved = traded and _draw(random, 2) > 0
    updated, stamped = _draw(random, 5) > 0, _draw(random, 5) > 0
    high, low = traded and at[_LAST] == at[_HIGH], traded and at[_LAST] == at[_LOW]
    says = (traded, tops[0] != bid, tops[1] != ask, moved, moved, False, high, low, traded, updated, stamped)
    for field in range(len(values)):
        if whole or says[field]:
            _add(at, entries, field, values[field], 0)
    _close(at, records, _QUOTE, first)


@allocating_kernel
def _go_back(
    random: Random,
    at: Ints,
    records: Ints,
    entries: Ints,
    bids: Ints,
    asks: Ints,
    tops: Ints,
    opening_bids: Ints,
    opening_asks: Ints,
) -> None:
    """Lead the book back to the opening one, level by level.

    New levels before old ones go, so no side is ever empty; and the side first whose goal does not reach into the
    other as it stands, so it is never crossed either. (Both reach into each other never: the opening is not crossed.)
    """
    goal_best = WIDTH - 1
    while opening_bids[goal_best] == 0:
        goal_best -= 1
    bids_first = goal_best < tops[1]
    first = at[_ENTRIES]
    end = first + _run_length(random, _KEEP_FILLING, MAX_ENTRIES)
    for turn in range(2):
        is_bid = (turn == 0) == bids_first
        side, goal, dom = (bids, opening_bids, _BID) if is_bid else (asks, opening_asks, _ASK)
        for sets in (True, False):
            for place in range(WIDTH):
                if side[place] != goal[place] and (goal[place] > 0) == sets:
                    _add(at, entries, dom, place, goal[place])
                    if at[_ENTRIES] == end:
                        first = _close(at, records, _DEPTH, first)
                        end = first + _run_length(random, _KEEP_FILLING, MAX_ENTRIES)
    _close(at, records, _DEPTH, first)


@allocating_kernel
def _generate(
    random: Random, at: Ints, records: Ints, entries: Ints, bids: Ints, asks: Ints, tops: Ints, depth_records: int
) -> None:
    opening_bids, opening_asks = bids.copy(), asks.copy()
    _quote(random, at, records, entries, tops, 0, 0, True, True)
    for _ in range(depth_records):
        bid, ask, volume = tops[0], tops[1], at[_VOLUME]
        n = _run_length(random, _KEEP_FILLING, MAX_ENTRIES)
        first = at[_ENTRIES]
        if _draw(random, 100) < 22:
            first = _trade(random, at, records, entries, bids, asks, tops, n)
            _settle(at, entries, bids, asks, tops, first)
        _events(random, at, entries, bids, asks, tops, first + n)
        _close(at, records, _DEPTH, first)
        traded = at[_VOLUME] > volume
        if (traded or tops[0] != bid or tops[1] != ask) and _draw(random, 2) == 0:
            _quote(random, at, records, entries, tops, bid, ask, traded, False)
    _go_back(random, at, records, entries, bids, asks, tops, opening_bids, opening_asks)


def generate(contract: Contract, seed: int, depth_records: int = DEPTH_RECORDS) -> Flow:
    """The flow of one contract: about 1.5 records for each of `depth_records`, and some 40 that lead back."""
    digest = hashlib.sha256(f"{seed}/{contract.symbol}".encode()).digest()
    random = np.frombuffer(digest[:8], "<u8") | np.uint64(1)  # a state of 0 would stay 0
    low = contract.middle_ticks - MIDDLE
    records = np.empty((3 * depth_records + 4 * OPENING_LEVELS + MAX_LEVELS * 4, 3), np.int64)
    entries = np.empty(((depth_records + 8 * MAX_LEVELS) * (MAX_ENTRIES + MAX_PRINTS + len(Field)), 3), np.int64)
    opening = np.empty((2, OPENING_LEVELS, 2), np.int64)
    for side, (best, step) in enumerate(((contract.middle_ticks, -1), (contract.middle_ticks + 1, 1))):
        for distance in range(OPENING_LEVELS):
            opening[side, distance] = best + step * distance, _order_size(random, distance)
    at = np.array([0, 0, MIDDLE, MIDDLE, MIDDLE, OPENING_VOLUME], np.int64)
    _generate(random, at, records, entries, *window(opening[0], opening[1], low, WIDTH), depth_records)
    rows = records[: at[_RECORDS]].copy().view(RECORD).reshape(-1)
    flat = entries[: at[_ENTRIES]].copy().view(ENTRY).reshape(-1)
    _leave_window(rows, flat, low, contract.middle_ticks)
    due, span = entries_before(rows)
    return Flow(contract, rows, flat, opening[0], opening[1], due, span, loops=True)


def _leave_window(records: npt.NDArray[np.void], entries: npt.NDArray[np.void], low: int, open_ticks: int) -> None:
    """Turn places in the window into ticks, in place."""
    in_quote = np.repeat(records["kind"], records["entries"]) == Kind.QUOTE
    plain = (Field.CHANGE, Field.CHANGE_PERCENT, Field.VOLUME, Field.LAST_UPDATED, Field.TIMESTAMP)
    entries["price"][~(in_quote & np.isin(entries["type"], plain))] += low
    percent = in_quote & (entries["type"] == Field.CHANGE_PERCENT)
    entries["price"][percent] = entries["price"][percent] * 1_000_000_000 // open_ticks
