"""What the engine keeps so as not to ask or compute it again: three caches, each with its own end of a value's life.

Instruments never change, so they stay until there is no room; market data is good for five minutes; results of
calculations stay until there is no room. A cache is bounded by entries and by bytes, holds its values packed, and
gives everybody a copy of their own. A key is made of what was asked, never of who asked: no token is in one.
"""

import functools
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, ParamSpec, TypeVar

import cachetools
import msgpack

from .flight import Flights
from .packing import pack, unpack

MAX_BYTES: Final = 64 << 20  # of packed values, each cache
INSTRUMENTS: Final = 1000
MARKET_DATA: Final = 10_000
MARKET_DATA_LIFE_S: Final = 300.0
CALCULATIONS: Final = 500

_MISSING: Final = object()

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Cache:
    """Values that `pack` takes, by key. Counts `hits`, `misses` and `evictions`: gone for want of room."""

    def __init__(self, store: cachetools.Cache[Hashable, bytes], max_entries: int) -> None:
        """`store` counts its size in bytes; it says which entry goes first and how long one lives."""
        self._store = store
        self._max_entries = max_entries
        self._flights: Flights[bytes] = Flights()
        self.hits = 0
        self.misses = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._store)

    @property
    def joined(self) -> int:
        """Fetches that were spared because the same one was under way."""
        return self._flights.joined

    def get(self, key: Hashable, default: Any = None) -> Any:
        """A copy of the value under `key`, or `default`. Raises DamagedValue if the memory was damaged."""
        packed = self._packed(key)
        return default if packed is None else unpack(packed)

    def put(self, key: Hashable, value: object) -> None:
        """Keep a value; the least recently used make room. Raises TypeError for one that cannot be packed."""
        self._keep(key, pack(value))

    async def fetch(self, key: Hashable, make: Callable[[], Awaitable[object]]) -> Any:
        """The kept value, else what `make` gives, which is then kept. At most one `make` of a key runs at a time.

        Raises what `make` raises, to all who wait for it, and keeps nothing then; TypeError as `put` does.
        """
        packed = self._packed(key)
        if packed is None:

            async def fetched() -> bytes:
                made = pack(await make())
                self._keep(key, made)
                return made

            packed = await self._flights.join(key, fetched)
        return unpack(packed)

    def _packed(self, key: Hashable) -> bytes | None:
        try:
            packed = self._store[key]
        except KeyError:
            self.misses += 1
            return None
        self.hits += 1
        return packed

    def _keep(self, key: Hashable, packed: bytes) -> None:
        store = self._store
        store.pop(key, None)
        if len(packed) > store.maxsize:
            self.evictions += 1
            return
        # what is too old is not counted by len(): it leaves by itself, and was not evicted
        while len(store) >= self._max_entries or store.currsize + len(packed) > store.maxsize:
            try:
                store.popitem()
            except KeyError:  # the time of all that were left ended just now
                break
            self.evictions += 1
        store[key] = packed


class Caches:
    """The three of an engine. `now_s` is a monotonic clock, in seconds."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.instruments = Cache(cachetools.LRUCache(MAX_BYTES, len), INSTRUMENTS)
        self.market_data = Cache(cachetools.TTLCache(MAX_BYTES, MARKET_DATA_LIFE_S, now_s, len), MARKET_DATA)
        self.calculations = Cache(cachetools.LRUCache(MAX_BYTES, len), CALCULATIONS)

    def counts(self) -> dict[str, int]:
        """Hits, misses and evictions of each, and the fetches spared, by the names of layout.ENGINE_WORDS."""
        named = {"instrument": self.instruments, "market_data": self.market_data, "calculation": self.calculations}
        counts = {"fetches_joined": sum(cache.joined for cache in named.values())}
        for name, cache in named.items():
            counts |= {f"{name}_hits": cache.hits, f"{name}_misses": cache.misses}
            counts[f"{name}_evictions"] = cache.evictions
        return counts


def kept(cache: Cache) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Decorate a pure function: `@kept(caches.calculations)`. The same arguments give a copy of the first result.

    Arguments and result are of the types that `pack` takes; in arguments a tuple counts as a list. 1, 1.0 and True
    are not the same. Raises TypeError for others. What the function raises is not kept.
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(function)
        def looked_up(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            key = (function, msgpack.packb([args, sorted(kwargs.items())]))
            result: Any = cache.get(key, _MISSING)
            if result is _MISSING:
                result = function(*args, **kwargs)
                cache.put(key, result)
            return result  # type: ignore[no-any-return]  # it was one when it was packed

        return looked_up

    return decorate
