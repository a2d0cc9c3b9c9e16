"""Every way to read prices, for what must hold of all of them alike."""

from collections.abc import Callable

import pytest

from shm import Instrument

Read = Callable[[Instrument, bool], object]

READS: dict[str, Read] = {
    "quote": lambda handle, allow_stale: handle.quote(allow_stale=allow_stale),
    "top": lambda handle, allow_stale: handle.top(2, allow_stale=allow_stale),
    "book": lambda handle, allow_stale: handle.book(allow_stale=allow_stale),
    "depth": lambda handle, allow_stale: handle.depth(allow_stale=allow_stale),
    "book_view": lambda handle, allow_stale: handle.book_view(allow_stale=allow_stale).__enter__(),
}
each_read = pytest.mark.parametrize("read", READS.values(), ids=READS)
