"""A venue that freezes with its socket open is noticed and cured; one that is quiet, for however long, stays live."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.page import Page
from engine.simulator_control import ask
from shm import Market
from shm.layout import REASON_TEXT, Kind, Reason
from shm.registry import generation_folder
from shm.segment import attach as attach_segment
from tests.system.behind_proxy import behind_proxy
from tests.system.proxy import Timeout
from tests.system.running import Running, all_live, is_exact, running, wait_live
from tests.waiting import wait_for

SYMBOLS = ("ES", "GC", "MNQ")
ASKED = ("--symbols", ",".join(SYMBOLS), "--rate", "3000")
SPOKEN = 300  # messages: then an instrument's rhythm is known
MAX_SILENCE_MS = 6000
LIMIT_S = 40.0


class Stage:
    """A live engine, its simulator, and all that its books have said since the scene began."""

    def __init__(self, engine: Running, market: Market, url: str) -> None:
        registry = engine.registry
        self.url = url
        self.market = market
        self.passed: dict[str, list[str]] = {symbol: [] for symbol in SYMBOLS}
        segment = attach_segment(generation_folder(engine.folder, registry.generation) / "engine", Kind.ENGINE)
        self.page = Page(segment.array("words"))

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait, and meanwhile note each new state of each book."""

        def looked() -> object:
            for symbol, passed in self.passed.items():
                status = self.market[symbol].status()
                said = "live" if status.live else f"{status.state}: {status.reason}"
                if said not in passed[-1:]:
                    passed.append(said)
            return condition()

        wait_for(looked, LIMIT_S, lambda: f"{what}: {self.passed}")

    def delivered(self, symbol: str) -> int:
        return self.market[symbol].status().delivered

    def until_known(self, *symbols: str) -> None:
        seen = {symbol: self.delivered(symbol) for symbol in symbols}
        self.until(
            lambda: all(self.delivered(symbol) >= seen[symbol] + SPOKEN for symbol in symbols), "the rhythms are known"
        )


@contextmanager
def staged(name: str, *arguments: str) -> Iterator[tuple[Running, Stage]]:
    with running(name, *ASKED, *arguments) as engine, engine.attach() as market:
        wait_live(market)
        url = engine.registry.simulator_url
        assert url is not None
        yield engine, Stage(engine, market, url)


@pytest.fixture
def impatient(tmp_path: Path) -> Path:
    """Symbol files with a limit of silence that these tests outlast."""
    for symbol in SYMBOLS:
        (tmp_path / f"{symbol}.toml").write_text(f"max_silence_ms = {MAX_SILENCE_MS}\n")
    return tmp_path


def stale(reason: Reason) -> str:
    return f"stale: {REASON_TEXT[reason]}"


def syncing(reason: Reason) -> str:
    return f"syncing: {REASON_TEXT[reason]}"


def test_one_that_freezes_among_busy_ones_is_subscribed_again(left_nothing: Path, engine_name: str) -> None:
    """The simulator's freeze outlasts a new subscription: so the socket is given up when no snapshot comes."""
    with staged(engine_name) as (engine, stage):
        stage.until_known(*SYMBOLS)
        ask(stage.url, "fault", kind="freeze", symbol="MNQ")
        frozen_s = time.monotonic()
        stage.until(lambda: not stage.market["MNQ"].status().live, "the frozen one is not live")
        print(f"one instrument frozen: live with old data for {time.monotonic() - frozen_s:.2f} s")
        assert stage.page.read("freezes") == 1
        assert all(stage.passed[symbol] == ["live"] for symbol in ("ES", "GC"))
        stage.until(lambda: stage.page.read("connects") == 2 and all_live(stage.market), "all are live again")
        stage.until_known(*SYMBOLS)
        assert stage.page.read("freezes") == 1
        assert all_live(stage.market)
        summary = engine.stop()
    passed = stage.passed["MNQ"]
    assert passed[:2] == ["live", syncing(Reason.RESYNC)], passed
    assert passed[-1] == "live"
    assert {row["wrong_levels"] for row in summary["instruments"]} == {0}
    assert {row["state"] for row in summary["instruments"]} == {"live"}


def test_all_that_freeze_with_the_socket_open_get_a_new_one(left_nothing: Path, engine_name: str) -> None:
    with staged(engine_name) as (engine, stage):
        stage.until_known(*SYMBOLS)
        ask(stage.url, "fault", kind="freeze")
        frozen_s = time.monotonic()
        stage.until(lambda: not any(stage.market[symbol].status().live for symbol in SYMBOLS), "no book is live")
        print(f"all instruments frozen: live with old data for {time.monotonic() - frozen_s:.2f} s")
        stage.until(lambda: all_live(stage.market), "all are live again")
        stage.until_known(*SYMBOLS)
        assert (stage.page.read("freezes"), stage.page.read("connects")) == (1, 2)
        summary = engine.stop()
    for symbol in SYMBOLS:
        passed = stage.passed[symbol]
        assert passed[:2] == ["live", stale(Reason.SILENCE)], passed
        assert set(passed[2:]) <= {syncing(Reason.RECONNECTED), "live"}
        assert passed[-1] == "live"
    assert {row["wrong_levels"] for row in summary["instruments"]} == {0}


def test_a_quiet_one_among_busy_ones_stays_live_beyond_its_limit(
    left_nothing: Path, engine_name: str, impatient: Path
) -> None:
    with staged(engine_name, "--quiet", "GC", "--symbols-dir", str(impatient)) as (engine, stage):
        quiet_since: list[float] = []
        last = [-1]

        def outlasted() -> bool:
            delivered = stage.delivered("GC")
            if delivered != last[0]:
                last[0] = delivered
                quiet_since[:] = [time.monotonic()]
            return time.monotonic() - quiet_since[0] > 1.5 * MAX_SILENCE_MS / 1000

        stage.until(outlasted, "it was quiet for longer than its limit")
        assert stage.page.read("probes") >= 2
        assert (stage.page.read("freezes"), stage.page.read("connects"), stage.page.read("resubscribes")) == (0, 1, 0)
        summary = engine.stop()
    assert set(map(tuple, stage.passed.values())) == {("live",)}
    assert is_exact(summary), summary
    assert {row["resyncs"] for row in summary["instruments"]} == {0}


def test_a_whole_venue_that_falls_quiet_stays_live(left_nothing: Path, engine_name: str, impatient: Path) -> None:
    """From busy to nothing at once, as at the end of a session; and from nothing to busy."""
    with staged(engine_name, "--symbols-dir", str(impatient)) as (engine, stage):
        stage.until_known(*SYMBOLS)
        assert ask(stage.url, "pause")["paused"]
        paused_s = time.monotonic()
        stage.until(lambda: time.monotonic() - paused_s > 2 * MAX_SILENCE_MS / 1000, "all outlast their limit")
        assert stage.page.read("probes") >= 2 * len(SYMBOLS)
        assert not ask(stage.url, "resume")["paused"]
        stage.until_known(*SYMBOLS)
        assert (stage.page.read("freezes"), stage.page.read("connects"), stage.page.read("resubscribes")) == (0, 1, 0)
        summary = engine.stop()
    assert set(map(tuple, stage.passed.values())) == {("live",)}
    assert is_exact(summary), summary
    assert {row["resyncs"] for row in summary["instruments"]} == {0}


def test_a_way_to_the_venue_that_is_cut_without_a_word_is_noticed(
    left_nothing: Path, engine_name: str, tmp_path: Path, seed: int
) -> None:
    """No byte comes any more, of the hub or of REST, and every connection stays open."""
    with behind_proxy(engine_name, tmp_path, SYMBOLS, seed) as (engine, market, proxy, url, _):
        stage = Stage(engine, market, url)
        stage.until_known(*SYMBOLS)
        proxy.strain(Timeout(None))
        cut_s = time.monotonic()
        stage.until(lambda: not any(market[symbol].status().live for symbol in SYMBOLS), "no book is live")
        print(f"the way is cut: live with old data for {time.monotonic() - cut_s:.2f} s")
        assert stage.page.read("freezes") == 1
        proxy.relax()
        stage.until(lambda: all_live(market), "all are live again")
        engine.stop()
    for passed in stage.passed.values():
        assert passed[:2] == ["live", stale(Reason.SILENCE)], passed
        assert passed[-1] == "live"
