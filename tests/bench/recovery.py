"""A worker killed: how long until its book is live again, and whether it then is the right one.

The clock stops at the first publication that a dead worker cannot have made, live by the reader's own rule. Whether
books and trades are exact is what launch's judge says of the whole run, kills and all.
"""

import os
import select
import signal
import statistics
import time
from collections.abc import Iterator

from shm import Instrument

from .row import Promise, Row
from .running import running

RATE_ENTRIES_PER_S = 12_000.0
LIMIT_S = 20.0
PROMISED_S = Promise(1.0)
NOTHING = Promise(0.0)


def rows(quick: bool) -> Iterator[Row]:
    kills = 3 if quick else 18
    with running(RATE_ENTRIES_PER_S) as engine:
        engine.wait_until_live()
        symbols = engine.market.symbols
        times_s = [_recover_s(engine.market[symbols[n % len(symbols)]]) for n in range(kills)]
    totals = engine.summary["totals"]
    yield Row("recovery", f"killed to live again, of {kills}", statistics.median(times_s), "s", promise=PROMISED_S)
    yield Row("recovery", "the longest of them", max(times_s), "s", promise=PROMISED_S)
    yield Row("recovery", "wrong levels in that run", totals["wrong_levels"], "levels", promise=NOTHING)
    yield Row("recovery", "lost trades in that run", totals["lost_trades"], "trades", promise=NOTHING)
    yield Row("recovery", "compared levels in that run", totals["compared_levels"], "levels")


def _recover_s(instrument: Instrument) -> float:
    """Kill the worker; seconds until its successor has published a live book."""
    process = os.pidfd_open(instrument.status().pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        killed_s = time.monotonic()
        dead, _, _ = select.select([process], [], [], LIMIT_S)
        assert dead, "a killed worker lives"
    finally:
        os.close(process)
    last = instrument.status().published
    while time.monotonic() - killed_s < LIMIT_S:
        instrument.wait(0.01)
        status = instrument.status()
        if status.live and status.published > last:
            return time.monotonic() - killed_s
    raise AssertionError(f"{instrument.symbol} did not come back within {LIMIT_S} s")
