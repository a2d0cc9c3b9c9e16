"""One wait on many instruments."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shm import Change, LayoutError, Market, UnknownSymbol, WriterGone, presence
from shm.layout import LAYOUT_VERSION
from shm.registry import FILE_NAME
from tests.shm.later import Later
from tests.shm.plain_writer import MAX_LAG_MS, PlainEngine, boottime_ns
from tests.waiting import wait_for


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[PlainEngine]:
    with PlainEngine(tmp_path) as engine:
        yield engine


def test_each_instrument_that_changed_is_seen_once(engine: PlainEngine, market: Market) -> None:
    changes = market.watch(timeout_s=0.05)
    for _ in range(3):
        engine.writers["MES"].publish([(1, 1)], [(2, 1)])
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    engine.writers["MNQ"].trade((1, 1, 0), (1, 1, 0))
    engine.writers["MNQ"].quote(1, 1, 2, 1)
    assert list(changes) == [Change("MNQ", 1, 2, 1, 1, True), Change("MES", 3, 0, 0, 1, True)]


def test_what_was_there_before_is_no_change(engine: PlainEngine, market: Market) -> None:
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    assert list(market.watch(timeout_s=0.0)) == []


def test_only_those_asked_for_are_seen(engine: PlainEngine, market: Market) -> None:
    changes = market.watch(["MES"], timeout_s=0.05)
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    engine.writers["MES"].publish([(1, 1)], [(2, 1)])
    assert [change.symbol for change in changes] == ["MES"]


def test_an_unknown_symbol_is_refused_at_once(market: Market) -> None:
    with pytest.raises(UnknownSymbol, match="MES"):
        market.watch(["MES", "MEX"])


def test_it_sleeps_until_either_of_two_changes(engine: PlainEngine, market: Market) -> None:
    seen: list[str] = []
    changes = market.watch(["MNQ", "MES"], timeout_s=20.0)
    asleep = threading.Thread(target=lambda: seen.extend(next(changes).symbol for _ in range(2)))
    asleep.start()
    for symbol in ("MES", "MNQ"):
        expected = len(seen) + 1
        engine.writers[symbol].publish([(1, 1)], [(2, 1)])
        end_s = time.monotonic() + 20
        while len(seen) < expected and time.monotonic() < end_s:
            asleep.join(0.01)
    asleep.join(20)
    assert seen == ["MES", "MNQ"]


def test_the_time_limit_begins_anew_with_each_change(engine: PlainEngine, market: Market) -> None:
    count = 0
    changes = market.watch(timeout_s=0.3)
    begun_s = time.monotonic()
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    for _ in changes:
        count += 1
        if count < 4:
            threading.Timer(0.15, engine.writers["MNQ"].publish, ([(1, 1)], [(2, 1)])).start()
    assert count == 4
    assert time.monotonic() - begun_s >= 0.3 + 3 * 0.15


def test_it_goes_on_with_a_new_generation(engine: PlainEngine, market: Market) -> None:
    changes = market.watch(timeout_s=20.0)
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    assert next(changes) == Change("MNQ", 1, 0, 0, 1, True)
    engine.end()
    engine.start(["MES", "MNQ"])
    engine.writers["MES"].publish([(1, 1)], [(2, 1)])
    found = next(changes), next(changes)
    assert {change.symbol: change for change in found} == {
        "MNQ": Change("MNQ", 0, 0, 0, 2, False),  # that it begins again is a change
        "MES": Change("MES", 1, 0, 0, 2, True),
    }
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    assert next(changes) == Change("MNQ", 1, 0, 0, 2, True)


def test_it_sleeps_on_the_word_of_the_new_generation(engine: PlainEngine, market: Market) -> None:
    changes = market.watch(["MNQ"], timeout_s=20.0)
    engine.start(["MNQ", "MES"])
    writer = engine.writers["MNQ"]
    assert next(changes).generation == 2
    seen: list[Change] = []
    asleep = threading.Thread(target=lambda: seen.append(next(changes)))
    asleep.start()
    wait_for(lambda: writer.wake() > 0, 20, "a sleeper on the new word")
    writer.publish([(1, 1)], [(2, 1)])
    asleep.join(20)
    assert seen == [Change("MNQ", 1, 0, 0, 2, True)]


@pytest.mark.parametrize("others", [False, True], ids=["all silent", "another goes on"])
def test_a_book_that_falls_silent_is_a_change(engine: PlainEngine, market: Market, later: Later, others: bool) -> None:
    """A dead engine and a stopped worker publish nothing: the reader has to see it by age."""
    changes = market.watch(timeout_s=20.0)
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    assert next(changes) == Change("MNQ", 1, 0, 0, 1, True)
    later.by_ns = 2 * MAX_LAG_MS * 1_000_000
    if others:
        engine.writers["MES"].publish([(1, 1)], [(2, 1)])
    found = {change.symbol: change for change in (next(changes) for _ in range(1 + others))}
    assert found.keys() == ({"MNQ", "MES"} if others else {"MNQ"})
    assert found["MNQ"] == Change("MNQ", 1, 0, 0, 1, False)
    engine.writers["MNQ"].hear(boottime_ns())  # a clock frame, which wakes nobody
    assert next(changes) == Change("MNQ", 1, 0, 0, 1, True)


def test_a_wait_ends_when_the_book_falls_silent(engine: PlainEngine, market: Market, later: Later) -> None:
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    mnq = market["MNQ"]
    assert not mnq.wait(0.0)
    later.by_ns = 2 * MAX_LAG_MS * 1_000_000
    assert mnq.wait(20.0)
    assert not mnq.wait(0.15)
    engine.writers["MNQ"].hear(boottime_ns())
    assert asyncio.run(mnq.wait_async(20.0))


def test_one_that_is_gone_says_so_and_the_others_go_on(engine: PlainEngine, market: Market) -> None:
    changes = market.watch(["MNQ", "MES"], timeout_s=20.0)
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    assert next(changes) == Change("MNQ", 1, 0, 0, 1, True)
    engine.register(["MES"])
    assert next(changes) == Change("MNQ", 1, 0, 0, 1, False)
    engine.writers["MES"].publish([(1, 1)], [(2, 1)])
    assert next(changes) == Change("MES", 1, 0, 0, 1, True)
    engine.register(["MES", "MNQ"])
    assert next(changes).symbol == "MNQ"  # it is carried again


def test_it_raises_when_none_of_those_asked_for_is_left(engine: PlainEngine, market: Market) -> None:
    changes = market.watch(["MNQ", "MES"], timeout_s=20.0)
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    assert next(changes).live
    engine.register(["MGC"])
    assert next(changes) == Change("MNQ", 1, 0, 0, 1, False)
    with pytest.raises(UnknownSymbol, match="'MNQ' any more: it was removed"):
        next(changes)


def test_one_symbol_may_be_given_as_it_is(engine: PlainEngine, market: Market) -> None:
    changes = market.watch("MNQ", timeout_s=20.0)
    engine.writers["MES"].publish([(1, 1)], [(2, 1)])
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    assert next(changes).symbol == "MNQ"


def test_a_registry_of_another_layout_raises(engine: PlainEngine, market: Market) -> None:
    changes = market.watch()
    path = engine.folder / FILE_NAME
    older, newer = (f'"layout_version": {LAYOUT_VERSION + n}' for n in (0, 1))
    text = path.read_text().replace(older, newer)
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)
    with pytest.raises(LayoutError, match=f"layout version is {LAYOUT_VERSION + 1}"):
        next(changes)


def test_it_raises_when_the_engine_is_gone_for_good(
    engine: PlainEngine, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = market.watch()
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    assert next(changes).symbol == "MNQ"
    monkeypatch.setattr(presence, "PATIENCE_NS", 1)
    engine.end()
    with pytest.raises(WriterGone, match="default"):
        next(changes)


def test_a_short_absence_is_waited_for(engine: PlainEngine, market: Market) -> None:
    changes = market.watch(timeout_s=0.35)
    engine.end()
    assert list(changes) == []
    assert market["MNQ"].status().reason == "the engine has ended"
    engine.start(["MNQ", "MES"])
    engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
    market["MNQ"]._follower.presence.look(boottime_ns())
    assert market["MNQ"].quote().bid == 0.25
