"""The engine's own page of counters in shared memory: one word each, in the order of layout.ENGINE_WORDS."""

from shm.layout import ENGINE_WORDS, WORDS_A_LINE, Words

_PLACE = {name: number * WORDS_A_LINE for number, name in enumerate(ENGINE_WORDS)}


class Page:
    """Writes the page; the engine is its only writer. A successor counts on from what it finds."""

    def __init__(self, words: Words) -> None:
        """`words`: the region of that name of a writable Kind.ENGINE segment."""
        self._words = words

    def set(self, name: str, value: int) -> None:
        self._words[_PLACE[name]] = value

    def add(self, name: str, count: int = 1) -> None:
        self._words[_PLACE[name]] += count

    def read(self, name: str) -> int:
        return int(self._words[_PLACE[name]])
