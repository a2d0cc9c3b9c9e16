"""The venue's bars in our units: integers for integers."""

from shm.layout import Rows
from shm.values import POWERS, Scale


def in_units_of(rows: Rows, scale: Scale, price_scale: int, price_increment: int) -> Rows | None:
    """The venue's bars, whose prices are in ticks of the contract's increment and volumes in whole contracts, in
    ours. None if a tick is not the same."""
    if price_increment * POWERS[scale.price_scale] != scale.price_increment * 10**price_scale:
        return None
    made = rows.copy()
    made["volume"] = rows["volume"] * POWERS[scale.size_scale] // scale.size_increment
    return made
