"""A strategy's skeleton: two instruments that move together. It reads both quotes and sends nothing anywhere.

    python docs/examples/pair.py MNQ MES

One wait on both. The ratio of their mids is compared with its own slow average; both must be live at the same time,
and the cost of crossing both spreads is taken off before anything is said.
"""

import math
import sys

from shm import Quote, Stale, attach

WEIGHT = 0.001  # of a new ratio in the average
WARM_UP = 500  # ratios until the average means anything


class Ratio:
    """The ratio of two mids, and its exponential average."""

    def __init__(self) -> None:
        self._average = math.nan
        self._seen = 0

    def decide(self, left: Quote, right: Quote) -> str:
        """ "left is dear", "left is cheap" or "fair"; nan, from a side that is empty, is fair and not counted."""
        ratio = left.mid / right.mid
        if math.isnan(ratio):
            return "fair"
        self._average = ratio if self._seen == 0 else self._average + WEIGHT * (ratio - self._average)
        self._seen += 1
        apart = ratio / self._average - 1
        cost = left.spread / left.mid + right.spread / right.mid
        if self._seen < WARM_UP or abs(apart) <= cost:
            return "fair"
        return "left is dear" if apart > 0 else "left is cheap"


def main(left: str, right: str, timeout_s: float | None = None) -> None:
    """Print every change of mind, until neither changes for `timeout_s`."""
    ratio = Ratio()
    said = ""
    with attach() as market:
        for _ in market.watch([left, right], timeout_s=timeout_s):
            try:
                says = ratio.decide(market[left].quote(), market[right].quote())
            except Stale as stale:
                says = f"no decision: {stale}"
            if says != said:
                said = says
                print(f"{left}/{right} {says}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3] if len(sys.argv) > 2 else ("MNQ", "MES"))
