"""shm/frame_cache.py: what comes back, who goes first, what is counted."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from shm.frame_cache import FrameCache


def _frame(rows: int, first: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"n": pl.int_range(first, first + rows, eager=True)})


def _counts(cache: FrameCache) -> tuple[int, int, int]:
    return cache.hits, cache.misses, cache.evictions


def _size(frame: pl.DataFrame) -> int:
    cache = FrameCache()
    cache.put("k", frame)
    return cache.bytes


def test_a_frame_comes_back_as_it_was() -> None:
    frame = pl.DataFrame(
        {
            "start": pl.Series([datetime(2024, 1, 1, tzinfo=UTC), None], dtype=pl.Datetime("ns", "UTC")),
            "day": [date(2024, 1, 1), None],
            "close": [1.5, float("nan")],
            "side": pl.Series(["buy", None], dtype=pl.Categorical),
            "bands": [{"upper": 1.0}, {"upper": None}],
        }
    )
    cache = FrameCache()
    for key, kept in {"whole": frame, "empty": frame.head(0), "bare": pl.DataFrame()}.items():
        cache.put(key, kept)
        found = cache.get(key)
        assert found is not None
        assert found.schema == kept.schema
        assert found.equals(kept)


def test_nobody_changes_what_is_kept() -> None:
    cache, frame = FrameCache(), _frame(3)
    cache.put("k", frame)
    frame[0, "n"] = 77
    mine = cache.get("k")
    assert mine is not None
    mine[1, "n"] = 88
    again = cache.get("k")
    assert again is not None
    assert again["n"].to_list() == [0, 1, 2]


def test_made_once_and_counted() -> None:
    cache, made = FrameCache(), []

    def make() -> pl.DataFrame:
        made.append(1)
        return _frame(5)

    assert cache.hit_rate == 0.0
    assert all(cache.fetch("k", make).equals(_frame(5)) for _ in range(4))
    assert (len(made), _counts(cache), cache.hit_rate) == (1, (3, 1, 0), 0.75)


def test_what_fails_is_not_kept() -> None:
    cache = FrameCache()

    def fail() -> pl.DataFrame:
        raise KeyError("close")

    with pytest.raises(KeyError):
        cache.fetch("k", fail)
    assert (len(cache), _counts(cache)) == (0, (0, 1, 0))


def test_the_least_recently_used_make_room() -> None:
    size = _size(_frame(50))
    cache = FrameCache(3 * size)
    for name in "abc":
        cache.put(name, _frame(50))
    assert cache.get("a") is not None  # so b is now the oldest
    cache.put("d", _frame(50))
    assert (cache.get("b"), _counts(cache)) == (None, (1, 1, 1))
    assert all(cache.get(name) is not None for name in "acd")
    assert cache.bytes == 3 * size <= 3 * size
    cache.put("d", _frame(50))
    assert (len(cache), cache.evictions) == (3, 1)


def test_bounded_by_bytes_and_not_by_frames() -> None:
    cache = FrameCache(20_000)
    for number in range(300):
        cache.put(f"frame {number}", _frame(number, number))
        assert cache.bytes <= 20_000
    assert cache.evictions == 300 - len(cache) > 0
    before = len(cache)
    cache.put("huge", pl.DataFrame({"n": pl.int_range(100_000, eager=True).hash()}))
    assert (cache.get("huge"), len(cache), cache.evictions) == (None, before, 301 - before)


def test_lz4_makes_bars_smaller() -> None:
    frame = pl.DataFrame({"close": [21_000.25 + row % 40 / 4 for row in range(10_000)]})
    assert _size(frame) < frame.estimated_size() / 2
