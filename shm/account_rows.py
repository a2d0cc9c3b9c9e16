"""The writing side of the account: a whole publication into the next of its rotating cells, and the sign of life.

The order is that of every cell in layout.py: begin, fence, body, end (release), `published` (release). The body is
copied by numpy, because an account changes at the pace of fills; only the stores whose order counts are kernels.
`stamp` is a call of its own, made at each tick: who was stopped first publishes that it was, and stamps only then.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import layout
from .atomics import fence_release, store_relaxed, store_release
from .cells import move_through, pay_owed_wake, wake_readers
from .compiled import kernel
from .layout import ACCOUNT, ACCOUNT_CELLS, Rows, Words

_CELL_WORDS = ACCOUNT.itemsize // 8
_PUBLISHED = layout.PUBLISHED
_BODY = 2  # words of a cell that are its begin and end

ROOM = {"orders": layout.MAX_ORDERS, "positions": layout.MAX_POSITIONS, "fills": layout.MAX_FILLS}


@kernel
def begin_cell(cell_words: Words, at: int, number: int) -> None:
    """Say that the cell at word `at` is being written."""
    store_relaxed(cell_words, at, number)
    fence_release()  # SYNC account: begin before the body, here; the body before begin, in the reader


@kernel
def end_cell(cell_words: Words, at: int, control: Words, number: int) -> None:
    """Say that it is whole, and the newest."""
    store_release(cell_words, at + 1, number)
    store_release(control, _PUBLISHED, number)


class Holdings(NamedTuple):
    """What one publication holds. Of `account` the writer sets begin, end, publish_ns and the three counts."""

    account: npt.NDArray[np.void]  # ACCOUNT, of shape ()
    orders: Rows  # ORDER, at most MAX_ORDERS; as the next two oldest first
    positions: Rows  # POSITION, at most MAX_POSITIONS
    fills: Rows  # FILL, at most MAX_FILLS


class AccountWriter:
    """The engine's hand on the segment; it is its only writer. A successor counts on from what it finds."""

    def __init__(self, array: Callable[[str], npt.NDArray[Any]], changed: Words) -> None:
        """`array`: that of a writable Kind.ACCOUNT segment. `changed`: the word of the Kind.CHANGED segment."""
        self._control: Words = array("control")
        self._cells: Rows = array("cells")
        self._rows: dict[str, Rows] = {name: array(name) for name in ROOM}
        self._words: Words = self._cells.view(np.int64).reshape(-1)
        self._changed = changed

    def publish(self, holdings: Holdings, now_ns: int) -> None:
        """Make `holdings` what readers see, and wake who waits for it."""
        number = int(self._control[_PUBLISHED]) + 1
        i = number % ACCOUNT_CELLS
        account = holdings.account.copy()
        account["publish_ns"] = now_ns
        at = i * _CELL_WORDS
        begin_cell(self._words, at, number)
        for name in ROOM:
            rows = getattr(holdings, name)
            account[f"n_{name}"] = len(rows)
            self._rows[name][i, : len(rows)] = rows
        self._words[at + _BODY : at + _CELL_WORDS] = account.reshape(1).view(np.int64)[_BODY:]
        end_cell(self._words, at, self._control, number)
        wake_readers(self._control, self._changed, now_ns)

    def stamp(self, now_ns: int) -> None:
        """Say that the engine lives, and make a wake-up that is owed."""
        move_through(self._control, now_ns)
        pay_owed_wake(self._control, self._changed, now_ns)

    def newest(self) -> Holdings | None:
        """A copy of what was last published, by whomever: what a successor begins with. None if nothing ever was."""
        number = int(self._control[_PUBLISHED])
        if number == 0:
            return None
        i = number % ACCOUNT_CELLS
        account = self._cells[i : i + 1].copy().reshape(())
        counts = {name: min(max(int(account[f"n_{name}"]), 0), room) for name, room in ROOM.items()}
        return Holdings(account, **{name: self._rows[name][i, :count].copy() for name, count in counts.items()})


def warm() -> None:
    """Load every kernel of an account's writer, on private memory."""
    regions = layout.account_regions()
    writer = AccountWriter(
        lambda name: np.zeros(regions[name].shape, regions[name].dtype), np.zeros(layout.WORDS_A_LINE, layout.WORDS)
    )
    writer.publish(
        Holdings(
            np.zeros((), ACCOUNT), *(np.zeros(0, dtype) for dtype in (layout.ORDER, layout.POSITION, layout.FILL))
        ),
        1,
    )
    writer.stamp(1)
