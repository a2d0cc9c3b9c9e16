"""An engine to which things are done: what its books say meanwhile, state by state, and what it counts."""

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.simulator.judge import Judge
from engine.simulator.truth import ContractTruth, Truth
from engine.simulator_control import ask
from shm import Market, Status, layout
from shm.layout import REASON_TEXT, Kind, Reason
from shm.registry import generation_folder
from shm.segment import attach as attach_segment
from tests.conftest import ORPHAN_LIMIT_S, processes_of
from tests.system.running import Running, all_live, is_exact, running, wait_live
from tests.waiting import wait_for

LOOK_EVERY_S = 0.0005
NEWEST_EVENTS = 64  # looked at each time
BACK_LIMIT_S = 30.0
COMPARED = 20  # looks at every book, after each fault
SILENCE_MS = 2000
FEED = f"""
[feed]
ping_interval_ms = 1000
socket_silence_ms = {SILENCE_MS}
resync_timeout_ms = 700
backoff_first_ms = 200
backoff_max_ms = 400
"""


class Going(NamedTuple):
    """A running engine on its simulator, and a judge that has looked on since it was live."""

    engine: Running
    market: Market
    judge: Judge


@contextmanager
def staged(symbols: Sequence[str], rate_entries_per_s: int, ring_mib: int) -> Iterator[Going]:
    """An engine with limits of tenths of a second, in shared memory of its own. Its whole run has to be exact."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="shardbook-test-", dir="/dev/shm") as root,
        tempfile.TemporaryDirectory(prefix="shardbook-test-") as folder,
    ):
        patch.setenv("SHARDBOOK_SHM", root)
        (Path(folder) / "feed.toml").write_text(FEED)
        (Path(folder) / "symbols").mkdir()
        for symbol in symbols:
            text = f"ring_mib = {ring_mib}\nmax_silence_ms = {SILENCE_MS}\n"
            (Path(folder) / "symbols" / f"{symbol}.toml").write_text(text)
        options = ("--rate", str(rate_entries_per_s), "--config", f"{folder}/feed.toml")
        with (
            running("test-staged", *options, "--symbols-dir", f"{folder}/symbols") as engine,
            engine.attach() as market,
        ):
            wait_live(market)
            truth_folder = engine.registry.truth_folder
            assert truth_folder is not None
            yield Going(engine, market, Judge(market, truth_folder))
            summary = engine.stop()
        assert is_exact(summary), summary
        wait_for(lambda: not processes_of(Path(root)), ORPHAN_LIMIT_S, "the end of every process")


class Watch(threading.Thread):
    """Looks at the status of every instrument all the time. `seen`: by symbol, states and reasons, each change once;
    `gaps`: the reason of each new gap, or wait for a snapshot."""

    def __init__(self, market: Market) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, list[tuple[str, str]]] = {symbol: [] for symbol in market.symbols}
        self.gaps: dict[str, list[str]] = {symbol: [] for symbol in market.symbols}
        self._market = market
        self._ended = threading.Event()
        self._events = market.events()
        self._known = {(event.symbol, event.sequence) for event in self._events.last(NEWEST_EVENTS)}

    def run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            for symbol in self.seen:
                status = self._market[symbol].status()
                said = (status.state, status.reason)
                if self.seen[symbol][-1:] != [said]:
                    self.seen[symbol].append(said)
            for event in self._events.last(NEWEST_EVENTS):
                if event.kind in ("gap", "resync") and (event.symbol, event.sequence) not in self._known:
                    self._known.add((event.symbol, event.sequence))
                    self.gaps[event.symbol].append(event.reason)

    def end(self) -> None:
        self._ended.set()
        self.join(10)
        assert not self.is_alive()

    def said(self, symbol: str, *reasons: Reason) -> bool:
        """Whether one of these was the reason of a state, or of a gap."""
        texts = {REASON_TEXT[reason] for reason in reasons}
        return not texts.isdisjoint(self.gaps[symbol]) or any(text in texts for _, text in self.seen[symbol])


class Stage:
    """A going engine, for one thing that is done to it: what it does, what was seen, what was counted since.

    Entered, it waits until all is live, and begins to watch."""

    def __init__(self, going: Going) -> None:
        self.engine, self.market, self.judge = going
        wait_for(lambda: all_live(self.market), BACK_LIMIT_S, "every book is live before the fault")
        self.watch = Watch(self.market)
        self._page = self.page()
        self._before = self.statuses()
        self._wrong = self._judged()

    def __enter__(self) -> "Stage":
        self.watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.watch.end()

    @property
    def url(self) -> str:
        url = self.engine.registry.simulator_url
        assert url is not None
        return url

    def fault(self, kind: str, **keys: Any) -> dict[str, Any]:
        return ask(self.url, "fault", kind=kind, **keys)

    def simulator(self) -> dict[str, Any]:
        return ask(self.url, "status")

    def truth(self, symbol: str) -> ContractTruth:
        folder = self.engine.registry.truth_folder
        assert folder is not None
        return Truth.open(folder).of_symbol(symbol)

    def statuses(self) -> dict[str, Status]:
        return {symbol: self.market[symbol].status() for symbol in self.market.symbols}

    def page(self) -> dict[str, int]:
        """The engine's own counters."""
        registry = self.engine.registry
        segment = attach_segment(generation_folder(self.engine.folder, registry.generation) / "engine", Kind.ENGINE)
        words = segment.array("words")[:: layout.WORDS_A_LINE].tolist()
        segment.close()
        return dict(zip(layout.ENGINE_WORDS, words, strict=False))

    def counted(self, word: str) -> int:
        """How much a counter of the engine's page has grown since the fault."""
        return self.page()[word] - self._page[word]

    def grown(self, symbol: str, field: str) -> int:
        """The same for a counter of an instrument."""
        return int(getattr(self.market[symbol].status(), field) - getattr(self._before[symbol], field))

    def wait(self, condition: Callable[[], object], what: str) -> None:
        wait_for(condition, BACK_LIMIT_S, lambda: f"{what}: {self.watch.seen} {self.watch.gaps}")

    def wait_said(self, reason: Reason, symbols: Iterable[str]) -> None:
        self.wait(lambda: all(self.watch.said(symbol, reason) for symbol in symbols), f"{reason.name} is said")

    def wait_sent(self, symbol: str, records: int) -> None:
        """Until the simulator has sent so many more records of a contract."""
        goal = self.simulator()["contracts"][symbol]["records"] + records
        self.wait(lambda: self.simulator()["contracts"][symbol]["records"] >= goal, f"{symbol} goes on")

    def wait_applied(self, symbol: str, records: int) -> None:
        """Until so many more records of an instrument are in its book, and it is live."""
        goal = self.market[symbol].status().applied + records
        self.wait(
            lambda: (now := self.market[symbol].status()).live and now.applied >= goal, f"{symbol} goes on and is live"
        )

    def _judged(self) -> dict[str, tuple[int, int, int]]:
        """Wrong levels, wrong prints, lost prints; each is said once, by the test that did it."""
        self.judge.follow()
        counts = self.judge.counts
        return {symbol: (one.wrong_levels, one.wrong_trades, one.lost_trades) for symbol, one in counts.items()}

    def is_as_before(self) -> None:
        """Books are live and exact, no print is wrong or lost, each client is subscribed to everything once."""
        for symbol in self.market.symbols:
            self.wait_applied(symbol, 50)
        for _ in range(COMPARED):
            self.judge.sample()
            self.judge.follow()
        assert self._judged() == self._wrong, (
            f"wrong levels, wrong and lost prints {self.judge.counts} {self.watch.seen}"
        )
        once = {"depth": 1, "trades": 1, "quote": 1}
        assert self.simulator()["subscriptions"] == [dict.fromkeys(sorted(self.market.symbols), once)]
