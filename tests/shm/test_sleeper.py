"""Waiting in an event loop: on memory alone, then through every object that can be awaited."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import numpy as np
import pytest
import uvloop

from shm import BUY, Change, Instrument, Market, Trade, UnknownSymbol, WriterGone, presence, sleeper
from shm.wake import load
from tests.shm import plain_writer
from tests.shm.plain_writer import PlainEngine, PlainWriter
from tests.waiting import wait_for

Found = TypeVar("Found")

LIMIT_S = 20.0
GONE_LIMIT_S = 5.0  # generous to a busy machine; what is promised is that no sleep is longer than MAX_SLEEP_NS


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    wait_for(lambda: not _threads(), GONE_LIMIT_S, "the end of every sleeper")
    assert sleeper._sleepers == {}


@pytest.fixture
def words() -> np.ndarray:
    return np.zeros(16, np.int64)


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "shm sleeper"]


def _run(started: Callable[[], Awaitable[Found]]) -> Found:
    async def bounded() -> Found:
        return await asyncio.wait_for(started(), LIMIT_S)

    return asyncio.run(bounded())


def _change(words: np.ndarray, index: int) -> int:
    words[index] += 1
    return plain_writer.wake(words, index)


async def _until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


# ── a word ────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_value_suspends_but_starts_no_thread(words: np.ndarray) -> None:
    assert _run(lambda: sleeper.wait(words.data.cast("B"), 64, 7, LIMIT_S))
    assert _threads() == []


def test_it_is_over_when_the_time_is(words: np.ndarray) -> None:
    assert not _run(lambda: sleeper.wait(words.data.cast("B"), 64, 0, 0.02))


def test_without_news_it_ends_in_time_and_asks_after_each_silence(words: np.ndarray) -> None:
    memory = words.data.cast("B")
    silences: list[int] = []
    assert not _run(lambda: sleeper.until_news(lambda: load(memory, 64), lambda: silences.append(1), 0.25))
    assert silences


def test_a_word_that_changed_is_no_silence(words: np.ndarray) -> None:
    memory = words.data.cast("B")
    looks = iter([(memory, 64, 6), (memory, 64, 6), None])
    assert _run(lambda: sleeper.until_news(lambda: next(looks), pytest.fail, LIMIT_S))


def test_many_tasks_and_one_thread_for_a_word(words: np.ndarray) -> None:
    async def scene() -> list[bool]:
        memory = words.data.cast("B")
        tasks = [asyncio.create_task(sleeper.wait(memory, 64, 0, LIMIT_S)) for _ in range(50)]
        await asyncio.sleep(0)
        assert len(_threads()) == 1
        _change(words, 8)
        return await asyncio.gather(*tasks)

    assert _run(scene) == [True] * 50


def test_only_who_has_not_seen_it_is_woken(words: np.ndarray) -> None:
    async def scene() -> None:
        memory = words.data.cast("B")
        first = asyncio.create_task(sleeper.wait(memory, 64, 0, LIMIT_S))
        other = asyncio.create_task(sleeper.wait(memory, 0, 0, LIMIT_S))
        await asyncio.sleep(0)
        _change(words, 8)
        assert await first
        assert not other.done()
        _change(words, 0)
        assert await other

    _run(scene)


def test_no_change_is_missed_however_it_falls(words: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes race with the joining of the wait, the thread's going to sleep, and its waiting for the next task."""
    monkeypatch.setattr(sleeper, "_SLEEP_S", LIMIT_S)  # else the end of its sleep would repair what was missed
    turns = 2000
    answered = threading.Event()

    def change() -> None:
        for _ in range(turns):
            if not answered.wait(LIMIT_S):
                return
            answered.clear()
            _change(words, 8)

    async def scene() -> None:
        memory = words.data.cast("B")
        for turn in range(turns):
            answered.set()
            assert await sleeper.wait(memory, 64, turn, LIMIT_S / 4), f"change {turn} was missed"

    changer = threading.Thread(target=change)
    changer.start()
    _run(scene)
    changer.join(LIMIT_S)
    assert words[8] == turns


def test_under_uvloop_too(words: np.ndarray) -> None:
    async def scene() -> bool:
        task = asyncio.create_task(sleeper.wait(words.data.cast("B"), 64, 0, LIMIT_S))
        await asyncio.sleep(0)
        _change(words, 8)
        return await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(scene())


def test_a_cancelled_wait_leaves_no_thread(words: np.ndarray) -> None:
    async def scene() -> None:
        task = asyncio.create_task(sleeper.wait(words.data.cast("B"), 64, 0, LIMIT_S))
        await asyncio.sleep(0)
        assert len(_threads()) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _until(lambda: not _threads())  # while the loop lives on

    _run(scene)


def test_a_thread_serves_waits_that_follow_each_other(words: np.ndarray) -> None:
    async def scene() -> None:
        memory = words.data.cast("B")
        seen: set[int | None] = set()
        for turn in range(20):
            task = asyncio.create_task(sleeper.wait(memory, 64, turn, LIMIT_S))
            await asyncio.sleep(0)
            seen.update(thread.ident for thread in _threads())
            _change(words, 8)
            assert await task
        assert len(seen) < 20  # one, unless the machine held it up for longer than it stays

    _run(scene)


def test_a_loop_that_was_closed_over_a_wait_keeps_no_thread(words: np.ndarray) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(sleeper.wait(words.data.cast("B"), 64, 0, LIMIT_S))
    loop.run_until_complete(asyncio.sleep(0))
    assert len(_threads()) == 1
    loop.close()
    wait_for(lambda: not _threads(), GONE_LIMIT_S, "the end of the sleeper")
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_wait_that_the_collector_ends_needs_no_lock(words: np.ndarray) -> None:
    """The collector may run inside our own locked code, in the same thread: a lock taken there is never let go."""
    loop = asyncio.new_event_loop()
    waiting = sleeper.wait(words.data.cast("B"), 64, 0, LIMIT_S)
    task = loop.create_task(waiting)
    loop.run_until_complete(asyncio.sleep(0))
    ended: list[bool] = []

    def end() -> None:
        with sleeper._lock:
            waiting.close()
            ended.append(True)

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    thread.join(GONE_LIMIT_S)
    assert ended
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()


def test_two_loops_have_a_thread_each(words: np.ndarray) -> None:
    memory = words.data.cast("B")
    done: list[bool] = []
    threads = [
        threading.Thread(target=lambda: done.append(asyncio.run(sleeper.wait(memory, 64, 0, LIMIT_S))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(_threads()) == 2, LIMIT_S, "two sleepers")
    _change(words, 8)
    for thread in threads:
        thread.join(LIMIT_S)
    assert done == [True, True]


# ── an instrument, its streams, and the watch ─────────────────────────────────────────────────────────────


def test_a_tape(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish([(100, 1)], [(101, 1)])

    async def scene() -> list[Trade]:
        got: list[Trade] = []
        tape = mnq.tape()

        async def collect() -> None:
            async for trade in tape:
                got.append(trade)
                if len(got) == 3:
                    return

        task = asyncio.create_task(collect())
        for n in range(3):
            await asyncio.sleep(0)
            writer.trade((100 + n, 1, BUY), sequence=n)
            await _until(lambda expected=n + 1: len(got) == expected)  # type: ignore[misc]
        await task
        return got

    assert [trade.price for trade in _run(scene)] == [25.0, 25.25, 25.5]


def test_quotes(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish([(100, 1)], [(101, 1)])

    async def scene() -> float:
        quotes = mnq.quotes()
        task = asyncio.create_task(anext(quotes))
        await asyncio.sleep(0)
        writer.quote(86400, 3, 86401, 4)
        return (await task).bid

    assert _run(scene) == 21600.0


def test_a_closed_tape_ends_also_while_it_waits(mnq: Instrument) -> None:
    async def scene() -> list[Trade]:
        tape = mnq.tape()

        async def collect() -> list[Trade]:
            return [trade async for trade in tape]

        task = asyncio.create_task(collect())
        await asyncio.sleep(0)
        tape.close()
        return await task

    assert _run(scene) == []


def test_a_busy_tape_lets_other_tasks_run(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish([(100, 1)], [(101, 1)])

    async def scene() -> int:
        turns = 0
        going = True

        async def count() -> None:
            nonlocal turns
            while going:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(count())
        read = 0
        tape = mnq.tape()
        writer.trade((1, 1, BUY))
        async for _ in tape:  # there is always one more, so it never has to wait
            writer.trade((1, 1, BUY))
            read += 1
            if read == 100:
                break
        going = False
        await other
        return turns

    assert _run(scene) >= 100


def test_a_tape_goes_on_with_a_new_generation(engine: PlainEngine, writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish([(100, 1)], [(101, 1)])

    async def scene() -> tuple[int, int]:
        tape = mnq.tape()
        task = asyncio.create_task(anext(tape))
        await asyncio.sleep(0)
        writer.hear(1)
        engine.start(["MNQ"])
        engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
        engine.writers["MNQ"].trade((7, 1, BUY), sequence=9)
        return (await task).sequence, tape.restarts

    assert _run(scene) == (9, 1)


def test_a_tape_ends_when_the_engine_is_gone(
    engine: PlainEngine, mnq: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "PATIENCE_NS", 1)
    engine.end()
    with pytest.raises(WriterGone, match="scripts/launch"):
        _run(lambda: anext(mnq.tape()))


def test_a_watch(engine: PlainEngine, market: Market) -> None:
    async def scene() -> list[Change]:
        got: list[Change] = []

        async def collect() -> None:
            async for change in market.watch(["MNQ", "MES"], timeout_s=LIMIT_S):
                got.append(change)
                if len(got) == 2:
                    return

        task = asyncio.create_task(collect())
        await asyncio.sleep(0)
        for n, symbol in enumerate(("MES", "MNQ")):
            engine.writers[symbol].publish([(1, 1)], [(2, 1)])
            await _until(lambda expected=n + 1: len(got) == expected)  # type: ignore[misc]
        await task
        return got

    assert [change.symbol for change in _run(scene)] == ["MES", "MNQ"]


def test_a_watch_ends_after_its_time(engine: PlainEngine, market: Market) -> None:
    async def scene() -> list[Change]:
        watch = market.watch(timeout_s=0.05)
        engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
        return [change async for change in watch]

    assert _run(scene) == [Change("MNQ", 1, 0, 0, 1, True)]


def test_a_busy_watch_lets_other_tasks_run(engine: PlainEngine, market: Market) -> None:
    async def scene() -> int:
        watch = market.watch()
        other = asyncio.create_task(_count_to(50))
        for _ in range(200):
            engine.writers["MNQ"].publish([(1, 1)], [(2, 1)])
            await anext(watch)
        assert other.done()
        return await other

    assert _run(scene) == 50


async def _count_to(turns: int) -> int:
    for _ in range(turns):
        await asyncio.sleep(0)
    return turns


def test_a_watch_raises_what_the_sync_one_raises(engine: PlainEngine, market: Market) -> None:
    watch = market.watch(["MNQ"])
    engine.start(["MES"])
    with pytest.raises(UnknownSymbol, match="MNQ"):
        _run(lambda: anext(watch))


def test_waiting_for_an_instrument(writer: PlainWriter, mnq: Instrument) -> None:
    async def scene() -> tuple[bool, bool, bool]:
        before = await mnq.wait_async(0.01)
        task = asyncio.create_task(mnq.wait_async(LIMIT_S))
        await asyncio.sleep(0)
        writer.publish([(1, 1)], [(2, 1)])
        return before, await task, await mnq.wait_async(0.01)

    assert _run(scene) == (False, True, False)
    assert not mnq.wait(0.01)  # what one has seen is no news to the other


def test_a_market_may_be_closed_while_a_cancelled_task_still_has_its_thread(mnq: Instrument, market: Market) -> None:
    async def scene() -> None:
        task = asyncio.create_task(anext(mnq.tape()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(_threads()) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        market.close()

    _run(scene)


def test_a_task_that_waits_while_its_market_is_closed_is_told(mnq: Instrument, market: Market) -> None:
    async def scene() -> None:
        task = asyncio.create_task(anext(mnq.tape()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        market.close()
        with pytest.raises(ValueError, match="closed"):
            await task

    _run(scene)


def test_who_awaits_nothing_imports_no_asyncio() -> None:
    code = "import sys, shm, shm.depth; print(*{'asyncio', 'polars'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
