"""A feed that falls behind the venue's clock is stale although messages come all the time; caught up, it is live."""

from pathlib import Path

from engine.page import Page
from engine.simulator.judge import Judge
from shm.layout import REASON_TEXT, Kind, Reason
from shm.registry import generation_folder
from shm.segment import attach as attach_segment
from tests.system.behind_proxy import behind_proxy
from tests.system.proxy import Link, Misery
from tests.waiting import wait_for

SYMBOLS = ("ES", "GC", "MNQ")
LIMIT_S = 40.0
BEHIND_PER_S = 0.4  # of each second that passes, so much is added to what the engine is behind


class FallingBehind(Misery):
    """What comes is kept ever longer, as a receiver does that takes less than is sent."""

    def __init__(self) -> None:
        self._began_s: float | None = None

    async def carry(self, link: Link, data: bytes, came_s: float) -> None:
        if self._began_s is None:
            self._began_s = came_s
        await link.pause(came_s + BEHIND_PER_S * (came_s - self._began_s) - link.now_s(), self)
        await link.give(data)


def test_a_feed_that_falls_behind_the_venues_clock_says_so_until_it_has_caught_up(
    left_nothing: Path, engine_name: str, tmp_path: Path, seed: int
) -> None:
    with behind_proxy(engine_name, tmp_path, SYMBOLS, seed) as (engine, market, proxy, _, truth):
        judge = Judge(market, truth)
        passed: dict[str, list[str]] = {symbol: [] for symbol in SYMBOLS}
        lags_ns = dict.fromkeys(SYMBOLS, 0)

        def look() -> None:
            judge.sample()
            for symbol in SYMBOLS:
                status = market[symbol].status()
                said = "live" if status.live else f"{status.state}: {status.reason}"
                if said not in passed[symbol][-1:]:
                    passed[symbol].append(said)
                if status.live:
                    lags_ns[symbol] = max(lags_ns[symbol], status.lag_ns)

        def all_late() -> bool:
            look()
            return all(market[symbol].status().reason == REASON_TEXT[Reason.VENUE_LAG] for symbol in SYMBOLS)

        def all_on_time() -> bool:
            look()
            return all(said[-1] == "live" for said in passed.values())

        look()
        delivered = {symbol: market[symbol].status().delivered for symbol in SYMBOLS}
        proxy.hit(FallingBehind())
        wait_for(all_late, LIMIT_S, lambda: f"every book is behind the venue's clock: {passed}")
        assert all(market[symbol].status().delivered > delivered[symbol] for symbol in SYMBOLS)
        proxy.hit(Misery())
        wait_for(all_on_time, LIMIT_S, lambda: f"every book has caught up: {passed}")
        segment = attach_segment(generation_folder(engine.folder, engine.registry.generation) / "engine", Kind.ENGINE)
        page = Page(segment.array("words"))
        assert (page.read("connects"), page.read("resubscribes"), page.read("freezes")) == (1, 0, 0)
        summary = engine.stop()
    print("most that a live book was behind, in ms:", {symbol: ns // 1_000_000 for symbol, ns in lags_ns.items()})
    late = f"stale: {REASON_TEXT[Reason.VENUE_LAG]}"
    for symbol, said in passed.items():
        assert said[:2] == ["live", late], (symbol, said)
        assert said[-1] == "live"
        assert set(said) == {"live", late}
        assert judge.counts[symbol].wrong_levels == 0
        assert judge.counts[symbol].compared_samples > 0
    rows = {row["symbol"]: row for row in summary["instruments"]}
    assert all((row["dropped"], row["resyncs"], row["state"]) == (0, 0, "live") for row in rows.values()), rows
