"""What the supervisor says on our standard input: first the job, and then which instruments come and go.

One JSON object a line. After the job:

    {"do": "check", "symbol": {…}}     could an instrument be fed with these settings? Answered checked, or refused
    {"do": "add", "symbol": {…}}       its segments are there: feed it. Answered added, or refused
    {"do": "remove", "symbol": "MNQ"}  let go of its ring. Answered removed, when nobody here writes to it any more

An answer is one line on standard output: {"event", "symbol"}, and for refused the sentence as "message", and "final":
whether the same settings will be refused for ever. Of one symbol only one thing is under way at a time; the
supervisor keeps to that, so what can be on its way is bounded.

What the venue refuses of a successor's job is told unasked: let_go, with the sentence as "message" (__main__.py).
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Final

from shm.errors import LayoutError

from .config import MAX_SYMBOLS, SymbolSettings, symbol_from_json
from .http import VenueError, VenueRefusal
from .instruments import Instruments
from .lines import Lines
from .rules import ConfigError

MAX_UNDER_WAY: Final = 2 * MAX_SYMBOLS  # those of the settings in force, and as many that shall take their place
_SOURCE: Final = "the supervisor"

_log = logging.getLogger(__name__)

Answer = Callable[[dict[str, object]], None]


class Control:
    """Does what the supervisor says, each thing in a task of its own."""

    def __init__(self, lines: Lines, instruments: Instruments, answer: Answer) -> None:
        self._lines = lines
        self._instruments = instruments
        self._answer = answer
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Listen until cancelled."""
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        loop.add_reader(self._lines.fileno(), news.set)
        try:
            while not self._lines.ended:
                await news.wait()
                news.clear()
                for line in self._lines.take():
                    self._begin(line)
            loop.remove_reader(self._lines.fileno())
            await asyncio.Event().wait()  # the supervisor has ended, and so shall we in a moment
        finally:
            loop.remove_reader(self._lines.fileno())
            for task in self._under_way:
                task.cancel()

    def _begin(self, line: bytes) -> None:
        try:
            wish: Any = json.loads(line)
        except (ValueError, RecursionError):
            wish = None
        if not isinstance(wish, dict) or wish.keys() != {"do", "symbol"} or len(self._under_way) >= MAX_UNDER_WAY:
            _log.error("%s said what cannot be done: %.200r", _SOURCE, line)
            return
        task = asyncio.get_running_loop().create_task(self._do(wish["do"], wish["symbol"]))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _do(self, what: object, value: object) -> None:
        symbol = value.get("symbol") if isinstance(value, dict) else value
        try:
            done = await self._done(what, value)
        except (ConfigError, LayoutError, VenueError, OSError) as error:
            final = not isinstance(error, VenueError) or isinstance(error, VenueRefusal)
            self._answer({"event": "refused", "symbol": symbol, "message": str(error), "final": final})
        else:
            self._answer({"event": done, "symbol": symbol})

    async def _done(self, what: object, value: object) -> str:
        """Do it; the word that answers it."""
        if what == "remove" and isinstance(value, str):
            await self._instruments.remove(value)
            return "removed"
        settings: SymbolSettings = symbol_from_json(value, _SOURCE)
        if what == "check":
            await self._instruments.check(settings)
            return "checked"
        if what == "add":
            await self._instruments.add(settings)
            return "added"
        raise ConfigError(f"{_SOURCE}: {what!r} is nothing that an engine does: update the older of the two")
