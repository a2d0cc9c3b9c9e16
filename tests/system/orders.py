"""The book of a CME capture the plain way: orders by id, added up by price. It shares no line with the simulator."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "data" / "databento"
PRICE_SCALE = 1e9  # DBN's prices are integers of 10^-9

Side = dict[float, int]  # price → size


class Print(NamedTuple):
    price: float
    size: int
    side: int  # the aggressor, 0 buys and 1 sells


def capture(name: str) -> Path:
    """The file of that name; skips the test if the captures or their reader are not here."""
    pytest.importorskip("databento", reason="the captures are read with the package databento")
    path = CAPTURES / name
    if not path.is_file():
        pytest.skip(f"the capture {path} is not here")
    return path


class Orders:
    """A capture's events, and the book after the one that it was advanced to."""

    def __init__(self, path: Path) -> None:
        import databento

        rows = databento.DBNStore.from_bytes(path.read_bytes()).to_ndarray()
        names = ("action", "side", "order_id", "price", "size")
        self._events = list(zip(*(rows[name].tolist() for name in names), strict=True))
        self._done = 0
        self._resting: dict[int, tuple[bytes, float, int]] = {}
        self._sums: dict[bytes, Side] = {b"B": {}, b"A": {}}

    def __len__(self) -> int:
        return len(self._events)

    def prints(self) -> list[Print]:
        """Every trade, in order. The auction's has no aggressor, and the simulator says of it that it was a buy."""
        return [
            Print(price / PRICE_SCALE, size, int(side == b"A"))
            for action, side, _, price, size in self._events
            if action == b"T"
        ]

    def book_after(self, index: int) -> tuple[Side, Side]:
        """Bids and asks after event number `index`; only ever asked for in rising order."""
        assert index + 1 >= self._done, "orders cannot be taken back"
        for event in self._events[self._done : index + 1]:
            self._apply(*event)
        self._done = index + 1
        return self._sums[b"B"], self._sums[b"A"]

    def _apply(self, action: bytes, side: bytes, order_id: int, price: int, size: int) -> None:
        if action in (b"T", b"F", b"N"):
            return  # what a trade takes from the book is said again, by a cancel or a change
        before = self._resting.pop(order_id, None)
        if before is not None:
            self._add(before[0], before[1], -before[2])
        if action == b"C":
            assert before is not None, f"an order that never was is cancelled: {order_id}"
            after = before[0], before[1], before[2] - size
        else:
            assert action in (b"A", b"M"), action
            after = side, price / PRICE_SCALE, size
        if after[2] > 0:
            self._resting[order_id] = after
            self._add(*after)

    def _add(self, side: bytes, price: float, size: int) -> None:
        sums = self._sums[side]
        sums[price] = sums.get(price, 0) + size
        if sums[price] == 0:
            del sums[price]


def difference(name: str, levels: np.ndarray, complete: bool, true: Side, best_is_high: bool) -> str:
    """How a side that was read is not the true one; empty if it is. levels: price and size, best first."""
    wanted = sorted(true.items(), reverse=best_is_high)
    read = list(zip(levels["price"].tolist(), levels["size"].tolist(), strict=True))
    if complete and len(read) != len(wanted):
        return f"{len(read)} {name} of {len(wanted)}"
    for rank, (one, other) in enumerate(zip(read, wanted, strict=False)):
        if one != other:
            return f"{name} rank {rank}: read {one}, true {other}"
    return "" if len(read) <= len(wanted) else f"{len(read)} {name}, and there are {len(wanted)}"
