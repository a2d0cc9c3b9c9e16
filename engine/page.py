"""A process's own page of counters in shared memory: one word each, a line for it, in the order of a list of layout."""

from collections.abc import Sequence

from shm.layout import ENGINE_WORDS, WORDS_A_LINE, Words


class Page:
    """Writes the page; the process is its only writer. A successor counts on from what it finds."""

    def __init__(self, words: Words, names: Sequence[str] = ENGINE_WORDS) -> None:
        """`words`: the region of that name of a writable segment. `names`: one a line of them."""
        self._words = words
        self._place = {name: number * WORDS_A_LINE for number, name in enumerate(names)}

    def set(self, name: str, value: int) -> None:
        self._words[self._place[name]] = value

    def add(self, name: str, count: int = 1) -> None:
        self._words[self._place[name]] += count

    def read(self, name: str) -> int:
        return int(self._words[self._place[name]])
