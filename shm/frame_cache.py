"""Frames that were computed once, kept as Arrow IPC with lz4 and bounded by bytes: for who asks the same again.

    cache = FrameCache(64 << 20)
    rsi = cache.fetch(f"MNQ 1min rsi {last_start}", lambda: bars.select("start", close.shard.rsi(14)).collect())

A key says all that the frame depends on: the rows too (a last start, a count), since nothing here knows when rows come.
Packed, a frame takes a fraction of its memory, nobody can change it, and each reader gets one of its own. Threads may
share a cache; two that miss at once both make the frame.
"""

import threading
from collections.abc import Callable
from io import BytesIO
from typing import Final

import cachetools
import polars as pl

MAX_BYTES: Final = 64 << 20


class FrameCache:
    """At most `max_bytes` of packed frames; the least recently used make room. Counts `hits`, `misses`, `evictions`."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._lock = threading.Lock()  # packing and unpacking go on outside of it
        self._store: cachetools.LRUCache[str, bytes] = cachetools.LRUCache(max_bytes, len)
        self.hits = 0
        self.misses = 0
        self.evictions = 0  # also frames that are larger than the whole cache, and so never went in

    def __len__(self) -> int:
        return len(self._store)

    @property
    def bytes(self) -> int:
        """What is kept, packed."""
        return int(self._store.currsize)

    @property
    def hit_rate(self) -> float:
        """The share of lookups that found their frame; 0 before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0

    def get(self, key: str) -> pl.DataFrame | None:
        """The frame under `key`, or None."""
        with self._lock:
            packed = self._store.get(key)
            if packed is None:
                self.misses += 1
                return None
            self.hits += 1
        return pl.read_ipc(packed)

    def put(self, key: str, frame: pl.DataFrame) -> None:
        """Keep a frame; one that was there under `key` goes."""
        packed = BytesIO()
        frame.write_ipc(packed, compression="lz4")
        data, store = packed.getvalue(), self._store
        with self._lock:
            store.pop(key, None)
            while store and store.currsize + len(data) > store.maxsize >= len(data):
                store.popitem()
                self.evictions += 1
            if len(data) > store.maxsize:
                self.evictions += 1
            else:
                store[key] = data

    def fetch(self, key: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The kept frame, else what `make` gives, which is then kept. Raises what `make` raises, and keeps nothing."""
        frame = self.get(key)
        if frame is None:
            frame = make()
            self.put(key, frame)
        return frame
