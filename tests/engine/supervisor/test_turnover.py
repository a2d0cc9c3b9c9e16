"""The order in which an instrument comes, goes, or is made anew; and that no way through it leaves anything behind."""

import random
from dataclasses import replace

import pytest

from engine.config import SymbolSettings
from engine.supervisor.turnover import RETRY_TICKS, Ask, Discard, Drop, Put, Step, Turnover

MNQ, MES, ES = (SymbolSettings(symbol) for symbol in ("MNQ", "MES", "ES"))
OTHER = replace(MNQ, levels=9)
DONE = {"check": "checked", "add": "added", "remove": "removed"}


@pytest.fixture
def running() -> Turnover:
    """Two instruments, fed."""
    turnover = Turnover((MNQ, MES))
    assert turnover.employed() == (MNQ, MES)
    return turnover


def due(turnover: Turnover, *mapped: str, tick: int = 0, engine_takes: bool = True) -> list[Step]:
    return turnover.due(tick, engine_takes=engine_takes, mapped=set(mapped))


def answer(turnover: Turnover, symbol: str, event: str) -> Ask:
    ask = turnover.answered({"event": event, "symbol": symbol})
    assert ask is not None
    return ask


def test_nothing_is_due_when_all_is_as_wanted(running: Turnover) -> None:
    assert due(running, "MNQ", "MES") == []
    assert running.settled


def test_one_is_added(running: Turnover) -> None:
    running.wanted = {**running.wanted, "ES": ES}
    assert due(running) == [Ask("check", ES)]
    assert due(running) == []  # one thing at a time
    running.prepared(answer(running, "ES", "checked").settings)
    assert due(running) == [Put("ES")]
    running.put("ES")
    assert running.worked == (MNQ, MES, ES)
    assert due(running, "ES") == [Ask("add", ES)]
    answer(running, "ES", "added")
    assert running.added("ES") == "added"
    assert running.settled


def test_one_is_removed(running: Turnover) -> None:
    running.wanted = {"MES": MES}
    assert due(running, "MNQ", "MES") == [Ask("remove", MNQ)]
    assert list(running.worked) == [MNQ, MES]  # the worker applies what is in the ring, and that it is closed
    answer(running, "MNQ", "removed")
    running.removed("MNQ")
    assert due(running, "MNQ", "MES") == []
    assert list(running.worked) == [MES]
    assert due(running, "MES") == [Drop("MNQ")]
    running.dropped("MNQ")
    assert running.settled


def test_one_is_made_anew(running: Turnover) -> None:
    running.wanted = {"MNQ": OTHER, "MES": MES}
    assert due(running, "MNQ", "MES") == [Ask("check", OTHER)]
    running.prepared(answer(running, "MNQ", "checked").settings)
    assert due(running, "MNQ", "MES") == [Ask("remove", MNQ)]
    answer(running, "MNQ", "removed")
    running.removed("MNQ")
    assert due(running, "MNQ", "MES") == []
    assert due(running, "MES") == [Put("MNQ")]
    running.put("MNQ")
    assert (running.held["MNQ"].made, running.worked) == (2, (OTHER, MES))
    assert due(running, "MES") == [Ask("add", OTHER)]
    answer(running, "MNQ", "added")
    assert running.added("MNQ") == "changed"
    assert running.settled


def test_what_the_venue_refuses_changes_nothing(running: Turnover) -> None:
    running.wanted = {"MNQ": OTHER, "MES": MES, "ES": ES}
    assert due(running) == [Ask("check", OTHER), Ask("check", ES)]
    for symbol in ("MNQ", "ES"):
        running.refused(answer(running, symbol, "refused"), 0, final=True)
    assert running.wanted == {"MNQ": MNQ, "MES": MES}
    assert due(running) == []


def test_what_a_successor_lets_go_of_leaves_until_its_file_changes(running: Turnover) -> None:
    running.engine_ended()
    assert running.employed() == (MNQ, MES)
    said = {"event": "let_go", "symbol": "MNQ", "message": "the venue has none"}
    for line in (said | {"symbol": "ES"}, said | {"symbol": 7}, {"event": "let_go"}, said | {"event": "streaming"}):
        assert running.let_go(line) is None
    ask = running.let_go(said)
    assert ask == Ask("add", MNQ)
    assert running.let_go(said) is None
    running.refused(ask, 0, final=True)
    assert running.wanted == {"MES": MES}
    assert due(running, "MNQ", "MES") == []
    assert running.worked == (MES,)
    assert due(running, "MES") == [Drop("MNQ")]
    running.dropped("MNQ")
    assert running.settled
    running.wanted = {"MES": MES, "MNQ": OTHER}
    assert due(running, "MES") == [Ask("check", OTHER)]


def test_what_a_successor_lets_go_of_while_it_is_changed_is_made_anew(running: Turnover) -> None:
    running.wanted = {"MNQ": OTHER, "MES": MES}
    assert due(running, "MNQ", "MES") == [Ask("check", OTHER)]
    ask = running.let_go({"event": "let_go", "symbol": "MNQ"})
    assert ask is not None
    running.refused(ask, 0, final=True)
    running.prepared(answer(running, "MNQ", "checked").settings)
    assert due(running, "MNQ", "MES") == []  # its worker is to go first
    assert due(running, "MES") == [Put("MNQ")]


def test_what_may_be_later_is_asked_again_later(running: Turnover) -> None:
    running.wanted = {"MNQ": OTHER, "MES": MES}
    due(running)
    running.refused(answer(running, "MNQ", "refused"), 7, final=False)
    assert due(running, tick=6 + RETRY_TICKS) == []
    assert due(running, tick=7 + RETRY_TICKS) == [Ask("check", OTHER)]


def test_an_answer_to_what_is_wanted_no_more_decides_nothing(running: Turnover) -> None:
    running.wanted = {"MNQ": OTHER, "MES": MES}
    due(running)
    running.wanted = {"MNQ": replace(MNQ, levels=3), "MES": MES}
    running.refused(answer(running, "MNQ", "refused"), 0, final=True)
    assert due(running) == [Ask("check", replace(MNQ, levels=3))]
    running.prepared(answer(running, "MNQ", "checked").settings)
    running.wanted = {"MNQ": MNQ, "MES": MES}
    assert due(running) == [Discard("MNQ")]
    assert due(running) == []


def test_it_may_be_wanted_again_while_it_leaves(running: Turnover) -> None:
    running.wanted = {"MES": MES}
    due(running)
    answer(running, "MNQ", "removed")
    running.removed("MNQ")
    assert due(running, "MNQ") == []
    running.wanted = {"MES": MES, "MNQ": MNQ}
    assert due(running, "MNQ") == [Ask("add", MNQ)]
    assert running.worked == (MNQ, MES)
    assert running.held["MNQ"].made == 1


def test_the_engine_may_end_at_any_point_of_it(running: Turnover) -> None:
    running.wanted = {"MNQ": OTHER, "MES": MES}
    due(running)
    running.prepared(answer(running, "MNQ", "checked").settings)
    assert due(running, "MNQ") == [Ask("remove", MNQ)]
    running.engine_ended()
    assert running.answered({"event": "removed", "symbol": "MNQ"}) is None
    assert due(running, "MNQ", engine_takes=False) == []
    assert running.employed() == (MES,)  # a successor that comes now has no part in it
    assert due(running) == [Put("MNQ")]
    running.put("MNQ")
    assert due(running) == [Ask("add", OTHER)]
    running.engine_ended()
    assert running.employed() == (OTHER, MES)
    assert due(running) == []
    assert running.settled


@pytest.mark.parametrize(
    "line",
    [{}, {"event": "added"}, {"event": "added", "symbol": 7}, {"event": "added", "symbol": "ES"}, {"symbol": "MNQ"}],
)
def test_what_is_no_answer(running: Turnover, line: dict[str, object]) -> None:
    running.wanted = {"MNQ": OTHER, "MES": MES}
    due(running)
    assert running.answered(line) is None
    assert running.answered({"event": "checked", "symbol": "MNQ"}) == Ask("check", OTHER)


class World:
    """An engine, workers and segments that do what they are told, each in its own time, or end."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.turnover = Turnover((MNQ, MES))
        self.engine: set[str] | None = {each.symbol for each in self.turnover.employed()}
        self.asked: list[Ask] = []
        self.mapped = {"MNQ", "MES"}
        self.places = {"MNQ": 1, "MES": 1}
        self.prepared: set[str] = set()
        self.tick = 0

    def act(self) -> None:
        """What the supervisor does: never a new segment while anybody has the old one."""
        while steps := self.turnover.due(self.tick, engine_takes=self.engine is not None, mapped=self.mapped):
            for step in steps:
                if isinstance(step, Ask):
                    assert self.engine is not None
                    assert step.settings.symbol not in {ask.settings.symbol for ask in self.asked}
                    self.asked.append(step)
                elif isinstance(step, Discard):
                    self.prepared.remove(step.symbol)
                else:
                    assert step.symbol not in self.mapped
                    assert step.symbol not in (self.engine or ())
                    self.take(step)

    def take(self, step: Put | Drop) -> None:
        if isinstance(step, Drop):
            del self.places[step.symbol]
            self.turnover.dropped(step.symbol)
        else:
            self.prepared.remove(step.symbol)
            self.turnover.put(step.symbol)
            made = self.turnover.held[step.symbol].made
            assert made > self.places.get(step.symbol, 0)
            self.places[step.symbol] = made

    def happen(self, kind: bool) -> None:
        self.tick += RETRY_TICKS
        what = self.random.random()
        worked = {each.symbol for each in self.turnover.worked}
        if self.asked and what < 0.5:
            self.reply(self.asked.pop(self.random.randrange(len(self.asked))), kind)
        elif what < 0.7:
            self.mapped &= worked
        elif what < 0.9:
            self.mapped |= worked
        elif not kind and self.engine is not None:
            self.engine = None
            self.asked.clear()
            self.turnover.engine_ended()
        elif self.engine is None:
            self.engine = {each.symbol for each in self.turnover.employed()}

    def reply(self, ask: Ask, kind: bool) -> None:
        assert self.engine is not None
        symbol = ask.settings.symbol
        if ask.do != "remove" and not kind and self.random.random() < 0.3:
            answered = answer(self.turnover, symbol, "refused")
            self.turnover.refused(answered, self.tick, final=self.random.random() < 0.5)
            return
        assert answer(self.turnover, symbol, DONE[ask.do]) == ask
        if ask.do == "check":
            self.prepared.add(symbol)
            self.turnover.prepared(ask.settings)
        elif ask.do == "add":
            assert symbol in self.places
            self.engine.add(symbol)
            self.turnover.added(symbol)
        else:
            self.engine.discard(symbol)
            self.turnover.removed(symbol)


def test_whatever_happens_it_comes_to_rest_with_what_is_wanted(seed: int) -> None:
    for round_number in range(300):
        world = World(seed + round_number)
        for _ in range(60):
            if world.random.random() < 0.2:
                symbols = world.random.sample([MNQ, MES, ES], world.random.randrange(1, 4))
                world.turnover.wanted = {
                    each.symbol: replace(each, levels=world.random.randrange(1, 3)) for each in symbols
                }
            world.act()
            world.happen(False)
        for _ in range(200):
            world.act()
            world.happen(True)
        world.act()
        assert world.turnover.settled
        assert world.engine == world.places.keys() == world.turnover.wanted.keys()
        assert world.prepared == set()
