"""engine/history/fetching.py: all bars once whatever the venue leaves open, few at once, kept, joined, cancellable."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from engine.budget import Limit
from engine.history import page
from engine.history.fetching import AT_ONCE, BESIDE_A_FEED, SETTLED_NS, Fetched, History
from engine.history.planning import HistoryRefusal
from engine.http import Times, VenueError, VenueRefusal
from shm.timeframe import parse
from tests.engine.history.kept_bars import MNQ, SECOND_NS, TICK, KeptBars, seconds, sent

START_S = 1_795_300_000
NOW_NS = (START_S + 500_000) * SECOND_NS
FREE = Limit(10**6, 1.0)
ONE = parse("1s")
CASES = 150


def a_history(venue: KeptBars, page_bars: int = 12, *, limit: Limit = FREE, now_ns: int = NOW_NS) -> History:
    return History(venue, limit, page_bars=page_bars, now_ns=lambda: now_ns)


def range_of(start: int, end: int) -> tuple[int, int]:
    return (START_S + start) * SECOND_NS, (START_S + end) * SECOND_NS


async def starts(history: History, *ranges: tuple[int, int]) -> list[int]:
    """Of the bars in ranges of seconds after START_S."""
    fetched = await history.fetch(MNQ, TICK, ONE, [range_of(*one) for one in ranges])
    return [int(start) // SECOND_NS - START_S for start in fetched.rows["start_ns"]]


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 60))


def kept(*numbers: int) -> KeptBars:
    return KeptBars({MNQ: [sent(START_S + number) for number in numbers]})


def test_no_bar_is_lost_or_doubled_whatever_the_venue_does_not_promise(seed: int) -> None:
    chance = random.Random(seed)

    async def story() -> None:
        for _ in range(CASES):
            numbers = sorted(chance.sample(range(100), chance.randrange(100)))
            venue = kept(*numbers)
            venue.start_is_in, venue.end_is_in = chance.random() < 0.5, chance.random() < 0.5
            venue.keeps_newest = chance.random() < 0.7
            venue.chance = chance if chance.random() < 0.5 else None
            ranges = [
                (start, start + chance.randrange(60)) for start in chance.sample(range(100), chance.randrange(1, 4))
            ]
            found = await starts(a_history(venue, chance.randrange(4, 20)), *ranges)
            wanted = {number for start, end in ranges for number in range(start, end)} & set(numbers)
            assert found == sorted(set(found)), "each once, in order"
            assert wanted <= set(found) <= set(numbers)

    run(story())


@pytest.mark.parametrize("keeps_newest", [True, False])
def test_a_page_that_comes_full_against_all_planning_is_asked_for_again(keeps_newest: bool) -> None:
    """Two bars a second are none of ours, but fill the page: its rest would be cut unseen."""

    async def story() -> None:
        venue = KeptBars({MNQ: [sent(START_S + number // 2) for number in range(40)]})
        venue.keeps_newest = keeps_newest
        history = a_history(venue)
        fetched = await history.fetch(MNQ, TICK, ONE, [range_of(0, 20)])
        assert fetched.rows["start_ns"].tolist() == [(START_S + number) * SECOND_NS for number in range(20)]
        assert set(fetched.refused) == {page.TWICE}

    run(story())


def test_a_venue_that_sends_full_pages_without_end_is_given_up() -> None:
    class Endless(KeptBars):
        async def bars(self, body: dict[str, object], limit: int) -> list[Any]:
            self.asked.append(body)
            return [sent(int(seconds(body["startTime"])) + 2)] * limit

    class Elsewhere(KeptBars):
        async def bars(self, body: dict[str, object], limit: int) -> list[Any]:
            return [sent(START_S - 1000)] * limit

    async def story() -> None:
        endless = Endless({})
        with pytest.raises(VenueError, match="full pages"):
            await a_history(endless, 200).fetch(MNQ, TICK, ONE, [range_of(0, 190)])
        assert 16 <= len(endless.asked) <= 32, "two windows may be at work"
        with pytest.raises(VenueError, match="no bar of it is of the time"):
            await a_history(Elsewhere({})).fetch(MNQ, TICK, ONE, [range_of(0, 5)])

    run(story())


def test_a_request_names_the_fields_of_the_venue() -> None:
    async def story() -> None:
        venue = kept(1)
        await a_history(venue, 100).fetch(MNQ, TICK, parse("5min"), [(1_795_299_900_000_000_000, NOW_NS)])
        (body,) = venue.asked[-1:]
        assert body == {
            "contractId": MNQ,
            "live": False,
            "startTime": "2026-11-21T22:20:00+00:00",
            "endTime": body["endTime"],
            "unit": 2,
            "unitNumber": 5,
            "limit": 100,
            "includePartialBar": False,
        }

    run(story())


def test_a_bar_that_is_not_over_is_not_asked_for() -> None:
    async def story() -> None:
        venue = kept(*range(10))
        now_ns = (START_S + 7) * SECOND_NS + 5
        assert await starts(a_history(venue, now_ns=now_ns), (0, 10)) == list(range(7))
        asked = len(venue.asked)
        assert await starts(a_history(venue, now_ns=now_ns), (8, 10)) == []
        assert len(venue.asked) == asked

    run(story())


def test_pages_go_at_once_and_not_all_and_say_how_far_they_are() -> None:
    async def story() -> None:
        venue = kept(*range(100))
        told: list[tuple[int, int]] = []
        history = a_history(venue)
        fetched = await history.fetch(
            MNQ, TICK, ONE, [range_of(0, 100)], lambda done, planned: told.append((done, planned))
        )
        assert len(fetched.rows) == 100
        pages = len(venue.asked)
        assert told == [(done, pages) for done in range(1, pages + 1)]
        assert venue.most_under_way == AT_ONCE < pages
        ends = [seconds(body["endTime"]) for body in venue.asked]
        assert ends == sorted(ends, reverse=True), "the newest first"

    run(story())


def test_it_keeps_to_its_part_of_the_budget() -> None:
    """A clock of its own: no window of 30 s has more than eight requests."""

    async def story() -> None:
        venue = kept(*range(200))
        now_s, sent_s = [0.0], list[float]()

        async def sleep(pause_s: float) -> None:
            now_s[0] += pause_s

        class Noting(KeptBars):
            async def bars(self, body: dict[str, object], limit: int) -> list[Any]:
                sent_s.append(now_s[0])
                return await super().bars(body, limit)

        times = Times(now_s=lambda: now_s[0], sleep=sleep)
        history = History(Noting(venue.bars_of), BESIDE_A_FEED, page_bars=12, now_ns=lambda: NOW_NS, times=times)
        assert len(await starts(history, (0, 200))) == 200
        assert len(sent_s) >= 20
        assert all(
            later - earlier >= 30.0 for earlier, later in zip(sent_s, sent_s[BESIDE_A_FEED.requests :], strict=False)
        )

    run(story())


def test_pages_of_the_past_are_kept_and_new_ones_are_not() -> None:
    async def story() -> None:
        venue = kept(*range(100))
        now_ns = (START_S + 100) * SECOND_NS + SETTLED_NS - 20 * SECOND_NS
        history = a_history(venue, now_ns=now_ns)
        first = await starts(history, (0, 100))
        asked = len(venue.asked)
        assert await starts(history, (0, 100)) == first == list(range(100))
        again = venue.asked[asked:]
        assert 0 < len(again) < asked
        assert all(seconds(body["endTime"]) > START_S + 80 for body in again)
        assert venue.caches.market_data.hits == asked - len(again)

    run(story())


def test_who_asks_for_the_same_at_once_gets_one_answer() -> None:
    async def story() -> None:
        for now_ns in (NOW_NS, (START_S + 30) * SECOND_NS):  # pages that are kept, and pages that are not
            venue = kept(*range(30))
            venue.gate = asyncio.Event()
            history = a_history(venue, now_ns=now_ns)
            callers = [asyncio.ensure_future(starts(history, (0, 30))) for _ in range(10)]
            await _turns()
            venue.gate.set()
            assert await asyncio.gather(*callers) == [list(range(30))] * 10
            pages = len(venue.asked)
            assert len({str(body["startTime"]) for body in venue.asked}) == pages
            assert history.joined + venue.caches.market_data.joined == 9 * pages

    run(story())


def test_who_is_cancelled_asks_for_nothing_more() -> None:
    async def story() -> None:
        venue = kept(*range(100))
        venue.gate = asyncio.Event()
        history = a_history(venue)
        tasks = len(asyncio.all_tasks())
        caller = asyncio.ensure_future(starts(history, (0, 100)))
        await _turns()
        assert venue.under_way == AT_ONCE
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await _turns()
        assert (venue.under_way, len(venue.asked)) == (0, AT_ONCE)
        assert len(asyncio.all_tasks()) == tasks
        venue.gate.set()
        assert await starts(history, (0, 100)) == list(range(100)), "who comes later is served"

    run(story())


@pytest.mark.parametrize(
    ("fetch", "error"),
    [
        (lambda history: history.fetch("CON.F.US.XYZ.Z26", TICK, ONE, [range_of(0, 50)]), VenueRefusal),
        (lambda history: history.fetch(MNQ, TICK, parse("1day"), [range_of(0, 50)]), HistoryRefusal),
        (lambda history: history.fetch(MNQ, TICK, ONE, [(0, 10**18)]), HistoryRefusal),
        (lambda history: history.fetch(MNQ, TICK, parse("4hr"), [(-(10**20), -(10**20) + 5)]), HistoryRefusal),
    ],
)
def test_what_cannot_be_had_is_one_error(
    fetch: Callable[[History], Awaitable[Fetched]], error: type[Exception]
) -> None:
    async def story() -> None:
        with pytest.raises(error):
            await fetch(a_history(kept(1)))

    run(story())


def test_one_page_that_fails_fails_all_and_what_was_there_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        venue = kept(*range(100))
        venue.failing = {6, 7, 8}
        history = a_history(venue)
        with pytest.raises(VenueError, match=r"request [678] failed"):
            await starts(history, (0, 100))
        failed_after = len(venue.asked)
        venue.failing = set()
        assert await starts(history, (0, 100)) == list(range(100))
        assert len(venue.asked) < failed_after + 10, "pages that had come are not asked for again"

    run(story())
    assert not caplog.records, "nobody's error is left unheard"


async def _turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
