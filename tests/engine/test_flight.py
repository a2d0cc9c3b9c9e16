"""engine/flight.py: one fetch for all who want the same, whoever of them goes away."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from engine.flight import Flights


class Fetch:
    """A fetch that ends when it is let, and knows how it went."""

    def __init__(self) -> None:
        self.calls = 0
        self.cancelled = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.calls += 1
        number = self.calls
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if number == 13:
            raise OSError("unlucky")
        return number


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def run(use: Callable[[Flights[int], Fetch], Awaitable[None]]) -> None:
    async def go() -> None:
        flights: Flights[int] = Flights()
        await use(flights, Fetch())
        await turns()
        assert not flights._flights  # nothing stays behind
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(go())


def test_many_callers_one_fetch() -> None:
    async def use(flights: Flights[int], fetch: Fetch) -> None:
        callers = [asyncio.ensure_future(flights.join("a", fetch)) for _ in range(50)]
        await turns()
        fetch.go.set()
        assert await asyncio.gather(*callers) == [1] * 50
        assert (fetch.calls, flights.joined) == (1, 49)

    run(use)


def test_other_keys_and_later_callers_have_fetches_of_their_own() -> None:
    async def use(flights: Flights[int], fetch: Fetch) -> None:
        fetch.go.set()
        assert sorted(await asyncio.gather(flights.join("a", fetch), flights.join("b", fetch))) == [1, 2]
        assert await flights.join("a", fetch) == 3
        assert flights.joined == 0

    run(use)


@pytest.mark.parametrize("leaving", [0, 1, 2])
def test_a_caller_who_is_cancelled_takes_it_from_nobody(leaving: int) -> None:
    async def use(flights: Flights[int], fetch: Fetch) -> None:
        callers = [asyncio.ensure_future(flights.join("a", fetch)) for _ in range(3)]
        await turns()
        callers[leaving].cancel()
        await turns()
        fetch.go.set()
        answers = await asyncio.gather(*callers, return_exceptions=True)
        assert isinstance(answers.pop(leaving), asyncio.CancelledError)
        assert answers == [1, 1]
        assert (fetch.calls, fetch.cancelled) == (1, 0)

    run(use)


def test_when_all_are_gone_the_fetch_ends_and_the_next_caller_begins_one() -> None:
    async def use(flights: Flights[int], fetch: Fetch) -> None:
        callers = [asyncio.ensure_future(flights.join("a", fetch)) for _ in range(3)]
        await turns()
        for caller in callers:
            caller.cancel()
        await asyncio.sleep(0)
        late = asyncio.ensure_future(flights.join("a", fetch))  # before the cancelled fetch has ended
        await turns()
        assert (fetch.calls, fetch.cancelled) == (2, 1)
        fetch.go.set()
        assert await late == 2

    run(use)


def test_who_comes_when_it_has_just_ended_begins_a_new_one() -> None:
    async def use(flights: Flights[int], fetch: Fetch) -> None:
        late: list[asyncio.Future[int]] = []

        async def ending() -> int:
            late.append(asyncio.ensure_future(flights.join("a", fetch)))  # runs before those who wait are told
            return 0

        fetch.go.set()
        assert await flights.join("a", ending) == 0
        await turns()
        assert await late[0] == 1

    run(use)


def test_an_error_goes_to_all_who_wait_and_is_not_kept() -> None:
    async def use(flights: Flights[int], fetch: Fetch) -> None:
        fetch.calls = 12
        callers = [asyncio.ensure_future(flights.join("a", fetch)) for _ in range(3)]
        await turns()
        fetch.go.set()
        errors = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(error, OSError) for error in errors)
        assert await flights.join("a", fetch) == 14

    run(use)


def test_an_error_that_nobody_waits_for_any_more_is_not_left_unheard(caplog: pytest.LogCaptureFixture) -> None:
    async def use(flights: Flights[int], fetch: Fetch) -> None:
        fetch.calls = 12
        caller = asyncio.ensure_future(flights.join("a", fetch))
        await turns()
        fetch.go.set()
        await asyncio.sleep(0)  # the fetch has failed now, and its caller does not know yet
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

    run(use)
    gc.collect()
    assert not caplog.records
