"""How often records are missing in what is played: a book is stale from there to its next snapshot, and who compares
two replays shall know it."""

from collections import Counter
from collections.abc import Iterable, Iterator

from .stretches import Stretch


class Missing:
    """Stretches on their way to the player, with the places counted at which records are missing between two of one
    instrument. What came before the first of them was never asked for, or was deleted with the oldest files."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()  # by symbol
        self._begun: set[str] = set()
        self._torn: set[str] = set()  # whose next record does not follow the one before it

    def watch(self, stretches: Iterable[Stretch]) -> Iterator[Stretch]:
        """The same stretches."""
        for stretch in stretches:
            symbol = stretch.symbol
            if stretch.is_torn and symbol in self._begun:
                self._torn.add(symbol)
            if len(stretch.words):
                if not stretch.is_head:
                    self._begun.add(symbol)
                if symbol in self._torn:
                    self._torn.remove(symbol)
                    self.places[symbol] += 1
            yield stretch
