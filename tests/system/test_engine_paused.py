"""The engine stopped for a while, its socket alive: stale, then live again without a snapshot, once it caught up."""

import os
import signal
from pathlib import Path

from shm.layout import REASON_TEXT, Reason
from tests.system.running import running, wait_live
from tests.waiting import wait_for


def test_engine_paused_says_so_and_catches_up(left_nothing: Path, engine_name: str) -> None:
    with running(engine_name, "--rate", "20000") as engine, engine.attach() as market:
        wait_live(market)
        reasons: set[str] = set()
        pid = engine.registry.engine_pid
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_for(lambda: not any(market[s].status().live for s in market.symbols), 5, "every book reads stale")
        finally:
            os.kill(pid, signal.SIGCONT)

        def caught_up() -> bool:
            statuses = [market[symbol].status() for symbol in market.symbols]
            reasons.update(status.last_gap.reason for status in statuses if status.last_gap)
            return all(status.live for status in statuses)

        wait_for(caught_up, 10, "live again")
        assert REASON_TEXT[Reason.ENGINE_PAUSED] in reasons
        assert engine.registry.engine_pid == pid
        summary = engine.stop()
    for row in summary["instruments"]:
        assert (row["wrong_levels"], row["lost_trades"], row["resyncs"], row["dropped"]) == (0, 0, 0, 0), row
