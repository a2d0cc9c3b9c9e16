"""engine/cache.py: how long a value stays, who goes first, what is counted, and one fetch for all."""

import asyncio
from typing import Any

import cachetools
import pytest

from engine.cache import CALCULATIONS, INSTRUMENTS, MARKET_DATA, MARKET_DATA_LIFE_S, Cache, Caches, kept
from engine.packing import DamagedValue
from shm.layout import ENGINE_WORDS


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def small(max_entries: int = 3, max_bytes: int = 10_000) -> Cache:
    return Cache(cachetools.LRUCache(max_bytes, len), max_entries)


def counts(cache: Cache) -> tuple[int, int, int]:
    return cache.hits, cache.misses, cache.evictions


def test_a_value_is_a_copy_of_ones_own() -> None:
    cache, value = small(), {"a": [1]}
    cache.put("k", value)
    value["a"].append(2)
    cache.get("k")["a"].append(3)
    assert cache.get("k") == {"a": [1]}


def test_hits_and_misses_are_counted_and_none_is_a_value() -> None:
    cache = small()
    assert cache.get("k", 7) == 7
    cache.put("k", None)
    assert cache.get("k", 7) is None
    assert counts(cache) == (1, 1, 0)


@pytest.mark.parametrize(("name", "most"), [("instruments", INSTRUMENTS), ("calculations", CALCULATIONS)])
def test_the_least_recently_used_makes_room(name: str, most: int) -> None:
    assert (INSTRUMENTS, CALCULATIONS) == (1000, 500)
    cache = getattr(Caches(Clock()), name)
    for number in range(most):
        cache.put(number, number)
    assert (len(cache), cache.evictions) == (most, 0)
    assert cache.get(0) == 0  # so 1 is now the oldest
    cache.put(most, most)
    assert (len(cache), cache.evictions) == (most, 1)
    assert cache.get(0) == 0
    assert cache.get(1) is None


def test_market_data_lives_five_minutes_and_ten_thousand_entries() -> None:
    assert (MARKET_DATA, MARKET_DATA_LIFE_S) == (10_000, 300.0)
    clock = Clock()
    cache = Caches(clock).market_data
    for number in range(MARKET_DATA):
        cache.put(number, number)
    assert (len(cache), cache.evictions) == (MARKET_DATA, 0)
    cache.put("one more", 1)
    assert (len(cache), cache.evictions) == (MARKET_DATA, 1)
    assert cache.get(0) is None
    clock.now_s += MARKET_DATA_LIFE_S - 0.001
    assert cache.get(1) == 1  # being read makes it live no longer
    clock.now_s += 0.001
    assert cache.get(1) is None
    cache.put("new", 1)
    assert (len(cache), cache.evictions) == (1, 1)  # what was too old was not evicted


def test_what_is_too_old_makes_room_before_anything_is_evicted() -> None:
    clock = Clock()
    cache = Caches(clock).market_data
    cache.put("old", 1)
    clock.now_s += 1.0
    for number in range(MARKET_DATA - 1):
        cache.put(number, number)
    clock.now_s += MARKET_DATA_LIFE_S - 1.0
    cache.put("new", 1)
    assert (len(cache), cache.evictions) == (MARKET_DATA, 0)
    assert (cache.get("old"), cache.get(0), cache.get("new")) == (None, 0, 1)


def test_instruments_and_results_do_not_grow_old() -> None:
    clock = Clock()
    caches = Caches(clock)
    for cache in (caches.instruments, caches.calculations):
        cache.put("k", 1)
        clock.now_s += 1e6
        assert cache.get("k") == 1


def test_bytes_are_a_limit_too() -> None:
    cache = small(max_entries=100, max_bytes=1000)
    for number in range(4):
        cache.put(number, bytes([number]) * 300)
    assert [number for number in range(4) if cache.get(number) is not None] == [1, 2, 3]
    cache.put("large", bytes(range(256)) * 3)
    assert (len(cache), cache.evictions) == (1, 4)
    cache.put("larger than all", [bytes([n]) * 40 for n in range(250)])
    assert cache.get("larger than all") is None
    assert cache.evictions == 5
    assert cache.get("large") is not None


def test_a_value_under_a_known_key_takes_its_place() -> None:
    cache = small(max_entries=2)
    for value in (1, 2, 3):
        cache.put("k", value)
    cache.put("other", 1)
    assert (cache.get("k"), len(cache), cache.evictions) == (3, 2, 0)


def test_damaged_memory_is_said() -> None:
    store: cachetools.LRUCache[Any, bytes] = cachetools.LRUCache(1000, len)
    store["k"] = b"\x01\xff\xff\xff\xff\x00"
    with pytest.raises(DamagedValue):
        Cache(store, 3).get("k")


def test_concurrent_fetches_of_one_key_are_one_and_its_value_is_kept() -> None:
    async def go() -> None:
        cache, began, let = small(), 0, asyncio.Event()

        async def make() -> object:
            nonlocal began
            began += 1
            await let.wait()
            return [1, 2]

        callers = [asyncio.ensure_future(cache.fetch("k", make)) for _ in range(10)]
        await asyncio.sleep(0)
        callers[0].cancel()
        await asyncio.sleep(0)
        let.set()
        answers = await asyncio.gather(*callers, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == [[1, 2]] * 9
        assert len({id(answer) for answer in answers}) == 10
        assert await cache.fetch("k", make) == [1, 2]
        assert (began, cache.joined) == (1, 9)
        assert counts(cache) == (1, 10, 0)

    asyncio.run(go())


@pytest.mark.parametrize(("made", "error"), [(OSError("away"), OSError), ((1, 2), TypeError)])
def test_a_fetch_that_fails_keeps_nothing(made: object, error: type[Exception]) -> None:
    async def go() -> None:
        cache = small()

        async def make() -> object:
            if isinstance(made, Exception):
                raise made
            return made

        for _ in range(2):
            with pytest.raises(error):
                await cache.fetch("k", make)
        assert (len(cache), cache.misses) == (0, 2)

    asyncio.run(go())


def test_a_calculation_is_made_once_for_the_same_arguments() -> None:
    cache, calls = small(max_entries=20), []

    @kept(cache)
    def double(value: Any, times: int = 2) -> list[Any]:
        """Twice."""
        calls.append(value)
        return [value] * times

    for value in (1, 1.0, True, "1", b"1", None, 0.0, -0.0, [1], [1.0]):
        for _ in range(2):
            assert repr(double(value)) == repr([value] * 2)
    assert len(calls) == 10
    assert counts(cache) == (10, 10, 0)
    assert double(1, times=3) == double(1, times=3) == [1, 1, 1]
    assert len(calls) == 11
    assert (double.__name__, double.__doc__) == ("double", "Twice.")


def test_two_calculations_share_a_cache_and_no_results() -> None:
    cache = small()
    one, two = kept(cache)(lambda value: value + 1), kept(cache)(lambda value: value + 2)
    assert (one(1), two(1), one(1), two(1)) == (2, 3, 2, 3)
    assert counts(cache) == (2, 2, 0)


def test_a_calculation_that_fails_or_cannot_be_kept_is_not_kept() -> None:
    cache = small()
    with pytest.raises(ZeroDivisionError):
        kept(cache)(lambda value: 1 / value)(0)
    with pytest.raises(TypeError, match="cannot be kept"):
        kept(cache)(lambda value: (value, value))(0)
    with pytest.raises(TypeError):
        kept(cache)(lambda value: 1)(object())
    assert len(cache) == 0


def test_every_count_has_a_word_on_the_page() -> None:
    caches = Caches(Clock())
    caches.instruments.put("k", 1)
    caches.instruments.get("k")
    caches.market_data.get("k")
    assert set(caches.counts()) <= set(ENGINE_WORDS)
    assert {name: count for name, count in caches.counts().items() if count} == {
        "instrument_hits": 1,
        "market_data_misses": 1,
    }
