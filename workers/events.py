"""What a ring record meant beyond prices: the events of one record, into the ring of events in its book segment.

A kernel on values, asked only when a record was a gap, a roll or a record set aside, or when it made the book live or
ended that; all other records pay one comparison. It asks no clock: an event is a function of the ring's bytes, so a
replay gives the same ones. All events of a record are committed together, and those of records up to `through` are
there already: a successor that applies a record again writes nothing twice and leaves nothing out.

What no record says cannot be written here: that the engine is dead or this worker stopped. That is the reader's to
see, by age, and the supervisor's.
"""

from shm import layout
from shm.atomics import copy_bytes
from shm.compiled import kernel
from shm.layout import Bytes, EventKind, Reason, Rows, Words
from shm.rows import announce, commit

CONTRACT_BYTES = layout.STATE["contract"].itemsize

# A record's events are a set of kinds, a bit each.
ROLL = 1 << int(EventKind.ROLL)
GAP = 1 << int(EventKind.GAP)
RESYNC = 1 << int(EventKind.RESYNC)
STALE = 1 << int(EventKind.STALE)
LIVE = 1 << int(EventKind.LIVE)

_FIRST_KIND = int(EventKind.ROLL)
_LAST_KIND = int(EventKind.LIVE)
_ROLL = int(EventKind.ROLL)
_GAP = int(EventKind.GAP)
_STALE = int(EventKind.STALE)
_LIVE = int(EventKind.LIVE)

_STARTING = int(Reason.STARTING)
_RECONNECTED = int(Reason.RECONNECTED)
_REASON_RESYNC = int(Reason.RESYNC)
_REASON_ROLL = int(Reason.ROLL)

_INTENT = layout.EVENT_INTENT
_COUNT = layout.EVENT_COUNT
_ROW_BYTES = layout.EVENT.itemsize
_SUBJECT_AT = layout.EVENT.fields["subject"][1]  # type: ignore[index]
_TEXT_AT = layout.EVENT.fields["text"][1]  # type: ignore[index]
_CONTRACT_AT = layout.STATE.fields["contract"][1]  # type: ignore[index]

assert layout.EVENT["text"].itemsize >= layout.EVENT["subject"].itemsize >= CONTRACT_BYTES


@kernel
def of_gap(reason: int, count: int) -> int:
    """The kinds of a gap record. One that only announces a snapshot is a resync; the first of all is nothing."""
    waits = reason == _RECONNECTED or reason == _REASON_RESYNC or reason == _REASON_ROLL
    kinds = RESYNC if waits else 0
    if count > 0 or not (waits or reason == _STARTING):
        kinds |= GAP
    return kinds


@kernel
def write(
    control: Words,
    rows: Rows,
    row_bytes: Bytes,
    state: Rows,
    through: int,
    kinds: int,
    reason: int,
    count: int,
    contract_before: Bytes,
) -> int:
    """Commit the events of the record that `state` goes through; the sequence through which events are there now.

    `reason` and `count` are the gap's. A gap, a resync and a roll begin at the last hub message that was applied;
    stale and live begin where the book last became live, or ceased to be.
    """
    s = state[0]
    if s.sequence > through:
        n = 0
        for kind in range(_FIRST_KIND, _LAST_KIND + 1):
            n += (kinds >> kind) & 1
        first = control[_COUNT]
        announce(control, _INTENT, first + n)
        place = 0
        for kind in range(_FIRST_KIND, _LAST_KIND + 1):
            if (kinds >> kind) & 1 == 0:
                continue
            i = (first + place) & (len(rows) - 1)
            row = rows[i]
            row.sequence = s.sequence
            row.place = place
            row.kind = kind
            row.reason = reason
            row.wall_ns = s.wall_ns
            row.recv_ns = s.recv_ns
            row.from_sequence = s.data_sequence
            row.from_wall_ns = s.data_wall_ns
            row.count = count if kind == _GAP else 0
            row.pid = 0
            for at in range(i * _ROW_BYTES + _SUBJECT_AT, (i + 1) * _ROW_BYTES):
                row_bytes[at] = 0
            if kind == _ROLL:
                row.reason = _REASON_ROLL
                copy_bytes(row_bytes, i * _ROW_BYTES + _SUBJECT_AT, contract_before, 0, CONTRACT_BYTES)
                copy_bytes(row_bytes, i * _ROW_BYTES + _TEXT_AT, state, _CONTRACT_AT, CONTRACT_BYTES)
            elif kind == _STALE or kind == _LIVE:
                row.reason = s.reason
                row.from_sequence = s.edge_sequence
                row.from_wall_ns = s.edge_wall_ns
            place += 1
        commit(control, _COUNT, first + n)
        through = s.sequence
    if kinds & (STALE | LIVE) != 0:
        s.edge_sequence = s.sequence
        s.edge_wall_ns = s.wall_ns
    return through
