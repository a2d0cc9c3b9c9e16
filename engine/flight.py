"""Single flight: who asks for what is just being fetched waits for that fetch and makes none.

A fetch runs in a task of its own, so that a caller who is cancelled takes it from nobody else; when the last one who
wants it is gone it is cancelled too, and who comes then begins a new one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Flight(Generic[Answer]):
    task: asyncio.Future[Answer]
    waiting: int = 0


class Flights(Generic[Answer]):
    """Fetches under way, by key. `joined` counts the callers who made none. An error goes to all who wait."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[Answer]] = {}
        self.joined = 0

    async def join(self, key: Hashable, fetch: Callable[[], Awaitable[Answer]]) -> Answer:
        """What `fetch` gives, by the fetch under way for `key` if there is one. Raises what it raises."""
        flight = self._flights.get(key)
        if flight is None or flight.task.done():
            flight = self._flights[key] = _Flight(asyncio.ensure_future(fetch()))
            flight.task.add_done_callback(_hear)
        else:
            self.joined += 1
        flight.waiting += 1
        try:
            await asyncio.wait([flight.task])
            return flight.task.result()
        finally:
            flight.waiting -= 1
            over = flight.task.done()
            if (over or not flight.waiting) and self._flights.get(key) is flight:
                del self._flights[key]
            if not over and not flight.waiting:
                flight.task.cancel()


def _hear(task: "asyncio.Future[Answer]") -> None:
    """An error is no news for the log if all who waited for it were cancelled at that moment."""
    if not task.cancelled():
        task.exception()
