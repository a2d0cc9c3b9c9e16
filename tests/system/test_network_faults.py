"""Seven kinds of network misery between the venue and the engine, again and again: each is seen, each is counted
once, and afterwards nothing is wrong, lost, doubled or left open.

    SHARDBOOK_RECONNECTS=50 scripts/test tests/system/test_network_faults.py
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from engine.observation import accounted
from engine.page import Page
from engine.simulator.flow import Ints
from engine.simulator.judge import Judge
from engine.simulator_control import ask
from shm import Market
from shm.layout import REASON_TEXT, Kind, Reason, State
from shm.registry import generation_folder
from shm.segment import attach as attach_segment
from tests.system.alone import LOGIN, simulator
from tests.system.proxy import Bandwidth, Latency, LimitedData, Proxy, Reset, Slicing, SlowClose, Timeout
from tests.system.running import Running, all_live, running, states, wait_live
from tests.waiting import wait_for

RECONNECTS = int(os.environ.get("SHARDBOOK_RECONNECTS", "14"))
SYMBOLS = ("ES", "MNQ")
LIMIT_S = 30.0
NEWEST_EVENTS = 256  # looked at each time
QUIET_LOOKS = 60  # at the same counts: then the sockets are empty too
SILENCE_MS = 800
LAG_MS = 400
LATENCY_S, JITTER_S = 0.15, 0.05
NARROW_BYTES_PER_S = 30_000  # a sixth of the flow
SLICES = 2000
TRADES = 20
RECORDS = 200

SETTINGS = """
[venue]
name = "projectx"
api_url = "{url}/api"
market_hub_url = "{url}/hubs/market"

[feed]
ping_interval_ms = 200
socket_silence_ms = {silence}
backoff_first_ms = 200
backoff_max_ms = 400
deflate = {deflate}
"""


class Watcher:
    """Looks at every book, tape and state through the public reader, each time that it is asked something."""

    def __init__(self, market: Market, truth_folder: Path) -> None:
        self.market = market
        self.judge = Judge(market, truth_folder)
        self.gaps: dict[str, list[tuple[int, str]]] = {symbol: [] for symbol in SYMBOLS}
        self.passed: dict[str, list[int]] = {symbol: [int(State.LIVE)] for symbol in SYMBOLS}
        self._quotes = {symbol: market[symbol].quotes() for symbol in SYMBOLS}
        self._events = market.events(SYMBOLS)
        self._known = {(event.symbol, event.sequence) for event in self._events.last(NEWEST_EVENTS)}

    def look(self) -> None:
        """Note what is new: every gap, and every change of state, of which a row of the quotes tells."""
        self.judge.sample()
        self.judge.follow()
        for event in self._events.last(NEWEST_EVENTS):
            if event.kind in ("gap", "resync") and (event.symbol, event.sequence) not in self._known:
                self._known.add((event.symbol, event.sequence))
                self.gaps[event.symbol].append((event.wall_ns, event.reason))
        for symbol in SYMBOLS:
            passed = self.passed[symbol]
            for state in self._quotes[symbol].read()["state"].tolist():
                if state != passed[-1]:
                    passed.append(state)
            assert self._quotes[symbol].lost == 0

    def until(self, condition: Callable[[], object], what: str) -> None:
        def looked() -> object:
            self.look()
            return condition()

        wait_for(looked, LIMIT_S, lambda: f"{what}: {states(self.market)}")

    def counted(self, reason: Reason) -> dict[str, int]:
        """How many gaps of a reason each instrument has said."""
        return {symbol: sum(said == REASON_TEXT[reason] for _, said in self.gaps[symbol]) for symbol in SYMBOLS}

    def resynced(self) -> dict[str, int]:
        """How often each instrument began to wait for a snapshot."""
        return {symbol: self.passed[symbol].count(int(State.SYNCING)) for symbol in SYMBOLS}


class Stage:
    """One engine behind one proxy, live. A misery leaves it live again."""

    def __init__(self, engine: Running, market: Market, proxy: Proxy, url: str, truth_folder: Path, seed: int) -> None:
        self.engine = engine
        self.market = market
        self.proxy = proxy
        self.url = url
        self.chance = random.Random(seed)
        self.is_second = False  # of two ways to do the same misery, each other time
        self.watcher = Watcher(market, truth_folder)
        registry = engine.registry
        self.engine_pid = registry.engine_pid
        segment = attach_segment(generation_folder(engine.folder, registry.generation) / "engine", Kind.ENGINE)
        self.page = Page(segment.array("words"))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.engine_pid}/fd"))

    def is_on(self) -> bool:
        """One connection through the proxy, one subscriber at the venue, and every book live."""
        return self.proxy.open_hubs == 1 and ask(self.url, "status")["clients"] == 1 and all_live(self.market)

    def until_trades(self) -> None:
        """Enough has come for something to be lost or doubled."""
        seen = {symbol: counts.prints.compared for symbol, counts in self.watcher.judge.counts.items()}
        self.watcher.until(
            lambda: all(
                counts.prints.compared >= seen[symbol] + TRADES for symbol, counts in self.watcher.judge.counts.items()
            ),
            "trades",
        )

    def until_reconnected(self, before: int) -> None:
        """The connection was ended, once, and there is another one."""
        wanted = dict.fromkeys(SYMBOLS, before + 1)
        self.watcher.until(lambda: self.watcher.resynced() == wanted, f"reconnection {before + 1}")
        assert self.proxy.injected == before + 1

    def ended_by(self, misery: Timeout | LimitedData) -> None:
        before = self.proxy.injected
        self.proxy.hit(misery)
        self.until_reconnected(before)

    def reset(self) -> None:
        self.ended_by(Reset(self.chance.randint(1, 20_000)))

    def limited_data(self) -> None:
        self.ended_by(LimitedData(self.chance.randint(1, 20_000)))

    def timeout(self) -> None:
        """The engine has to notice by itself, or is told before it would: both are one gap."""
        self.ended_by(Timeout(SILENCE_MS / 4000 if self.is_second else None))

    def slow_close(self) -> None:
        """The venue is gone, and the end of the connection comes before or after the silence is long enough."""
        before = self.proxy.injected
        self.proxy.hit(SlowClose(SILENCE_MS / 4000 if self.is_second else SILENCE_MS / 250))
        ask(self.url, "end", record=False, code=None)
        self.until_reconnected(before)

    def latency(self) -> None:
        """Late, evenly: live all the same, and the status says how late."""
        self.proxy.strain(Latency(LATENCY_S, JITTER_S))
        least_ns = (LATENCY_S - JITTER_S) * 1e9
        self.watcher.until(
            lambda: all(self.market[symbol].status().lag_ns >= least_ns for symbol in SYMBOLS), "the lag is shown"
        )
        self.cut_under_strain(live=True)

    def slicing(self) -> None:
        """In pieces of a few bytes: nothing is to be seen of it."""
        self.proxy.strain(Slicing(200))
        before, refused = self.proxy.slices, self.page.read("refused_frames")
        self.watcher.until(lambda: self.proxy.slices >= before + SLICES, "much has come in pieces")
        self.cut_under_strain(live=True)
        assert self.page.read("refused_frames") == refused

    def bandwidth(self) -> None:
        """Later and later: every book says that it is behind the venue, and none is live meanwhile."""
        self.proxy.strain(Bandwidth(NARROW_BYTES_PER_S))
        lagging = REASON_TEXT[Reason.VENUE_LAG]
        self.watcher.until(
            lambda: all(self.market[symbol].status().reason == lagging for symbol in SYMBOLS), "all say they lag"
        )
        self.cut_under_strain(live=False)

    def cut_under_strain(self, *, live: bool) -> None:
        """No gap by the strain itself; one by the cut, and the way back leads through the strain."""
        before = self.proxy.injected
        self.watcher.look()
        assert self.watcher.resynced() == dict.fromkeys(SYMBOLS, before)
        self.proxy.cut()
        self.until_reconnected(before)
        if live:
            self.watcher.until(lambda: all_live(self.market), "live through the strain")
        self.proxy.relax()


KINDS = (
    Stage.latency,
    Stage.bandwidth,
    Stage.slicing,
    Stage.slow_close,
    Stage.timeout,
    Stage.reset,
    Stage.limited_data,
)


@pytest.mark.timeout(120 + 20 * RECONNECTS)
@pytest.mark.parametrize(
    ("reconnects", "deflate"), [(RECONNECTS, False), (2, True)], ids=["as the venue does", "deflated"]
)
def test_network_faults_gaps_counted_are_gaps_injected(
    left_nothing: Path, engine_name: str, tmp_path: Path, seed: int, reconnects: int, deflate: bool
) -> None:
    symbol_files = tmp_path / "symbols"
    symbol_files.mkdir()
    for symbol in SYMBOLS:
        (symbol_files / f"{symbol}.toml").write_text(f"max_venue_lag_ms = {LAG_MS}\n")
    truth_folder = tmp_path / "truth"
    kinds = KINDS[-2:] if deflate else KINDS  # those that end in the middle of a frame
    with simulator(truth_folder, SYMBOLS, deflate=deflate) as url, Proxy(int(url.rpartition(":")[2]), seed) as proxy:
        config = tmp_path / "engine.toml"
        config.write_text(SETTINGS.format(url=proxy.url, silence=SILENCE_MS, deflate=str(deflate).lower()))
        arguments = ("--config", str(config), "--symbols-dir", str(symbol_files))
        with running(engine_name, *arguments, data=tmp_path / "data", **LOGIN) as engine, engine.attach() as market:
            wait_live(market)
            stage = Stage(engine, market, proxy, url, truth_folder, seed)
            watcher = stage.watcher
            watcher.until(stage.is_on, "one connection")
            assert proxy.agreed_to_deflate == deflate
            open_before = stage.descriptors()
            for number in range(reconnects):
                kind, connects = kinds[number % len(kinds)], stage.page.read("connects")
                stage.is_second = number // len(kinds) % 2 == 1
                kind(stage)
                watcher.until(stage.is_on, f"live again after {kind.__name__}")
                stage.until_trades()
                assert stage.page.read("connects") == connects + 1
            watcher.until(lambda: stage.descriptors() <= open_before, f"at most {open_before} descriptors are open")
            with kept_awake(url):
                sees_each_record_once(stage)
                watcher.judge.finish()
                watcher.look()
                print(watcher.judge.counts)
                assert proxy.injected == reconnects
                wanted = dict.fromkeys(SYMBOLS, reconnects)
                assert watcher.counted(Reason.DISCONNECTED) == wanted
                assert watcher.counted(Reason.RECONNECTED) == wanted
                assert watcher.resynced() == wanted
                paused = watcher.counted(Reason.ENGINE_PAUSED)  # by a machine that is too busy, and by nothing here
                for symbol in SYMBOLS:
                    status = market[symbol].status()
                    assert len(watcher.gaps[symbol]) == 2 * reconnects + paused[symbol], watcher.gaps[symbol]
                    assert (status.dropped, status.refused, status.resyncs, status.restarts) == (0, 0, 0, 0), status
                assert stage.page.read("refused_frames") == stage.page.read("resubscribes") == 0
            assert engine.registry.engine_pid == stage.engine_pid
            engine.stop()
    assert engine.status == 0, engine.errors
    for symbol, counts in watcher.judge.counts.items():
        assert counts.compared_samples > 0, symbol
        assert (counts.wrong_levels, counts.wrong_trades, counts.lost_trades, counts.unfinished) == (0, 0, 0, 0), symbol


@contextmanager
def kept_awake(url: str) -> Iterator[None]:
    """A venue that waits says something all the time: on a busy machine we may wait longer than the engine would."""
    over = threading.Event()

    def speak() -> None:
        while not over.wait(SILENCE_MS / 4000):
            ask(url, "fault", kind="unknown_target")

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        yield
    finally:
        over.set()
        speaker.join()


def sees_each_record_once(stage: Stage) -> None:
    """Of what the venue sends the engine gets every record, and no record twice: it is subscribed as in the beginning.

    Leaves the venue waiting, and everything applied that it has sent.
    """
    let_run_dry(stage)
    delivered, records = delivered_by(stage), sent_by(stage)
    ask(stage.url, "resume")
    stage.watcher.until(lambda: min(sent_by(stage) - records) >= RECORDS, "more records")
    let_run_dry(stage)
    assert (delivered_by(stage) - delivered).tolist() == (sent_by(stage) - records).tolist()


def delivered_by(stage: Stage) -> Ints:
    return np.array([stage.market[symbol].status().delivered for symbol in SYMBOLS])


def sent_by(stage: Stage) -> Ints:
    contracts = ask(stage.url, "status")["contracts"]
    return np.array([contracts[symbol]["records"] for symbol in SYMBOLS])


def let_run_dry(stage: Stage) -> None:
    """Have the venue wait until everything that it sent has been applied."""
    assert ask(stage.url, "pause")["paused"]
    seen: list[list[int]] = []

    def quiet() -> bool:
        now = delivered_by(stage).tolist()
        if seen and seen[-1] != now:
            seen.clear()
        seen.append(now)
        return len(seen) > QUIET_LOOKS and accounted([stage.market[symbol].status() for symbol in SYMBOLS])

    stage.watcher.until(quiet, "all that was sent has arrived")
