"""What is promised: 100,000 depth entries a second over six instruments, and not one wrong, lost or dropped."""

from pathlib import Path

from shm import Market
from tests.system.running import is_exact, running, wait_live
from tests.waiting import wait_for

RATE_ENTRIES_PER_S = 100_000
SECONDS = 4
MIN_SAMPLES_A_SECOND = 50
MIN_FAST_SHARE = 0.999  # of the records that the kernel decodes by itself


def test_full_rate_nothing_wrong_lost_or_dropped(left_nothing: Path, engine_name: str) -> None:
    with running(engine_name, "--rate", str(RATE_ENTRIES_PER_S)) as engine, engine.attach() as market:
        wait_live(market)
        symbols = list(market.symbols)
        assert len(symbols) == 6
        wanted = _entries(market) + RATE_ENTRIES_PER_S * SECONDS
        wait_for(
            lambda: _entries(market) >= wanted, 60, f"{RATE_ENTRIES_PER_S * SECONDS:,} further entries are applied"
        )
        statuses = [market[symbol].status() for symbol in symbols]
        summary = engine.stop()
    assert engine.status == 0, engine.errors
    assert engine.errors == ""
    assert is_exact(summary), summary
    rows, totals = summary["instruments"], summary["totals"]
    assert [row["symbol"] for row in rows] == symbols
    assert len({row["pid"] for row in rows}) == 6
    assert all(row["dropped"] == row["refused"] == row["resyncs"] == 0 for row in rows), rows
    assert all(row["compared_levels"] > row["compared_samples"] for row in rows), rows
    assert all(row["trades"] > 0 for row in rows), rows
    assert all(row["compared_samples"] >= MIN_SAMPLES_A_SECOND * totals["seconds"] for row in rows), summary
    # The sender keeps an open-loop schedule: less than this was a machine that could not even send it.
    assert totals["offered_entries_per_s"] >= 0.95 * RATE_ENTRIES_PER_S, totals
    fast = sum(status.fast_records for status in statuses)
    slow = sum(status.slow_records for status in statuses)
    print(f"decoded by the kernel: {fast / (fast + slow):.4%} of {fast + slow:,} records")
    for status in statuses:
        assert status.fast_records >= MIN_FAST_SHARE * (status.fast_records + status.slow_records), status
        assert status.fast_records + status.slow_records >= status.applied - status.quarantined, status


def _entries(market: Market) -> int:
    """Depth entries that the workers have applied."""
    return sum(market[symbol].status().depth_entries for symbol in market.symbols)
