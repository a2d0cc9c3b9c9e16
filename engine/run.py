"""One run of a started engine, from ready to stopped: looked at, judged, drained and counted."""

import math
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGINT, SIGTERM, signal
from typing import Any

from shm import attach

from .observation import Observer, accounted
from .screen import Screen
from .simulator.judge import Counts, Judge
from .simulator_control import ask
from .summary import Result, Verdict
from .supervised import Supervised
from .table import Heading

RECORDED_SYMBOL = "ES"  # what a recorded flow is sent as
SAMPLES_A_SECOND = 75  # looks of the judge at each instrument, at random moments; 50 are needed
MAX_OWED_S = 0.5  # looks that a busy machine delayed are made up for, but not more than these
SETTLE_LIMIT_S = 20.0
LEAST_LOOK_S = 0.5  # a flow may be over before the first look; what it left is looked at for so long
DRAIN_LIMIT_S = 10.0
PATIENCE_S = 5.0  # without any live book: then what does not work is said
QUIET_S = 0.3  # nothing arrived for so long: the sockets are empty too
POLL_S = 0.02
MAX_WAIT_S = 0.05  # a signal is seen within that, and so is the moment at which all is live
COMPILING = "compiling the kernels; they are kept, so this is once and takes about half a minute …"


class Failed(Exception):
    """The run cannot begin or go on; the message is the one sentence to say."""


class EngineEnded(Failed):
    """The engine ended and did not say why: its log may."""


class RefusedForGood(Failed):
    """The venue refuses it and would do so again; whoever starts it again and again may stop."""


class Ending:
    """Whether somebody wants the run to end: Ctrl-C or SIGTERM once; a second one does not wait for the drain."""

    def __init__(self) -> None:
        self.wanted = False
        self.hurried = False

    def __call__(self, number: int, frame: object) -> None:
        self.hurried = self.wanted
        self.wanted = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = {number: signal(number, self) for number in (SIGINT, SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal(number, handler)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went; `offered_entries_per_s` is what the simulator sent, None without it."""

    results: list[Result]
    seconds: float
    offered_entries_per_s: float | None
    trouble: str = ""  # why no book was live at any time, in the engine's words


def wait_until_ready(engine: Supervised, ending: Ending, screen: Screen) -> dict[str, Any] | None:
    """The supervisor's ready event; None if the end was wanted before. Raises Failed with the supervisor's sentence."""
    untold: list[dict[str, Any]] = []  # a start that fails is told by its sentence alone
    ready: dict[str, Any] | None = None
    while not ending.wanted:
        for event in engine.events(0.1):
            match event:
                case {"event": "ready"}:
                    ready = event
                case {"event": "failed"}:
                    raise failure(event)
                case {"event": "compiling"}:
                    screen.note(COMPILING)
                case {"event": "compiled"}:
                    pass
                case _:
                    untold.append(event)
        if ready is not None:
            for each in untold:
                screen.say(each)
            return ready
        if not engine.running:
            raise EngineEnded("the engine ended before it was up; the end of its log is above")
    return None


def looked_enough(looked_s: float, settled: bool) -> bool:
    """Whether the books of a flow that is over were looked at for long enough to call them live, or never live.

    `looked_s`: since all were live for the first time (`settled`), else since the start.
    """
    return looked_s >= (LEAST_LOOK_S if settled else SETTLE_LIMIT_S)


class Run:
    """A running engine. One thread does all: it draws, judges and listens in turn."""

    def __init__(
        self,
        engine: Supervised,
        ready: Mapping[str, Any],
        screen: Screen,
        *,
        for_s: float | None,
        venue: str,
        ends: bool,
    ) -> None:
        """`ready`: the supervisor's event. `venue`: its words in the heading. `ends`: the flow is a recorded one."""
        self._engine = engine
        self._screen = screen
        self._for_s = for_s
        self._heading = Heading(ready["name"], ready["generation"], venue, 0.0, for_s)
        self._simulator_url: str | None = ready["simulator_url"]
        self._ends = ends
        self._market = attach(ready["name"])
        self._observer = Observer(self._market, Path(ready["folder"]))
        truth_folder = ready["truth_folder"]
        self._judge = Judge(self._market, truth_folder) if truth_folder else None
        self._began_s = time.monotonic()
        self._settled = self._was_live = self._was_told = False

    def look(self, ending: Ending) -> None:
        """Show and judge until the end is wanted, the time over or the flow sent. Raises Failed if the engine fails.

        The time runs from when all books are live, or SETTLE_LIMIT_S after the start: some may never be.
        A flow that is sent is looked at on until that says something.
        """
        next_draw_s = next_sample_s = self._began_s
        while not ending.wanted and (now_s := time.monotonic()) < self._end_s():
            if not self._settled:
                self._settle(now_s)
            if self._judge and now_s >= next_sample_s:
                self._judge.sample()
                next_sample_s = max(next_sample_s, now_s - MAX_OWED_S) + random.uniform(0, 2 / SAMPLES_A_SECOND)
            if now_s >= next_draw_s:
                self._draw(now_s)
                next_draw_s = now_s + self._screen.every_s
                if self._ends and looked_enough(now_s - self._began_s, self._settled) and self._flow_is_over():
                    return
            next_s = min(next_draw_s, next_sample_s if self._judge else math.inf, self._end_s(), now_s + MAX_WAIT_S)
            self._listen(max(0.0, next_s - time.monotonic()))

    def finish(self, ending: Ending) -> Outcome:
        """Note the states, let the rings run dry, compare everything with the truth, and count."""
        states = {symbol: status.state for symbol, status in self._observer.statuses().items()}
        seconds = time.monotonic() - self._began_s
        offered: float | None = None
        verdicts: dict[str, Verdict] = {}
        if self._judge and self._simulator_url:
            sent = ask(self._simulator_url, "pause")
            offered = sent["entries"] / sent["seconds"] if sent["seconds"] else 0.0
            self._drain(ending)
            self._judge.finish()
            verdicts = {symbol: _verdict(counts) for symbol, counts in self._judge.counts.items()}
        trouble = "" if self._was_live else self._engine.last_warning()
        return Outcome(self._observer.results(states, verdicts), seconds, offered, trouble)

    def _draw(self, now_s: float) -> None:
        if self._judge:
            self._judge.follow()
        heading = replace(self._heading, up_s=now_s - self._began_s)
        self._screen.show(heading, self._observer.rows(now_s))

    def _settle(self, now_s: float) -> None:
        """Begin to count the time when all books are live for the first time; say so if none is for long."""
        live = [status.live for status in self._observer.statuses().values()]
        self._was_live = self._was_live or any(live)
        if not self._was_live and not self._was_told and now_s - self._began_s > PATIENCE_S:
            self._was_told = True
            if trouble := self._engine.last_warning():
                self._screen.note(f"no book is live yet: {trouble}")
        if all(live):
            self._settled = True
            self._began_s = now_s

    def _end_s(self) -> float:
        limit_s = self._for_s or math.inf
        return self._began_s + (limit_s if self._settled else limit_s + SETTLE_LIMIT_S)

    def _listen(self, timeout_s: float) -> None:
        for event in self._engine.events(timeout_s):
            self._screen.say(event)
            if self._judge and event["event"] in ("added", "changed", "removed"):
                self._judge.follow()  # now: the tape of what is made anew twice between two looks is seen by nobody
            if event["event"] == "failed":
                raise failure(event)
        if not self._engine.running:
            raise EngineEnded("the engine ended by itself; the end of its log is above")

    def _flow_is_over(self) -> bool:
        assert self._simulator_url is not None
        return bool(ask(self._simulator_url, "status")["contracts"][RECORDED_SYMBOL]["finished"])

    def _drain(self, ending: Ending) -> None:
        """Wait until nothing is under way any more; at most DRAIN_LIMIT_S, or until a second Ctrl-C."""
        began_s = quiet_since_s = time.monotonic()
        before: list[int] = []
        while not ending.hurried and (now_s := time.monotonic()) - began_s < DRAIN_LIMIT_S:
            statuses = list(self._observer.statuses().values())
            delivered = [status.delivered for status in statuses]
            if delivered != before or not accounted(statuses):
                before, quiet_since_s = delivered, now_s
            elif now_s - quiet_since_s >= QUIET_S:
                return
            self._listen(POLL_S)


def failure(event: Mapping[str, Any]) -> Failed:
    """The supervisor's last word, as an error."""
    return (RefusedForGood if event["final"] else Failed)(event["message"])


def _verdict(counts: Counts) -> Verdict:
    return Verdict(
        samples=counts.compared_samples,
        levels=counts.compared_levels,
        wrong_levels=counts.wrong_levels,
        lost_trades=counts.lost_trades,
        wrong_trades=counts.wrong_trades,
        unread_trades=counts.unread_prints,
        unfinished=counts.unfinished > 0,
        live_s=counts.live_s,
        young=counts.young,
    )
