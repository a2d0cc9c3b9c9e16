"""Instruments that trade at a made-up venue, in steps of one poll: what their streams bring, and what REST says."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.feeds.gateway import NO_BAR, Bar
from engine.feeds.silence import Freeze, Heard, Look, Silence

SECOND_NS = 1_000_000_000
STEP_S = 0.02
LATE_NS = SECOND_NS
MAX_SILENCE_NS = 30 * SECOND_NS
FLOOR_NS = SECOND_NS
BEGAN_S = 1_795_000_000.0

Pace = Callable[[float], float]


def steady(rate: float) -> Pace:
    """So many messages a second, of a Poisson process."""
    return lambda at_s: rate


def bursty(rate: float, loud_s: float, still_s: float) -> Pace:
    """For `loud_s` it speaks, then for `still_s` it says nothing; `rate` is the one while it speaks."""
    return lambda at_s: rate if at_s % (loud_s + still_s) < loud_s else 0.0


def until(end_s: float, before: Pace, after: Pace) -> Pace:
    return lambda at_s: before(at_s) if at_s < end_s else after(at_s)


@dataclass
class Instrument:
    """`traded`: how many of its messages are trades, the rest is depth."""

    pace: Pace
    traded: float = 0.3
    frozen: bool = False
    messages: int = 0
    bar: Bar = NO_BAR
    on_the_way: deque[float] = field(default_factory=deque)


@dataclass
class Hours:
    """A run. `late_s`: how far streams are behind the venue; `bars_late_s`: how far REST is; `clock_s`: how far the
    venue's clock is before ours; `rest_lives`: it answers at all."""

    instruments: dict[str, Instrument]
    seed: int
    late_s: float = 0.05
    bars_late_s: float = 0.0
    clock_s: float = 0.0
    rest_lives: bool = True
    at_s: float = 0.0
    looks: list[tuple[float, str]] = field(default_factory=list)
    freezes: list[tuple[float, str | None]] = field(default_factory=list)
    vouched_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.silence: Silence[str] = Silence(FLOOR_NS)
        self._bars: dict[str, deque[tuple[float, Bar]]] = {key: deque([(0.0, NO_BAR)]) for key in self.instruments}
        self._asked: list[tuple[float, Look[str], Bar | None]] = []

    def run(self, seconds: float, *, stops_at_freeze: bool = False) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step()
            if stops_at_freeze and self.freezes:
                return

    def step(self) -> None:
        self.at_s += STEP_S
        for key, instrument in self.instruments.items():
            self._trade(key, instrument)
        now_ns = round(self.at_s * SECOND_NS)
        while self._asked and self._asked[0][0] <= self.at_s:
            _, look, bar = self._asked.pop(0)
            self.silence.answer(look, now_ns, bar)
        heard = {key: Heard(each.messages, MAX_SILENCE_NS, LATE_NS) for key, each in self.instruments.items()}
        step = self.silence.poll(now_ns, BEGAN_S + self.at_s, heard)
        if isinstance(step, Look):
            self.looks.append((self.at_s, step.key))
            bar = self._newest(step.key) if self.rest_lives else None
            self._asked.append((self.at_s + self.random.uniform(0.02, 0.2), step, bar))
        elif isinstance(step, Freeze):
            self.freezes.append((self.at_s, step.key))
        for key in self.instruments:
            if self.silence.vouches(key):
                self.vouched_s[key] = self.vouched_s.get(key, 0.0) + STEP_S

    def _trade(self, key: str, instrument: Instrument) -> None:
        rate = instrument.pace(self.at_s)
        at_s = self.at_s - STEP_S
        while rate > 0:
            at_s += self.random.expovariate(rate)
            if at_s > self.at_s:
                break
            if self.random.random() < instrument.traded:
                second = int(BEGAN_S + at_s + self.clock_s)
                volume = instrument.bar.volume + 1 if instrument.bar.start_s == second else 1
                instrument.bar = Bar(second, volume)
                self._bars[key].append((at_s, instrument.bar))
            if not instrument.frozen:
                instrument.on_the_way.append(at_s + self.late_s)
        while instrument.on_the_way and instrument.on_the_way[0] <= self.at_s:
            instrument.on_the_way.popleft()
            instrument.messages += 1

    def _newest(self, key: str) -> Bar:
        bars = self._bars[key]
        while len(bars) > 1 and bars[1][0] <= self.at_s - self.bars_late_s:
            bars.popleft()
        return bars[0][1]
