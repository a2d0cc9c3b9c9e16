"""Publication: the best levels and the state into the next of the rotating cells, and who is woken for it.

The order is in layout.py's drawing: begin, fence, body, end (release), `published` (release), then `through`.
`through` moves last, so a reader that loads it first never holds a stamp newer than the cell it then copies.
"""

from . import layout
from .atomics import (
    copy_bytes,
    fence_release,
    fetch_add,
    futex_wake,
    load_relaxed,
    store_relaxed,
    store_release,
)
from .compiled import kernel
from .layout import Rows, Words

_CELLS = layout.CELLS
_CELL_BYTES = layout.CELL.itemsize
_CELL_WORDS = layout.CELL.itemsize // 8
_STATE_AT = layout.CELL.fields["state"][1]  # type: ignore[index]
_STATE_BYTES = layout.STATE.itemsize
_PUBLISHED = layout.PUBLISHED
_THROUGH = layout.THROUGH_NS
_WAKE = layout.WAKE
_WAKE_NS = layout.WAKE_NS
_WAKE_WOKEN = layout.WAKE_WOKEN
_WAKE_OWED = layout.WAKE_OWED
_LATENCY = layout.LATENCY
_LAST_STEP = layout.LATENCY_STEPS - 1
_NEAR = layout.NEAR_TICKS

_FEW_READERS = 4
_WAKE_EVERY_NS = 1_000_000


@kernel
def near_size(levels: Rows, n: int) -> int:
    """Total size within NEAR_TICKS of the best level of a side that lies best last."""
    total = 0
    for i in range(n - 1, -1, -1):
        if abs(levels[i].price - levels[n - 1].price) > _NEAR:
            break
        total += levels[i].size
    return total


@kernel
def publish_cell(
    control: Words,
    cell_words: Words,
    cells: Rows,
    cell_levels: Rows,
    state: Rows,
    bids: Rows,
    asks: Rows,
    now_ns: int,
    batch_records: int,
) -> None:
    """Write the next cell from the working copy and make it the published one."""
    number = control[_PUBLISHED] + 1
    i = number % _CELLS
    store_relaxed(cell_words, i * _CELL_WORDS, number)
    fence_release()  # SYNC cell: begin before the body, here; the body before begin, in the reader
    cell = cells[i]
    cell.publish_ns = now_ns
    cell.batch_records = batch_records
    n_bids = state[0].n_bids
    n_asks = state[0].n_asks
    shown = cell_levels.shape[2]
    cell.n_bids = min(n_bids, shown)
    cell.n_asks = min(n_asks, shown)
    for k in range(cell.n_bids):
        cell_levels[i, 0, k].price = bids[n_bids - 1 - k].price
        cell_levels[i, 0, k].size = bids[n_bids - 1 - k].size
    for k in range(cell.n_asks):
        cell_levels[i, 1, k].price = asks[n_asks - 1 - k].price
        cell_levels[i, 1, k].size = asks[n_asks - 1 - k].size
    cell.spread = 0
    cell.microprice_e6 = 0
    cell.imbalance_e6 = 0
    if n_bids > 0 and n_asks > 0:
        bid_size = float(bids[n_bids - 1].size)
        ask_size = float(asks[n_asks - 1].size)
        cell.spread = asks[n_asks - 1].price - bids[n_bids - 1].price
        cell.microprice_e6 = int(1e6 * cell.spread * bid_size / (bid_size + ask_size))
        cell.imbalance_e6 = int(1e6 * (bid_size - ask_size) / (bid_size + ask_size))
    cell.near_bid_size = near_size(bids, n_bids)
    cell.near_ask_size = near_size(asks, n_asks)
    copy_bytes(cells, i * _CELL_BYTES + _STATE_AT, state, 0, _STATE_BYTES)
    store_release(cell_words, i * _CELL_WORDS + 1, number)
    store_release(control, _PUBLISHED, number)


@kernel
def move_through(control: Words, recv_ns: int) -> None:
    """Say up to when the engine is known to have lived; never backwards."""
    if recv_ns > control[_THROUGH]:
        store_release(control, _THROUGH, recv_ns)


@kernel
def count_latency(control: Words, latency_ns: int) -> None:
    """Count one record's receive-to-publish time; four steps an octave."""
    value = 4 * max(latency_ns, 1)
    octave = 0
    while (value >> octave) >= 8:
        octave += 1
    step = min(4 * octave + ((value >> octave) & 3), _LAST_STEP)
    control[_LATENCY + step] += 1


@kernel
def wake_readers(control: Words, changed: Words, now_ns: int) -> None:
    """Bump the instrument's word and "anything changed", and wake who sleeps on them.

    Each sleeper costs the waker microseconds, so when the last call woke more than four, the next is made at the
    earliest a millisecond later; until then it is owed (`pay_owed_wake`).
    """
    store_release(control, _WAKE, control[_WAKE] + 1)
    fetch_add(changed, 0, 1)
    if control[_WAKE_WOKEN] > _FEW_READERS and now_ns - control[_WAKE_NS] < _WAKE_EVERY_NS:
        control[_WAKE_OWED] = 1
        return
    control[_WAKE_WOKEN] = futex_wake(control, _WAKE) + futex_wake(changed, 0)
    control[_WAKE_NS] = now_ns
    control[_WAKE_OWED] = 0


@kernel
def pay_owed_wake(control: Words, changed: Words, now_ns: int) -> None:
    """Make the wake-up that was put off, before the worker sleeps."""
    if load_relaxed(control, _WAKE_OWED) != 0:
        control[_WAKE_WOKEN] = futex_wake(control, _WAKE) + futex_wake(changed, 0)
        control[_WAKE_NS] = now_ns
        control[_WAKE_OWED] = 0
