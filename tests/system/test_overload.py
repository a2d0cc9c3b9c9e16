"""More than the machine can take: what is late or dropped says so, comes back, and is never wrong while live."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.simulator.judge import Judge
from engine.simulator_control import ask
from shm import Market, layout
from shm.layout import REASON_TEXT, Kind, Reason
from shm.registry import generation_folder
from shm.segment import attach as attach_segment
from tests.system.hogs import crowded
from tests.system.running import Running, is_exact, running, wait_live
from tests.waiting import wait_for

RATE_ENTRIES_PER_S = 200_000
HOGS = 16
STOPS = 4
QUIET_LOOKS = 60  # at the same counts: then the sockets are empty too
LATE_TEXTS = {
    REASON_TEXT[reason]
    for reason in (Reason.VENUE_LAG, Reason.ENGINE_PAUSED, Reason.DISCONNECTED, Reason.RECONNECTED, Reason.DROPPED)
}


@pytest.fixture
def small_rings(tmp_path: Path) -> Path:
    """Symbol files of three instruments whose rings are full after a fraction of a second."""
    folder = tmp_path / "symbols"
    folder.mkdir()
    for symbol in ("ES", "MES", "MNQ"):
        (folder / f"{symbol}.toml").write_text("ring_mib = 1\n")
    return folder


def test_engine_without_enough_processor_time_is_late_and_says_so(left_nothing: Path, engine_name: str) -> None:
    with running(engine_name, "--rate", str(RATE_ENTRIES_PER_S)) as engine, engine.attach() as market:
        wait_live(market)
        judge = Judge(market, _truth(engine))
        late: dict[str, set[str]] = {symbol: set() for symbol in market.symbols}

        def all_were_late() -> bool:
            judge.sample()
            judge.follow()
            for symbol in market.symbols:
                status = market[symbol].status()
                if not status.live and status.reason in LATE_TEXTS:
                    late[symbol].add(status.reason)
            return all(late.values())

        with crowded(engine.registry.engine_pid, HOGS):
            wait_for(all_were_late, 40, lambda: f"every book said that it is late: {late}")
        print({symbol: sorted(reasons) for symbol, reasons in late.items()})
        wait_for(_looking(judge, lambda: _are_live(market)), 30, "the load has fallen and all are live again")
        _let_run_dry(engine, market)
        judge.finish()
        summary = engine.stop()
    for symbol, counts in judge.counts.items():
        assert counts.compared_samples > 0, symbol
        assert (counts.wrong_levels, counts.wrong_trades, counts.lost_trades, counts.unfinished) == (0, 0, 0, 0), symbol
    # Whether launch itself had the time to look often enough is not asked here: its exit status is.
    assert is_exact(summary), summary


def test_rings_that_are_full_drop_count_and_are_resynced(
    left_nothing: Path, engine_name: str, small_rings: Path
) -> None:
    """One worker is stopped again and again until its ring has overflown; the two beside it notice nothing."""
    rate = ("--rate", str(RATE_ENTRIES_PER_S // 2))
    with running(engine_name, *rate, "--symbols-dir", str(small_rings)) as engine, engine.attach() as market:
        wait_live(market)
        judge = Judge(market, _truth(engine))
        pid = engine.worker_pid("MNQ")
        for _ in range(STOPS):
            before = market["MNQ"].status()
            dropped = _dropped(engine, "MNQ")

            def has_overflown(seen: int = dropped) -> bool:
                return _dropped(engine, "MNQ") > seen + 100

            os.kill(pid, signal.SIGSTOP)
            try:
                wait_for(_looking(judge, has_overflown), 20, "the ring of a stopped worker is full")
            finally:
                os.kill(pid, signal.SIGCONT)

            def is_back(resyncs: int = before.resyncs) -> bool:
                after = market["MNQ"].status()
                return after.live and after.resyncs > resyncs

            wait_for(_looking(judge, is_back), 30, "the worker that goes on is live by a resync")
            gap = market["MNQ"].status().last_gap
            assert gap is not None
        _let_run_dry(engine, market)
        judge.finish()
        statuses = {symbol: market[symbol].status() for symbol in market.symbols}
        summary = engine.stop()
    for symbol, counts in judge.counts.items():
        assert (counts.wrong_levels, counts.wrong_trades, counts.unfinished) == (0, 0, 0), symbol
        assert counts.compared_samples > 0, symbol
    assert statuses["MNQ"].dropped > 100 * STOPS
    assert statuses["MNQ"].resyncs >= STOPS
    assert statuses["MNQ"].pid == pid
    for symbol in ("ES", "MES"):
        assert (statuses[symbol].dropped, statuses[symbol].resyncs) == (0, 0), statuses[symbol]
        assert judge.counts[symbol].lost_trades == 0
    for row in summary["instruments"]:
        assert row["wrong_levels"] == 0
        assert row["state"] == "live"
        assert row["dropped"] == statuses[row["symbol"]].dropped
        assert row["records"] == row["applied"] + row["refused"] + row["dropped"], row


def _truth(engine: Running) -> str:
    folder = engine.registry.truth_folder
    assert folder is not None
    return folder


def _looking(judge: Judge, condition: Callable[[], bool]) -> Callable[[], bool]:
    """The condition, with a look at every book and tape each time it is asked for."""

    def look() -> bool:
        judge.sample()
        judge.follow()
        return condition()

    return look


def _are_live(market: Market) -> bool:
    return all(market[symbol].status().live for symbol in market.symbols)


def _dropped(engine: Running, symbol: str) -> int:
    """What the engine has counted as dropped before the ring, whether or not a worker lives to say so."""
    path = generation_folder(engine.folder, engine.registry.generation) / f"{symbol}.ring"
    segment = attach_segment(path, Kind.RING, symbol=symbol)
    dropped = int(segment.array("words")[layout.DROPPED])
    segment.close()
    return dropped


def _let_run_dry(engine: Running, market: Market) -> None:
    """Stop the venue and wait until nothing comes any more and every delivered record is accounted for, exactly."""
    url = engine.registry.simulator_url
    assert url is not None
    assert ask(url, "pause")["paused"]
    seen: list[tuple[int, ...]] = []

    def is_dry() -> bool:
        statuses = [market[symbol].status() for symbol in market.symbols]
        owed = [one.delivered - one.applied - one.refused - one.dropped - one.quarantined for one in statuses]
        seen.append((*(one.delivered for one in statuses), *owed))
        return len(seen) > QUIET_LOOKS and len(set(seen[-QUIET_LOOKS:])) == 1 and not any(owed)

    wait_for(is_dry, 30, "the rings are dry and all that was delivered is accounted for")
