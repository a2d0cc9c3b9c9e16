"""How an instrument comes, goes, or is made anew while all others run: what is due next, from what is known. Pure.

    wanted and not held     check ─▶ prepare ─▶ put its segments in place ─▶ add                      (worker: started)
    held, and wanted other  check ─▶ prepare ─▶ remove ─▶ worker lets go ─▶ put in place ─▶ add       (worker: started)
    held and not wanted                         remove ─▶ worker lets go ─▶ drop

check, add and remove are asked of the engine, one thing of a symbol at a time. What could go wrong is found out first:
the venue is asked for the contract, and the new segments are made beside the old ones; so whatever is refused leaves
the old instrument as it was. Only when neither engine nor worker has the old segments any more do new ones take their
names. An engine that ends has let go of everything, and its successor's job has what is held then. What the venue
refuses of that by now the successor lets go of by itself, as if it had been asked to add it.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from ..config import SymbolSettings

_DONE = {"check": "checked", "add": "added", "remove": "removed"}  # how the engine says that it did
RETRY_TICKS = 20  # after an answer that may be another one later


@dataclass(frozen=True, slots=True)
class Held:
    """An instrument that has segments."""

    settings: SymbolSettings
    made: int  # how often its segments were made in this generation
    fed: bool = False  # the engine writes to its ring, or has it in its job
    leaving: bool = False  # no worker shall have it any more


@dataclass(frozen=True, slots=True)
class Ask:
    """Of the engine: "check", "add" or "remove"."""

    do: str
    settings: SymbolSettings


@dataclass(frozen=True, slots=True)
class Put:
    """Prepared segments into their place."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Segments that nobody has any more."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Prepared segments that are not wanted any more."""

    symbol: str


Step = Ask | Put | Drop | Discard


class Turnover:
    """What is held, what is wanted, and what is under way from the one to the other."""

    def __init__(self, symbols: tuple[SymbolSettings, ...]) -> None:
        """`symbols`: those whose segments are made at the start."""
        self.held = {each.symbol: Held(each, 1) for each in symbols}
        self.wanted = {each.symbol: each for each in symbols}
        self._made = dict.fromkeys(self.held, 1)
        self._asked: dict[str, Ask] = {}
        self._prepared: dict[str, SymbolSettings] = {}
        self._not_before: dict[str, int] = {}
        self._untold: dict[str, str] = {}  # what to say of it once the engine feeds it

    @property
    def worked(self) -> tuple[SymbolSettings, ...]:
        """What the workers shall have."""
        return tuple(held.settings for held in self.held.values() if not held.leaving)

    @property
    def settled(self) -> bool:
        """Whether what is wanted is held, and fed."""
        return self.wanted == {symbol: held.settings for symbol, held in self.held.items() if held.fed}

    def next_made(self, symbol: str) -> int:
        """The number of the next making of its segments."""
        return self._made.get(symbol, 0) + 1

    def due(self, tick: int, *, engine_takes: bool, mapped: Set[str]) -> list[Step]:
        """What is to be done now. `engine_takes`: an engine has its job. `mapped`: what living workers may have."""
        symbols = list(dict.fromkeys((*self.held, *self.wanted, *self._prepared)))
        return [step for symbol in symbols if (step := self._due(symbol, tick, engine_takes, mapped))]

    def _due(self, symbol: str, tick: int, engine_takes: bool, mapped: Set[str]) -> Step | None:
        held, wanted = self.held.get(symbol), self.wanted.get(symbol)
        if symbol in self._asked:
            return None
        if symbol in self._prepared and self._prepared[symbol] != wanted:
            del self._prepared[symbol]
            return Discard(symbol)
        may_ask = engine_takes and tick >= self._not_before.get(symbol, 0)
        if held and held.settings == wanted:
            self.held[symbol] = replace(held, leaving=False)
            return None if held.fed or not may_ask else self._ask("add", wanted)
        if wanted and symbol not in self._prepared:
            return self._ask("check", wanted) if may_ask else None
        if held and held.fed:
            return self._ask("remove", held.settings)
        if held and not held.leaving:
            self.held[symbol] = replace(held, leaving=True)
        if held and symbol in mapped:
            return None
        return Put(symbol) if wanted else Drop(symbol)

    def _ask(self, do: str, settings: SymbolSettings) -> Ask:
        self._asked[settings.symbol] = asked = Ask(do, settings)
        return asked

    # ── what happened ─────────────────────────────────────────────────────────────────────────────────────

    def answered(self, line: Mapping[str, Any]) -> Ask | None:
        """What a line of the engine's answers; None if it is no answer to what it was asked last of a symbol."""
        ask = self._asked.get(symbol) if isinstance(symbol := line.get("symbol"), str) else None
        if ask is None or line.get("event") not in (_DONE[ask.do], "refused"):
            return None
        return self._asked.pop(ask.settings.symbol)

    def prepared(self, settings: SymbolSettings) -> None:
        """The venue has its contract, and new segments for it are there."""
        self._prepared[settings.symbol] = settings

    def put(self, symbol: str) -> None:
        """They are in their place."""
        self._untold[symbol] = "changed" if symbol in self.held else "added"
        self._made[symbol] = self.next_made(symbol)
        self.held[symbol] = Held(self._prepared.pop(symbol), self._made[symbol])

    def dropped(self, symbol: str) -> None:
        """Its segments are gone."""
        del self.held[symbol]
        self._untold.pop(symbol, None)

    def added(self, symbol: str) -> str:
        """The engine feeds it. What there is to say of that: "added", "changed", or nothing."""
        self.held[symbol] = replace(self.held[symbol], fed=True)
        return self._untold.pop(symbol, "")

    def removed(self, symbol: str) -> None:
        """The engine has let go of it."""
        self.held[symbol] = replace(self.held[symbol], fed=False)

    def refused(self, ask: Ask, tick: int, *, final: bool) -> None:
        """It cannot be: now, or never, and then what is held stays wanted."""
        symbol = ask.settings.symbol
        if not final:
            self._not_before[symbol] = tick + RETRY_TICKS
            return
        if self.wanted.get(symbol) != ask.settings:
            return  # something else is wanted by now
        held = self.held.get(symbol)
        if held and held.settings != ask.settings:
            self.wanted[symbol] = held.settings
        else:
            del self.wanted[symbol]

    def let_go(self, line: Mapping[str, Any]) -> Ask | None:
        """An engine's line that it feeds an instrument of its job no more: what it would have been asked to refuse."""
        held = self.held.get(symbol) if isinstance(symbol := line.get("symbol"), str) else None
        if line.get("event") != "let_go" or held is None or not held.fed:
            return None
        self.held[held.settings.symbol] = replace(held, fed=False)
        return Ask("add", held.settings)

    def employed(self) -> tuple[SymbolSettings, ...]:
        """A new engine gets its job: what it shall feed."""
        for symbol, held in self.held.items():
            if not held.leaving:
                self.held[symbol] = replace(held, fed=True)
        return self.worked

    def engine_ended(self) -> None:
        """It has let go of everything, and answers nothing any more."""
        self._asked.clear()
        self.held = {symbol: replace(held, fed=False) for symbol, held in self.held.items()}
