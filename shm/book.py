"""A Book out of the memory's own integers, wherever they were copied from: cells, checkpoints, or the past."""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from .layout import LEVEL, NO_BOUND, Rows
from .values import POWERS, PRICED_LEVEL, Book, Scale
from .verdict import Verdict

STATE_FIELDS: Final = (
    "sequence",
    "recv_ns",
    "state",
    "reason",
    "venue_ns",
    "bid_bound",
    "ask_bound",
    "n_bids",
    "n_asks",
    "price_scale",
    "price_increment",
    "size_scale",
    "size_increment",
)


def build(symbol: str, bids: bytes, asks: bytes, state: tuple[int, ...], verdict: Verdict, published: int) -> Book:
    """A Book out of LEVEL bytes, best first, and the integers of STATE_FIELDS."""
    sequence, recv_ns, _, _, venue_ns, bid_bound, ask_bound, n_bids, n_asks, *increments = state
    scale = Scale._make(increments)
    factors = _factors(scale, 1 << max(len(bids), len(asks)).bit_length())
    bid_ticks = np.frombuffer(bids, LEVEL)
    ask_ticks = np.frombuffer(asks, LEVEL)
    return Book(
        symbol=symbol,
        bids=_priced(bids, factors),
        asks=_priced(asks, factors),
        bid_ticks=bid_ticks,
        ask_ticks=ask_ticks,
        bids_complete=bid_bound == NO_BOUND and len(bid_ticks) == n_bids,
        asks_complete=ask_bound == -NO_BOUND and len(ask_ticks) == n_asks,
        state=verdict.state,
        reason=verdict.reason,
        venue_ns=venue_ns,
        recv_ns=recv_ns,
        sequence=sequence,
        published=published,
        scale=scale,
    )


def best_first(levels: bytes) -> bytes:
    """LEVEL bytes with the last level first."""
    return np.frombuffer(levels, np.int64).reshape(-1, 2)[::-1].tobytes()


def _priced(levels: bytes, factors: npt.NDArray[np.float64]) -> Rows:
    """LEVEL bytes as PRICED_LEVEL rows. Exact while units times increment are below 2^53."""
    flat = np.frombuffer(levels, np.int64)
    values = flat * factors[0, : len(flat)]
    values /= factors[1, : len(flat)]
    return np.ndarray(len(flat) // 2, PRICED_LEVEL, values)


@lru_cache(maxsize=64)
def _factors(scale: Scale, length: int) -> npt.NDArray[np.float64]:
    """Rows of increments and of powers of ten, price and size in turn: two calls of numpy then price all levels."""
    factors = np.empty((2, length // 2, 2))
    factors[0] = scale.price_increment, scale.size_increment
    factors[1] = POWERS[scale.price_scale], POWERS[scale.size_scale]
    return factors.reshape(2, -1)
