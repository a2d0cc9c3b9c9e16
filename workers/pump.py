"""The hot path: one nopython call applies a batch of ring records and publishes the result.

For each record: note its sequence in `begun`, decode, apply, commit its tape, event and quote rows. Then, once a batch:
a cell, `through`, the wish for a resync, the wake-up, and a checkpoint when one is due; only then is ring space
released. What the kernel cannot take alone (a record the scanner refuses, a config record, a chunk, a record to
be set aside) ends the call with a code; Python does that one record in its place and calls again.

A replay waits where a bar might find no room: the keeper has time of today to seal what is played of a whole day. It
applies no record while the rows of a timeframe are so many that the keeper will seal, so nothing is released, the ring
fills, and the player waits with it. Live nobody waits, and a bar without room is counted.
"""

from typing import NamedTuple

import numpy as np

from shm import layout
from shm.atomics import boottime_ns, load_acquire, store_relaxed, store_release
from shm.cells import count_latency, move_through, pay_owed_wake, publish_cell, wake_readers
from shm.checkpoint import write_slot
from shm.compiled import kernel, kernel_part
from shm.layout import Bytes, Reason, Record, Rows, State, Words
from shm.records import AFTER, AT, KIND, RECV, SEQUENCE, SIZE, WALL, peek
from shm.ring import park, release
from shm.rows import announce, commit

from . import bars, digests, events, rules
from .decode import rows as decoded
from .decode.projectx import decode

MAX_BATCH = 4096
CHECKPOINT_EVERY_NS = 10_000_000
POLL_NS = 100_000_000  # every wait returns to Python within this, so that signals work

IDLE, MORE, SLOW, CONFIGURE, CHUNKED, SET_ASIDE, SESSIONS, FULL = range(8)

# Private notes of one worker: nothing here outlives the process.
NOTES = 16
(
    POSITION,  # ring position of the next record to look at
    DIRTY,  # records applied since the last cell
    DUE_FROM,  # boottime of the first unreleased data record: its checkpoint is due 10 ms later; 0 if none
    PUBLISH_FROM,  # no cell before the state's sequence is at least this: readers never see a book go back
    TAPE_THROUGH,  # sequence of the newest committed tape row: rows of records up to it are there already
    QUOTE_THROUGH,
    BATCH_MAX_FRAMES,
    BATCH_MAX_NS,
    QUARANTINE,  # how many sequences to set aside; they stand in `set_aside`
    SPIN_NS,
    RELEASED,  # ring position released
    EVENT_THROUGH,
    REPLAYED,  # 1: the records' receive times are of another day, and say nothing of how old a book is
    PRESENT_NS,  # when a replay was last heard of, in its stead
) = range(14)

_RECORD_DATA = int(Record.DATA)
_RECORD_CHUNK = int(Record.CHUNK)
_RECORD_CLOCK = int(Record.CLOCK)
_RECORD_GAP = int(Record.GAP)
_RECORD_SESSIONS = int(Record.SESSIONS)
_RECORD_PRESENT = int(Record.PRESENT)
_EVENT_DEPTH = decoded.EVENT_DEPTH
_EVENT_TRADE = decoded.EVENT_TRADE
_OP_OFF_GRID = int(decoded.Op.OFF_GRID)
_REFUSED = int(Reason.REFUSED)
_QUARANTINED = int(Reason.QUARANTINED)
_OFF_GRID = int(Reason.OFF_GRID)
_LIVE = int(State.LIVE)
_FRAMES = bars.FRAMES
_BROKEN = bars.BROKEN
_CHANGED = bars.CHANGED
_TAIL = layout.TAIL
_BEGUN = layout.BEGUN
_HEARTBEAT = layout.HEARTBEAT
_RESYNC_WANTED = layout.RESYNC_WANTED
_TAPE_INTENT = layout.TAPE_INTENT
_TAPE_COUNT = layout.TAPE_COUNT
_QUOTE_INTENT = layout.QUOTE_INTENT
_QUOTE_COUNT = layout.QUOTE_COUNT


class Memory(NamedTuple):
    """Every array that one worker works on: the two mapped segments, then what is private to it."""

    ring: Words  # int64 words of the ring segment
    ring_bytes: Bytes  # the same memory
    control: Words
    cell_words: Words
    cells: Rows
    cell_levels: Rows
    state: Rows
    levels: Rows
    slot_words: Words
    slots: Rows
    slot_levels: Rows
    tape: Rows
    quotes: Rows
    events: Rows
    event_bytes: Bytes  # the same memory
    changed: Words
    rows: Rows  # decoded.ROW, private
    header: Words
    contract: Bytes  # the contract id that a message must name
    contract_before: Bytes  # the one that it was rolled from
    notes: Words
    received: Words  # recv_ns of the records of this batch
    set_aside: Words
    record: Words  # what `peek` said of the current record
    bars: Words  # the desk of bars.py, which knows where their file is mapped
    scratch: Words


@kernel_part
def _append_trades(m: Memory, n: int) -> bool:
    """The trades of one record onto the tape, unless they are there; False when a price is off the grid."""
    s = m.state[0]
    for i in range(n):
        if m.rows[i].op == _OP_OFF_GRID or m.rows[i].price % s.price_increment != 0:
            return False
        if m.rows[i].size % s.size_increment != 0:
            return False
    if n > 0:
        s.last_price = m.rows[n - 1].price // s.price_increment
        s.last_size = m.rows[n - 1].size // s.size_increment
        s.last_side = m.rows[n - 1].side
        s.trade_ns = m.rows[n - 1].venue_ns
        s.trades += n
        if s.trade_ns != 0:
            rules.note_lag(m.state, s.trade_ns)
    digests.take_trades(m.state, m.rows, n)
    if m.bars[_FRAMES] > 0:
        bars.take_trades(m.bars, m.state, m.rows, n)
    if n == 0 or s.sequence <= m.notes[TAPE_THROUGH]:
        return True
    first = m.control[_TAPE_COUNT]
    announce(m.control, _TAPE_INTENT, first + n)
    for i in range(n):
        row = m.tape[(first + i) & (len(m.tape) - 1)]
        row.sequence = s.sequence
        row.place = i
        row.venue_ns = m.rows[i].venue_ns
        row.recv_ns = s.recv_ns
        row.price = m.rows[i].price // s.price_increment
        row.size = m.rows[i].size // s.size_increment
        row.side = m.rows[i].side
    commit(m.control, _TAPE_COUNT, first + n)
    m.notes[TAPE_THROUGH] = s.sequence
    return True


@kernel_part
def _append_quote(m: Memory) -> None:
    """A quote row, if the best of a side or the state changed through this record and the row is not there."""
    s = m.state[0]
    bid = np.int64(0)
    bid_size = np.int64(0)
    ask = np.int64(0)
    ask_size = np.int64(0)
    if s.n_bids > 0:
        bid = m.levels[0, s.n_bids - 1].price
        bid_size = m.levels[0, s.n_bids - 1].size
    if s.n_asks > 0:
        ask = m.levels[1, s.n_asks - 1].price
        ask_size = m.levels[1, s.n_asks - 1].size
    same = bid == s.best_bid and bid_size == s.best_bid_size and ask == s.best_ask and ask_size == s.best_ask_size
    if same and s.quoted_state == s.state:
        return
    s.best_bid = bid
    s.best_bid_size = bid_size
    s.best_ask = ask
    s.best_ask_size = ask_size
    s.quoted_state = s.state
    if s.sequence <= m.notes[QUOTE_THROUGH]:
        return
    first = m.control[_QUOTE_COUNT]
    announce(m.control, _QUOTE_INTENT, first + 1)
    row = m.quotes[first & (len(m.quotes) - 1)]
    row.sequence = s.sequence
    row.state = s.state
    row.venue_ns = s.venue_ns
    row.recv_ns = s.recv_ns
    row.bid = bid
    row.bid_size = bid_size
    row.ask = ask
    row.ask_size = ask_size
    commit(m.control, _QUOTE_COUNT, first + 1)
    m.notes[QUOTE_THROUGH] = s.sequence


@kernel_part
def take_stamps(m: Memory) -> None:
    """Make the record the one that the state goes through: its sequence and its receive times."""
    s = m.state[0]
    s.sequence = m.record[SEQUENCE]
    s.recv_ns = m.record[RECV]
    s.wall_ns = m.record[WALL]


@kernel_part
def end_record(m: Memory, kinds: int, reason: int, count: int) -> None:
    """Everything after the rules: state, events, quote row, and the position that a successor goes on from.

    `kinds`: the events that the record itself is, with the reason and the count of a gap; see events.py.
    """
    was_live = m.state[0].state == _LIVE
    if rules.judge_state(m.state) or kinds != 0:
        is_live = m.state[0].state == _LIVE
        if was_live != is_live:
            kinds |= events.LIVE if is_live else events.STALE
        if kinds != 0:
            m.notes[EVENT_THROUGH] = events.write(
                m.control,
                m.events,
                m.event_bytes,
                m.state,
                m.notes[EVENT_THROUGH],
                kinds,
                reason,
                count,
                m.contract_before,
            )
    _append_quote(m)
    if m.bars[_BROKEN] != 0:
        bars.mend(m.bars, m.state)
    if m.bars[_CHANGED] != 0:
        bars.settle(m.bars, m.state)
    m.state[0].position = m.record[AFTER]
    m.notes[POSITION] = m.record[AFTER]
    if m.notes[DIRTY] < MAX_BATCH:
        m.received[m.notes[DIRTY]] = m.record[RECV]
    m.notes[DIRTY] += 1
    if m.notes[DUE_FROM] == 0:
        m.notes[DUE_FROM] = boottime_ns(m.scratch) + CHECKPOINT_EVERY_NS


@kernel_part
def finish_rows(m: Memory, event: int, n: int, fast: bool) -> None:
    """Apply one decoded data record, whichever path decoded it."""
    take_stamps(m)
    s = m.state[0]
    whole = True
    if event == _EVENT_DEPTH:
        rules.apply_depth(m.state, m.levels[0], m.levels[1], m.rows, n)
    elif event == _EVENT_TRADE:
        whole = _append_trades(m, n)
    else:
        rules.apply_quote(m.state, m.rows, n)
    if whole:
        s.applied += 1
        s.data_sequence = s.sequence
        s.data_wall_ns = s.wall_ns
    else:
        s.refused += 1
        rules.unsync(m.state, _OFF_GRID, True)
        bars.gap(m.bars, m.state)
    if fast:
        s.fast_records += 1
    else:
        s.slow_records += 1
    end_record(m, 0, 0, 0)


@kernel
def finish_refused(m: Memory, stale: bool) -> None:
    """A data record that cannot be read: counted; if it may have been depth, the book is no longer known."""
    take_stamps(m)
    m.state[0].refused += 1
    m.state[0].slow_records += 1
    if stale:
        rules.unsync(m.state, _REFUSED, True)
        bars.gap(m.bars, m.state)
    end_record(m, 0, 0, 0)


@kernel
def finish_set_aside(m: Memory) -> None:
    """A record that killed two workers running: skipped, and the book asks for a snapshot.

    Counted if it is a message, because only what was delivered counts. Of a gap the sum of all drops is taken: what it
    says was delivered too, and no later record may say so again.
    """
    take_stamps(m)
    kind = m.record[KIND]
    messages = 1 if kind == _RECORD_DATA or kind == _RECORD_CHUNK else 0
    m.state[0].quarantined += messages
    if kind == _RECORD_GAP:
        m.state[0].dropped = m.ring[(m.record[AT] >> 3) + 2]
    rules.unsync(m.state, _QUARANTINED, True)
    bars.gap(m.bars, m.state)
    end_record(m, events.GAP, _QUARANTINED, messages)


@kernel
def finish_configured(m: Memory, rolled: bool) -> None:
    """A config record; `rolled`: it names another contract than the one before."""
    take_stamps(m)
    if rolled:
        bars.roll(m.bars, m.state)
    end_record(m, events.ROLL if rolled else 0, 0, 0)


@kernel
def finish_sessions(m: Memory) -> None:
    """A record of trading hours, before they are taken over."""
    take_stamps(m)
    bars.touch_all(m.bars, m.state)
    end_record(m, 0, 0, 0)


@kernel_part
def _is_set_aside(m: Memory, sequence: int) -> bool:
    for i in range(m.notes[QUARANTINE]):
        if m.set_aside[i] == sequence:
            return True
    return False


@kernel_part
def _apply_next(m: Memory) -> int:
    """Apply the record in `m.record`; MORE, or the code of what only Python can do with it."""
    kind = m.record[KIND]
    if kind == _RECORD_CLOCK:
        take_stamps(m)
        digests.take_book(m.state, m.levels)
        if m.bars[_FRAMES] > 0:
            bars.tick(m.bars, m.state)
            if m.bars[_CHANGED] != 0:
                bars.settle(m.bars, m.state)
        m.state[0].position = m.record[AFTER]
        m.notes[POSITION] = m.record[AFTER]
        return MORE
    if kind == _RECORD_PRESENT:
        m.notes[PRESENT_NS] = m.record[RECV]
        if m.notes[DUE_FROM] == 0:  # so that what was played last is released, though it was clock frames
            m.notes[DUE_FROM] = boottime_ns(m.scratch) + CHECKPOINT_EVERY_NS
        m.state[0].position = m.record[AFTER]
        m.notes[POSITION] = m.record[AFTER]
        return MORE
    if m.notes[QUARANTINE] > 0 and _is_set_aside(m, m.record[SEQUENCE]):
        return SET_ASIDE
    store_relaxed(m.ring, _BEGUN, m.record[SEQUENCE])  # a death from here on is laid at this record's door
    if kind == _RECORD_DATA:
        at = m.record[AT]
        s = m.state[0]
        n = decode(
            m.ring_bytes,
            at,
            at + m.record[SIZE],
            m.contract,
            len(m.contract),
            s.price_scale,
            s.size_scale,
            m.rows,
            m.header,
        )
        if n < 0:
            return SLOW
        finish_rows(m, m.header[0], n, True)
        return MORE
    if kind == _RECORD_GAP:
        take_stamps(m)
        at = m.record[AT] >> 3
        reason = m.ring[at]
        count = m.ring[at + 1]
        rules.apply_gap(m.state, reason, count, m.ring[at + 2])
        bars.gap(m.bars, m.state)
        end_record(m, events.of_gap(reason, count), reason, count)
        return MORE
    if kind == _RECORD_CHUNK:
        return CHUNKED
    if kind == _RECORD_SESSIONS:
        return SESSIONS
    return CONFIGURE


@kernel_part
def publish_batch(m: Memory) -> None:
    """Show what was applied: cell, stamps, resync wish, wake-up; then a checkpoint, if one is due, and release."""
    s = m.state[0]
    dirty = m.notes[DIRTY]
    heard_ns = m.notes[PRESENT_NS] if m.notes[REPLAYED] != 0 else s.recv_ns
    if dirty > 0 and s.sequence >= m.notes[PUBLISH_FROM]:
        now_ns = boottime_ns(m.scratch)
        publish_cell(m.control, m.cell_words, m.cells, m.cell_levels, m.state, m.levels[0], m.levels[1], now_ns, dirty)
        move_through(m.control, heard_ns)
        if m.notes[REPLAYED] == 0:
            for i in range(min(dirty, MAX_BATCH)):
                count_latency(m.control, now_ns - m.received[i])
        wake_readers(m.control, m.changed, now_ns)
        m.notes[DIRTY] = 0
    elif dirty == 0:
        move_through(m.control, heard_ns)
    if m.ring[_RESYNC_WANTED] != s.resync_wanted:
        store_release(m.ring, _RESYNC_WANTED, s.resync_wanted)
    behind = s.position - m.notes[RELEASED]
    due = m.notes[DUE_FROM] != 0 and boottime_ns(m.scratch) >= m.notes[DUE_FROM]
    if due or behind >= m.ring[0] // 4:
        checkpoint(m)


@kernel_part
def checkpoint(m: Memory) -> None:
    """Copy the working copy whole, then give its ring space back: never the other way round."""
    write_slot(m.slot_words, m.slots, m.slot_levels, m.state, m.levels)
    release(m.ring, m.state[0].position)
    m.notes[RELEASED] = m.state[0].position
    m.notes[DUE_FROM] = 0


@kernel
def pump(m: Memory) -> int:
    """Apply records until the ring is empty (IDLE), the batch is full (MORE), a replay's bars have to be sealed before
    the next one (FULL), or Python is needed (other codes)."""
    m.ring[_HEARTBEAT] += 1
    waits = m.notes[REPLAYED] != 0
    tail = load_acquire(m.ring, _TAIL)
    count = 0
    started_ns = 0
    code = IDLE
    while peek(m.ring, m.notes[POSITION], tail, m.record):
        if waits and bars.is_full(m.bars):
            code = FULL
            break
        code = _apply_next(m)
        if code != MORE:
            break
        count += 1
        if count >= m.notes[BATCH_MAX_FRAMES]:
            break
        if count & 15 == 0:
            now_ns = boottime_ns(m.scratch)
            if started_ns == 0:
                started_ns = now_ns
            elif now_ns - started_ns > m.notes[BATCH_MAX_NS]:
                break
        code = IDLE
    publish_batch(m)
    if code == IDLE or code == MORE or code == FULL:
        store_relaxed(m.ring, _BEGUN, 0)
    return code


@kernel
def end_turn(m: Memory) -> None:
    """Show what Python did in the kernel's place, before another instrument of the process is looked at."""
    publish_batch(m)
    store_relaxed(m.ring, _BEGUN, 0)


@kernel
def sleep(m: Memory) -> bool:
    """Wait for the engine: spin if told to, then park; at most until the next checkpoint is due, or 100 ms."""
    now_ns = boottime_ns(m.scratch)
    if m.notes[SPIN_NS] > 0:
        end_ns = now_ns + m.notes[SPIN_NS]
        while now_ns < end_ns:
            if load_acquire(m.ring, _TAIL) != m.notes[POSITION]:
                return True
            now_ns = boottime_ns(m.scratch)
    pay_owed_wake(m.control, m.changed, now_ns)
    limit_ns = POLL_NS
    if m.notes[DUE_FROM] != 0:
        limit_ns = min(limit_ns, max(m.notes[DUE_FROM] - now_ns, 1000))
    return park(m.ring, m.notes[POSITION], limit_ns, m.scratch)


@kernel
def serve(m: Memory) -> int:
    """Pump and sleep in turn for about 100 ms, or until Python is needed: a call costs more than a record."""
    end_ns = boottime_ns(m.scratch) + POLL_NS
    while True:
        code = pump(m)
        if code == IDLE:
            sleep(m)
        elif code != MORE:
            return code
        if boottime_ns(m.scratch) >= end_ns:
            return code
