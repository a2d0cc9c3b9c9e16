"""A strategy's skeleton: which way does the book lean? It reads one instrument's book and sends nothing anywhere.

    python docs/examples/lean.py MNQ

The decision is a pure function of a book; what surrounds it waits for the next publication, and says once when the
book is not live and once when it is again. No decision is made on data that is not live.
"""

import sys

from shm import Book, Stale, attach
from shm.depth import depth_within, imbalance, microprice

LEVELS = 5
NEAR_TICKS = 10
LEANS = 0.3  # of the size at the first levels: below this a book leans neither way
LEAST_SIZE = 10.0  # with less than this near the best of a side, a lean says nothing


def decide(book: Book) -> str:
    """ "up", "down" or "flat"."""
    near = depth_within(book, NEAR_TICKS)
    if min(near.bid_size, near.ask_size) < LEAST_SIZE:
        return "flat"
    lean = imbalance(book, LEVELS)
    middle = (book.best_bid + book.best_ask) / 2
    if lean > LEANS and microprice(book) > middle:
        return "up"
    if lean < -LEANS and microprice(book) < middle:
        return "down"
    return "flat"


def main(symbol: str, timeout_s: float | None = None) -> None:
    """Print every change of mind, until nothing is published for `timeout_s`."""
    said = ""
    with attach() as market:
        instrument = market[symbol]
        for _ in market.watch([symbol], timeout_s=timeout_s):
            try:
                book = instrument.book()
            except Stale as stale:
                says = f"no decision: {stale.reason}"
            else:
                says = decide(book)
            if says != said:
                said = says
                print(f"{symbol} {says}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "MNQ")
