"""What a decoded ProjectX record does to a book, and when a book may call itself live.

Kernels on values: the state row, the two sides (best last), the decoded rows. No clock is asked: time is the
receive stamp of the record and the venue's own stamps. `tests/model.py` says the same in plain Python.

A book is live only when a snapshot was taken (`synced`), both sides hold levels, best bid is below best ask, and
neither an engine pause nor venue lag stands against it. Losing `synced` has a `cause`; only a snapshot cures it:
a depth list led by Reset, or one with both sides that is longer than any increment seen (and than a floor, since
at the start none was seen). Until then depth is thrown away and counted.
"""

from shm import layout
from shm.compiled import kernel
from shm.layout import NO_BOUND, Reason, Rows, State
from shm.sides import drop_better, put_level, remove_level

from .decode import rows as decoded

SNAPSHOT_FLOOR = 24  # a list without Reset is a snapshot only above this many entries
_LAG_WINDOW_NS = 30_000_000_000  # the least venue lag is that of the last one to two windows

_NO_BOUND = NO_BOUND
_LIVE = int(State.LIVE)
_SYNCING = int(State.SYNCING)
_STALE = int(State.STALE)
_CLOSED = int(State.CLOSED)

_NONE = int(Reason.NONE)
_STARTING = int(Reason.STARTING)
_RECONNECTED = int(Reason.RECONNECTED)
_RESYNC = int(Reason.RESYNC)
_DROPPED = int(Reason.DROPPED)
_OVERSIZE = int(Reason.OVERSIZE)
_PAUSED = int(Reason.ENGINE_PAUSED)
_VENUE_LAG = int(Reason.VENUE_LAG)
_CROSSED = int(Reason.CROSSED)
_OFF_GRID = int(Reason.OFF_GRID)
_ONE_SIDED = int(Reason.ONE_SIDED)
_RESET = int(Reason.RESET)
_REASON_CLOSED = int(Reason.CLOSED)
_REASON_ROLL = int(Reason.ROLL)

_OP_ASK = int(decoded.Op.ASK)
_OP_BID = int(decoded.Op.BID)
_OP_BEST_ASK = int(decoded.Op.BEST_ASK)
_OP_BEST_BID = int(decoded.Op.BEST_BID)
_OP_RESET = int(decoded.Op.RESET)
_OP_NEW_BEST_BID = int(decoded.Op.NEW_BEST_BID)
_OP_NEW_BEST_ASK = int(decoded.Op.NEW_BEST_ASK)
_OP_OFF_GRID = int(decoded.Op.OFF_GRID)
_QUOTE_BASE = decoded.QUOTE_BASE

_FIELD_LAST = layout.SESSION_FIELDS.index("last")
_FIELD_BID = layout.SESSION_FIELDS.index("bid")
_FIELD_ASK = layout.SESSION_FIELDS.index("ask")
_FIELD_OPEN = layout.SESSION_FIELDS.index("open")
_FIELD_HIGH = layout.SESSION_FIELDS.index("high")
_FIELD_LOW = layout.SESSION_FIELDS.index("low")
_FIELD_VOLUME = layout.SESSION_FIELDS.index("volume")
_FIELD_CHANGE = layout.SESSION_FIELDS.index("change")
_FIELD_CHANGE_PERCENT = layout.SESSION_FIELDS.index("change_percent")
_FIELD_UPDATED = layout.SESSION_FIELDS.index("updated_ns")


@kernel
def unsync(state: Rows, cause: int, ask_again: bool) -> None:
    """From here on only a snapshot makes the book true; `ask_again` raises the wish the engine polls."""
    state[0].synced = 0
    state[0].cause = cause
    if ask_again:
        state[0].resync_wanted += 1


@kernel
def _on_bids(op: int) -> bool:
    return op == _OP_BID or op == _OP_BEST_BID or op == _OP_NEW_BEST_BID


@kernel
def _on_asks(op: int) -> bool:
    return op == _OP_ASK or op == _OP_BEST_ASK or op == _OP_NEW_BEST_ASK


@kernel
def grid_rows(state: Rows, rows: Rows, n: int) -> bool:
    """Turn prices and sizes of book entries into increments, in place; False when one is off the grid."""
    increment = state[0].price_increment
    size_increment = state[0].size_increment
    for i in range(n):
        op = rows[i].op
        if op == _OP_OFF_GRID:
            return False
        if _on_bids(op) or _on_asks(op):
            ticks = rows[i].price // increment
            if ticks * increment != rows[i].price:
                return False
            rows[i].price = ticks
            if size_increment != 1:
                units = rows[i].size // size_increment
                if units * size_increment != rows[i].size:
                    return False
                rows[i].size = units
    return True


@kernel
def clear_sides(state: Rows) -> None:
    """An empty book that is known to be whole."""
    state[0].n_bids = 0
    state[0].n_asks = 0
    state[0].bid_bound = _NO_BOUND
    state[0].ask_bound = -_NO_BOUND


@kernel
def _put_bid(state: Rows, bids: Rows, price: int, size: int) -> None:
    if price <= state[0].bid_bound:
        state[0].overflow_levels += 1
    elif size == 0:
        state[0].n_bids = remove_level(bids, state[0].n_bids, 1, price)
    else:
        n, lost = put_level(bids, state[0].n_bids, 1, price, size)
        state[0].n_bids = n
        if lost != _NO_BOUND:
            state[0].bid_bound = max(state[0].bid_bound, lost)
            state[0].overflow_levels += 1


@kernel
def _put_ask(state: Rows, asks: Rows, price: int, size: int) -> None:
    if price >= state[0].ask_bound:
        state[0].overflow_levels += 1
    elif size == 0:
        state[0].n_asks = remove_level(asks, state[0].n_asks, -1, price)
    else:
        n, lost = put_level(asks, state[0].n_asks, -1, price, size)
        state[0].n_asks = n
        if lost != _NO_BOUND:
            state[0].ask_bound = min(state[0].ask_bound, -lost)
            state[0].overflow_levels += 1


@kernel
def _set_field(state: Rows, field: int, value: int) -> None:
    s = state[0]
    s.known |= 1 << field
    if field == _FIELD_LAST:
        s.session_last = value
    elif field == _FIELD_BID:
        s.session_bid = value
    elif field == _FIELD_ASK:
        s.session_ask = value
    elif field == _FIELD_OPEN:
        s.session_open = value
    elif field == _FIELD_HIGH:
        s.session_high = value
    elif field == _FIELD_LOW:
        s.session_low = value
    elif field == _FIELD_VOLUME:
        s.session_volume = value
    elif field == _FIELD_CHANGE:
        s.session_change = value
    elif field == _FIELD_CHANGE_PERCENT:
        s.session_change_percent = value
    else:
        s.session_updated_ns = value


@kernel
def apply_entry(state: Rows, bids: Rows, asks: Rows, op: int, price: int, size: int) -> None:
    """One depth entry, by its DomType; price and size in increments. A size of 0 only removes that one level.

    BestBid and NewBestBid drop the bids above them, BestAsk and NewBestAsk the asks below; a *new* best also drops
    what it would cross on the other side.
    """
    s = state[0]
    if op == _OP_BID:
        _put_bid(state, bids, price, size)
    elif op == _OP_ASK:
        _put_ask(state, asks, price, size)
    elif op == _OP_BEST_BID or op == _OP_NEW_BEST_BID:
        _put_bid(state, bids, price, size)
        if size > 0:
            s.n_bids = drop_better(bids, s.n_bids, 1, price, False)
            if op == _OP_NEW_BEST_BID:
                s.n_asks = drop_better(asks, s.n_asks, -1, price, True)
    elif op == _OP_BEST_ASK or op == _OP_NEW_BEST_ASK:
        _put_ask(state, asks, price, size)
        if size > 0:
            s.n_asks = drop_better(asks, s.n_asks, -1, price, False)
            if op == _OP_NEW_BEST_ASK:
                s.n_bids = drop_better(bids, s.n_bids, 1, price, True)
    elif op == _OP_RESET:
        clear_sides(state)
    else:
        s.unknown_entries += 1


@kernel
def is_snapshot(state: Rows, rows: Rows, n: int) -> bool:
    """Whether a list says the whole book (see the file's head). While synced only Reset does."""
    if n == 0:
        return False
    if rows[0].op == _OP_RESET:
        return True
    if state[0].synced != 0 or n <= SNAPSHOT_FLOOR or n <= state[0].max_increment:
        return False
    bid = False
    ask = False
    for i in range(n):
        bid = bid or (_on_bids(rows[i].op) and rows[i].size > 0)
        ask = ask or (_on_asks(rows[i].op) and rows[i].size > 0)
    return bid and ask


@kernel
def note_lag(state: Rows, venue_ns: int) -> None:
    """Venue lag against its own recent least; an engine pause ends when it is back near that."""
    s = state[0]
    lag = s.wall_ns - venue_ns
    s.lag_ns = lag
    if s.lag_window_ns == 0:
        s.lag_window_ns = s.recv_ns
        s.lag_min_ns = lag
        s.lag_prior_ns = lag
    elif s.recv_ns - s.lag_window_ns > _LAG_WINDOW_NS:
        s.lag_prior_ns = s.lag_min_ns
        s.lag_min_ns = lag
        s.lag_window_ns = s.recv_ns
    elif lag < s.lag_min_ns:
        s.lag_min_ns = lag
    over = lag - min(s.lag_min_ns, s.lag_prior_ns)
    if over > s.max_venue_lag_ns:
        s.lagging = 1
    elif over <= s.max_venue_lag_ns // 2:
        s.lagging = 0
        s.paused = 0


@kernel
def apply_depth(state: Rows, bids: Rows, asks: Rows, rows: Rows, n: int) -> None:
    """A whole depth record."""
    s = state[0]
    snapshot = is_snapshot(state, rows, n)
    venue_ns = rows[n - 1].venue_ns if n > 0 else 0
    if venue_ns != 0 and not snapshot:  # a snapshot carries the stamp of the state it shows, which may be old
        note_lag(state, venue_ns)
    if s.synced == 0 and not snapshot:
        s.ignored_entries += n
        return
    if not grid_rows(state, rows, n):
        unsync(state, _OFF_GRID, True)
        return
    if snapshot:
        clear_sides(state)
        s.synced = 1
        s.cause = _NONE
    else:
        s.max_increment = max(s.max_increment, n)
    for i in range(n):
        apply_entry(state, bids, asks, rows[i].op, rows[i].price, rows[i].size)
    s.depth_entries += n
    if venue_ns != 0:  # stamps may come out of order, what they stamp does not: the newest one names the book
        s.venue_ns = venue_ns if snapshot else max(s.venue_ns, venue_ns)
    if s.n_bids > 0 and s.n_asks > 0 and bids[s.n_bids - 1].price >= asks[s.n_asks - 1].price:
        unsync(state, _CROSSED, True)
    elif (s.n_bids == 0 and s.bid_bound != _NO_BOUND) or (s.n_asks == 0 and s.ask_bound != -_NO_BOUND):
        unsync(state, _ONE_SIDED, True)  # all known levels are gone and worse ones exist that we never kept


@kernel
def apply_quote(state: Rows, rows: Rows, n: int) -> None:
    """Merge a partial quote. A price off the grid is left out and counted: the quote is not the book."""
    s = state[0]
    increment = s.price_increment
    for i in range(n):
        field = rows[i].op - _QUOTE_BASE
        value = rows[i].price
        if field == _FIELD_UPDATED:
            note_lag(state, value)
        elif field == _FIELD_VOLUME:
            value = value // s.size_increment
        elif field != _FIELD_CHANGE and field != _FIELD_CHANGE_PERCENT:
            if rows[i].op < _QUOTE_BASE or value % increment != 0:
                s.unknown_entries += 1
                continue
            value = value // increment
        _set_field(state, field, value)


@kernel
def apply_gap(state: Rows, reason: int, count: int, dropped: int) -> None:
    """The stream is not whole: all but an engine pause need a snapshot; drops ask for it themselves."""
    s = state[0]
    # Until the book is live again all gaps are one outage, of the first one's reason: later ones say what is awaited.
    goes_on = s.state != _LIVE and s.gap_reason != _NONE and s.gap_sequence >= s.edge_sequence
    if not goes_on:
        s.gap_reason = reason
        s.gap_from_wall_ns = s.data_wall_ns
        s.gap_count = 0
    s.gap_sequence = s.sequence
    s.gap_wall_ns = s.wall_ns
    s.gap_count += count
    s.dropped = dropped
    if reason == _PAUSED and count == 0:
        s.paused = 1
        return
    if reason == _RESYNC:
        s.resyncs += 1
    lost = count > 0 or reason == _DROPPED or reason == _OVERSIZE
    unsync(state, reason, lost)


@kernel
def judge_state(state: Rows) -> bool:
    """Set what the publication says from all that is known; True when it changed."""
    s = state[0]
    reason = _NONE
    now = _LIVE
    if s.synced == 0:
        reason = s.cause
        now = _STALE
        if reason == _STARTING or reason == _RECONNECTED or reason == _RESYNC or reason == _REASON_ROLL:
            now = _SYNCING
        elif reason == _REASON_CLOSED:
            now = _CLOSED
    elif s.n_bids == 0 and s.n_asks == 0:
        now = _SYNCING
        reason = _RESET
    elif s.n_bids == 0 or s.n_asks == 0:
        now = _STALE
        reason = _ONE_SIDED
    elif s.paused != 0:
        now = _STALE
        reason = _PAUSED
    elif s.lagging != 0:
        now = _STALE
        reason = _VENUE_LAG
    if now == s.state and reason == s.reason:
        return False
    s.state = now
    s.reason = reason
    s.since_ns = s.recv_ns
    s.since_wall_ns = s.wall_ns
    return True
