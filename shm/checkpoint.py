"""Checkpoints: the whole working copy into the older of two slots, so that one whole slot survives any kill.

A slot is whole when begin == end. Ring space is released only after the slot that covers it is whole, so what a
successor needs is always there: the newest whole slot, and the ring from that slot's position on.
"""

from . import layout
from .atomics import copy_bytes, fence_release, load_acquire, store_relaxed, store_release
from .compiled import kernel
from .layout import Rows, Words

_SLOT_BYTES = layout.SLOT.itemsize
_SLOT_WORDS = layout.SLOT.itemsize // 8
_STATE_AT = layout.SLOT.fields["state"][1]  # type: ignore[index]
_STATE_BYTES = layout.STATE.itemsize
_LEVEL_BYTES = layout.LEVEL.itemsize


@kernel
def newest_slot(slot_words: Words) -> int:
    """The slot a successor starts from; -1 when neither is whole (nothing was ever checkpointed)."""
    best = -1
    newest = 0
    for i in range(2):
        end = load_acquire(slot_words, i * _SLOT_WORDS + 1)
        begin = load_acquire(slot_words, i * _SLOT_WORDS)
        if begin == end and end > newest:
            newest = end
            best = i
    return best


@kernel
def write_slot(slot_words: Words, slots: Rows, slot_levels: Rows, state: Rows, levels: Rows) -> None:
    """Copy state and levels into the slot that is not the newest."""
    newest = newest_slot(slot_words)
    number = 1 if newest < 0 else slot_words[newest * _SLOT_WORDS + 1] + 1
    i = 0 if newest < 0 else 1 - newest
    store_relaxed(slot_words, i * _SLOT_WORDS, number)
    fence_release()  # SYNC slot: begin before the body, here; the body before begin, in the reader
    copy_bytes(slots, i * _SLOT_BYTES + _STATE_AT, state, 0, _STATE_BYTES)
    side_bytes = levels.shape[1] * _LEVEL_BYTES
    at = 2 * i * side_bytes
    copy_bytes(slot_levels, at, levels, 0, state[0].n_bids * _LEVEL_BYTES)
    copy_bytes(slot_levels, at + side_bytes, levels, side_bytes, state[0].n_asks * _LEVEL_BYTES)
    store_release(slot_words, i * _SLOT_WORDS + 1, number)


@kernel
def load_slot(slot_words: Words, slots: Rows, slot_levels: Rows, state: Rows, levels: Rows) -> bool:
    """Make the working copy that of the newest whole slot; False, and nothing touched, when there is none."""
    i = newest_slot(slot_words)
    if i < 0:
        return False
    copy_bytes(state, 0, slots, i * _SLOT_BYTES + _STATE_AT, _STATE_BYTES)
    side_bytes = levels.shape[1] * _LEVEL_BYTES
    copy_bytes(levels, 0, slot_levels, 2 * i * side_bytes, 2 * side_bytes)
    return True
