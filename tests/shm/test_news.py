"""shm/news.py: what is handed out, in which order, and when it ends, by `for` and by `async for`."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from shm.news import News
from shm.wake import Word, load
from tests.shm.plain_writer import wake
from tests.waiting import wait_for

LIMIT_S = 20.0


class Numbers(News[int]):
    """The numbers that a writer has put behind a word. `on_silence` is done after each sleep without a change."""

    def __init__(self) -> None:
        super().__init__()
        self.words = np.zeros(16, np.int64)
        self.memory = self.words.data.cast("B")
        self.written: list[int] = []
        self.looks = 0
        self.on_silence: Callable[[], object] = lambda: None

    def write(self, *numbers: int) -> int:
        self.written += numbers
        self.words[8] += 1
        return wake(self.words, 8)

    def _word(self) -> Word:
        self.looks += 1
        return load(self.memory, 64)

    def _fill(self) -> None:
        self._ready.extend(self.written)
        self.written.clear()

    def _after_silence(self) -> None:
        self.on_silence()


def blocking(numbers: Numbers) -> Iterator[int]:
    return iter(numbers)


def awaiting(numbers: Numbers) -> Iterator[int]:
    """As `for` would, each in a loop of its own."""
    while True:
        try:
            yield asyncio.run(asyncio.wait_for(anext(numbers), LIMIT_S))
        except StopAsyncIteration:
            return


Way = Callable[[Numbers], Iterator[int]]
both_ways = pytest.mark.parametrize("way", [blocking, awaiting])


@both_ways
def test_what_was_there_at_one_look_is_handed_out_before_the_next(way: Way) -> None:
    numbers = Numbers()
    numbers.write(1, 2, 3)
    found = way(numbers)
    assert next(found) == 1
    numbers.write(4)
    assert [next(found), next(found)] == [2, 3]
    assert numbers.looks == 1
    assert next(found) == 4


@both_ways
def test_what_comes_while_it_sleeps_wakes_it(way: Way) -> None:
    numbers = Numbers()
    found: list[int] = []
    reader = threading.Thread(target=lambda: found.append(next(way(numbers))))
    reader.start()
    wait_for(lambda: wake(numbers.words, 8) > 0, LIMIT_S, "a sleeper")
    numbers.write(7)
    reader.join(LIMIT_S)
    assert found == [7]


@both_ways
def test_a_silence_may_bring_news_of_another_kind(way: Way) -> None:
    numbers = Numbers()
    numbers.on_silence = lambda: numbers.written.append(5)  # as of a new generation, behind another word
    assert next(way(numbers)) == 5


@both_ways
def test_what_is_ready_is_handed_out_after_closing_and_then_it_ends(way: Way) -> None:
    numbers = Numbers()
    numbers.write(1, 2)
    found = way(numbers)
    assert next(found) == 1
    numbers.close()
    numbers.write(3)
    assert list(found) == [2]
    assert numbers.looks == 1


@both_ways
def test_closing_ends_a_sleep(way: Way) -> None:
    numbers = Numbers()
    numbers.on_silence = numbers.close
    assert list(way(numbers)) == []
