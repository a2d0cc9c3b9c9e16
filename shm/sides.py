"""One side of a book as a sorted array, best level last, so that changes near the touch move few rows.

Bids lie in ascending, asks in descending order of price. `sign` is +1 for bids and -1 for asks: `sign · price`
ascends on both, and "better" means larger. A full side gives up its worst level; what was given up is returned,
because from there on the side is no longer known (see `bid_bound` in layout.STATE).
"""

from .compiled import kernel
from .layout import NO_BOUND, Rows

_NO_BOUND = NO_BOUND


@kernel
def find(levels: Rows, n: int, sign: int, price: int) -> int:
    """Where `price` is, or belongs: the first row that is not worse. Gallops from the best end, then halves."""
    key = sign * price
    low = 0
    high = n
    step = 1
    probe = n - 1
    while probe >= 0 and sign * levels[probe].price >= key:
        high = probe
        probe -= step
        step <<= 1
    if probe >= 0:
        low = probe + 1
    while low < high:
        middle = (low + high) >> 1
        if sign * levels[middle].price < key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def remove_level(levels: Rows, n: int, sign: int, price: int) -> int:
    """Take a level out; the new count. A price that is not held changes nothing."""
    at = find(levels, n, sign, price)
    if at == n or levels[at].price != price:
        return n
    for i in range(at, n - 1):
        levels[i].price = levels[i + 1].price
        levels[i].size = levels[i + 1].size
    return n - 1


@kernel
def put_level(levels: Rows, n: int, sign: int, price: int, size: int) -> tuple[int, int]:
    """Set a level to a size above 0; the new count, and sign · price of a level lost to a full side (or NO_BOUND)."""
    at = find(levels, n, sign, price)
    if at < n and levels[at].price == price:
        levels[at].size = size
        return n, _NO_BOUND
    if n < len(levels):
        for i in range(n, at, -1):
            levels[i].price = levels[i - 1].price
            levels[i].size = levels[i - 1].size
        levels[at].price = price
        levels[at].size = size
        return n + 1, _NO_BOUND
    if at == 0:
        return n, sign * price
    lost = sign * levels[0].price
    for i in range(0, at - 1):
        levels[i].price = levels[i + 1].price
        levels[i].size = levels[i + 1].size
    levels[at - 1].price = price
    levels[at - 1].size = size
    return n, lost


@kernel
def drop_better(levels: Rows, n: int, sign: int, price: int, at_too: bool) -> int:
    """Drop every level better than `price` (and the one at it if `at_too`); the new count."""
    limit = sign * price
    while n > 0:
        key = sign * levels[n - 1].price
        if key < limit or (key == limit and not at_too):
            break
        n -= 1
    return n
