"""The three decoders side by side: the kernel in guarded memory, the slow path, the plain model.

Whatever the kernel takes the slow path must take with equal rows, and whatever the slow path takes the model must
say the same of; `compare` asserts both and tells who took the message.
"""

import ctypes
import mmap
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tests import model
from tests.workers.decode.frames import CONTRACT
from workers.decode import projectx, slow
from workers.decode.rows import EVENT_DEPTH, EVENT_QUOTE, EVENT_TRADE, HEADER_WORDS, QUOTE_BASE, ROW, Op

PRICE_SCALE, SIZE_SCALE = 9, 0
MAX_BYTES = 1 << 16
CANARY = -0x5A5A5A5A5A5A5A5A
READABLE = 100  # bytes behind the closing zero that the kernel may look at
TARGETS = {"GatewayDepth": EVENT_DEPTH, "GatewayTrade": EVENT_TRADE, "GatewayQuote": EVENT_QUOTE}
FIELDS = ("last", "bid", "ask", "open", "high", "low", "volume", "change", "change_percent", "updated_ns")

Rows = list[tuple[int, ...]]


class Taken(NamedTuple):
    """Who took a message; the rows are the slow path's."""

    by_kernel: bool
    by_slow: bool
    rows: Rows


class Guarded:
    """The kernel on memory that ends, READABLE bytes behind the record, at a page nobody may touch.

    A read too far is a SIGSEGV and not a lucky zero. Those last bytes hold what would go on with a cut record, and
    the bytes before the record are no stop either. Rows behind the last one given are a canary.
    """

    def __init__(self, capacity: int = 1024) -> None:
        pages = MAX_BYTES + 2 * mmap.PAGESIZE
        self._map = mmap.mmap(-1, pages)
        self._whole = np.frombuffer(self._map, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        guard = self._whole.ctypes.data + pages - mmap.PAGESIZE
        if libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(mmap.PAGESIZE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
        self.data = self._whole[: pages - mmap.PAGESIZE]
        self.store = np.zeros(capacity + 16, ROW)
        self.rows = self.store[:capacity]
        self.header = np.zeros(HEADER_WORDS, np.int64)
        self.contract = np.zeros(64, np.uint8)
        self.contract[: len(CONTRACT)] = list(CONTRACT.encode())

    def decode(self, message: bytes, behind: bytes = b'0"}]}') -> tuple[int, Rows] | None:
        """Event and rows, or None if the kernel left it."""
        end = len(self.data) - 1 - READABLE
        start = end - len(message)
        self.data[:start] = ord("1")
        self.data[start:end] = np.frombuffer(message, np.uint8)
        self.data[end] = 0
        self.data[end + 1 :] = np.frombuffer((behind * READABLE)[:READABLE], np.uint8)
        self.store.view(np.int64)[:] = CANARY
        n = projectx.decode(
            self.data, start, end, self.contract, len(CONTRACT), PRICE_SCALE, SIZE_SCALE, self.rows, self.header
        )
        assert (self.store.view(np.int64)[len(self.rows) * 5 :] == CANARY).all(), "rows behind the array"
        if n < 0:
            return None
        assert (self.rows[n:].view(np.int64) == CANARY).all(), "rows behind the count"
        return int(self.header[0]), as_tuples(self.rows[:n])


def as_tuples(rows: npt.NDArray[np.void]) -> Rows:
    return [tuple(int(value) for value in row) for row in rows.tolist()]


def decode_slowly(message: bytes, capacity: int = 1024) -> tuple[int, Rows]:
    rows = np.zeros(capacity, ROW)
    rows.view(np.int64)[:] = CANARY
    event, n = slow.decode(message, CONTRACT.encode(), PRICE_SCALE, SIZE_SCALE, rows)
    assert (rows[n:].view(np.int64) == CANARY).all()
    return event, as_tuples(rows[:n])


def model_rows(message: bytes) -> tuple[int, Rows]:
    """What the model says, in the shape of rows. Raises model.Refused."""
    try:
        text = message.decode()
    except UnicodeDecodeError:
        raise model.Refused("not UTF-8") from None
    target, event = model.decode(text, CONTRACT, PRICE_SCALE, SIZE_SCALE)
    rows: Rows = []
    for item in event:
        if isinstance(item, model.Entry):
            op = item.type if item.type in (1, 2, 3, 4, 6, 7, 8, 9, 10) else int(Op.UNKNOWN)
            rows.append(_row(op, item.price, item.size, item.stamp_ns, int(item.type in (1, 3, 10))))
        elif isinstance(item, model.Trade):
            rows.append(_row(int(Op.TRADE), item.price, item.size, item.stamp_ns, item.side))
        else:
            rows += _quote_rows(item)
    return TARGETS[target], rows


def _row(op: int, price: Decimal | None, size: Decimal | None, stamp_ns: int, side: int) -> tuple[int, ...]:
    if price is None or size is None:
        return op, 0, 0, stamp_ns, 0
    units, sizes = price * 10**PRICE_SCALE, size * 10**SIZE_SCALE
    if units % 1 or sizes % 1:
        return int(Op.OFF_GRID), 0, 0, stamp_ns, 0
    return op, int(units), int(sizes), stamp_ns, side


def _quote_rows(quote: model.Quote) -> Rows:
    rows: Rows = []
    for place, name in enumerate(FIELDS):
        if name not in quote.fields:
            continue
        scale = {"volume": SIZE_SCALE, "change": 9, "change_percent": 9, "updated_ns": 0}.get(name, PRICE_SCALE)
        value = quote.fields[name] * 10**scale
        off = value % 1 != 0
        rows.append((int(Op.OFF_GRID) if off else QUOTE_BASE + place, 0 if off else int(value), 0, quote.stamp_ns, 0))
    return rows


def compare(kernel: Guarded, message: bytes) -> Taken:
    """Decode three ways; AssertionError, naming the message, where they disagree."""
    fast = kernel.decode(message)
    slowly, plain = _try_slowly(message), _try_model(message)
    if isinstance(slowly, slow.Refused):
        assert fast is None, f"only the kernel took {message!r}: {slowly}"
        # Python's json knows numbers and escapes that orjson refuses in members that nobody reads.
        assert plain is None or slowly.code == slow.Refusal.NOT_JSON, f"only the model took {message!r}: {slowly}"
        return Taken(False, False, [])
    assert fast is None or fast == slowly, f"kernel and slow path differ on {message!r}: {fast} {slowly}"
    assert plain == slowly, f"model and slow path differ on {message!r}: {plain} {slowly}"
    return Taken(fast is not None, True, slowly[1])


def _try_slowly(message: bytes) -> tuple[int, Rows] | slow.Refused:
    try:
        return decode_slowly(message)
    except slow.Refused as refused:
        return refused


def _try_model(message: bytes) -> tuple[int, Rows] | None:
    try:
        return model_rows(message)
    except model.Refused:
        return None
