"""The writing side of the two broadcast rings: trades, and changes of the best bid and ask.

`intent` is raised (and fenced) before rows are overwritten, `count` when all rows of one ring record are complete:
the record is the unit of commit. A writer that dies in between has committed nothing, and its successor, which
applies the record again, writes the same rows at the same places. Rows are fixed, so row n lies at n mod len.
"""

from .atomics import fence_release, store_relaxed, store_release
from .compiled import kernel
from .layout import Rows, Words


@kernel
def announce(control: Words, intent: int, last: int) -> None:
    """Say that rows below `last` are about to be written: a reader of the rows they overwrite must not trust them.

    It never goes back: what a dead writer had announced may have overwritten rows that its successor will not.
    """
    if last > control[intent]:
        store_relaxed(control, intent, last)
    fence_release()  # SYNC rows: intent before the rows, here; rows before intent, in the reader


@kernel
def commit(control: Words, count: int, last: int) -> None:
    """Make all rows below `last` visible."""
    store_release(control, count, last)


@kernel
def through(rows: Rows, committed: int) -> int:
    """The ring sequence of the newest committed row: a successor skips what is not newer. 0 when there is none."""
    if committed == 0:
        return 0
    return rows[(committed - 1) & (len(rows) - 1)].sequence  # type: ignore[no-any-return]
