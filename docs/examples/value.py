"""A strategy's skeleton: is the price inside the value area? It reads one instrument's tape and sends nothing anywhere.

    python docs/examples/value.py MNQ

The area is that of all trades since it was started, one lazy query (docs/indicators.md). It is kept in a cache of
frames and made anew once in REFRESH_TRADES trades; the newest price is compared with it at every publication. A tape
that was read too slowly has a hole, so what came before it is forgotten.
"""

import sys
from functools import partial

import polars as pl

from shm import Tape, attach
from shm.frame_cache import FrameCache
from shm.indicators import Frames

REFRESH_TRADES = 500
CACHE_BYTES = 1 << 20


def value(trades: pl.DataFrame, tick_size: float) -> pl.DataFrame:
    """Point of control and value area of all these trades: one row, or none."""
    return Frames(Frames(trades.lazy()).volume_profile(tick_size)).value_area().collect()


def decide(area: pl.DataFrame, price: float) -> str:
    """ "above value", "below value" or "in value"; of no trade "nothing yet"."""
    if area.is_empty():
        return "nothing yet"
    row = area.row(0, named=True)
    if price > row["high"]:
        return "above value"
    return "below value" if price < row["low"] else "in value"


def main(symbol: str, timeout_s: float | None = None) -> None:
    """Print every change of mind, until nothing is published for `timeout_s`."""
    said = ""
    cache = FrameCache(CACHE_BYTES)
    with attach() as market:
        instrument = market[symbol]
        tape = instrument.tape()
        trades = _frame(tape)
        lost = tape.lost
        for _ in market.watch([symbol], timeout_s=timeout_s):
            new = _frame(tape)
            if tape.lost != lost:
                lost, trades = tape.lost, new
            else:
                trades.extend(new)
            if new.is_empty():
                continue
            key = f"{symbol} value, {lost} lost, {trades.height // REFRESH_TRADES}"
            area = cache.fetch(key, partial(value, trades, instrument.tick_size))
            says = decide(area, new.item(-1, "price"))
            if says != said:
                said = says
                print(f"{symbol} {says}, {cache.hit_rate:.0%} of the areas kept", flush=True)


def _frame(tape: Tape) -> pl.DataFrame:
    """The trades that came since the last look."""
    return pl.DataFrame(tape.read()).select("price", "size", "side")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "MNQ")
