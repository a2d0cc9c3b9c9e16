"""What the engine asks the venue for on behalf of the keeper, which has no socket: wishes polled, answers down a ring.

The keeper puts wishes into its segment and frees the row of one once it has the whole answer (layout.WISH, ANSWER).
They are taken one at a time, the lowest number first: the pace is the venue's, so two at once would end no sooner, and
no more than a few pages of bars are in memory. An answer waits for room in its ring as long as the keeper needs, in a
task of its own: the feed waits for nobody.

An engine that takes the place of another answers anew all that stands there, and says so by a gap record first: what
came of an answer before it is not gone on with.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np

from shm import layout, segment
from shm.layout import ANSWER, BAR, MAX_ANSWER_ROWS, Answered, Kind, Reason, Rows
from shm.page import fence
from shm.ring import RingWriter
from shm.timeframe import Timeframe, Unit, parse

from .feeds.gateway import PRICE_SCALE, Contract
from .history.fetching import AT_ONCE, History
from .history.planning import HistoryRefusal, length_of, windows
from .http import VenueError, VenueRefusal

LOOK_EVERY_S: Final = 1.0
_TEXT_BYTES: Final = ANSWER["text"].itemsize
_NO_BARS: Final = np.empty(0, BAR)


class Fed(Protocol):
    """What is needed of instruments.py."""

    @property
    def rings(self) -> Mapping[str, object]: ...
    def contract_of(self, symbol: str) -> Contract | None: ...


class Wish(NamedTuple):
    """A row of the keeper's table. All of it is as the keeper says, and may be nonsense."""

    number: int
    symbol: str
    unit: int
    amount: int
    start_ns: int
    end_ns: int

    @property
    def timeframe(self) -> Timeframe:
        """Raises HistoryRefusal if there is none such."""
        try:
            return parse(Timeframe(Unit(self.unit), self.amount).name)
        except ValueError as error:
            raise HistoryRefusal(str(error)) from None


def standing(table: Rows) -> Iterator[Wish]:
    """The wishes in the keeper's table. The number of a row is written last, and none is used twice."""
    for row in table:
        number = int(row["number"])
        fence()  # SYNC wishes: the number before the rest, here; the rest before the number, in the keeper
        kept = row.copy()
        fence()
        if number and number == int(row["number"]):
            symbol = bytes(kept["symbol"]).decode("ascii", "replace")
            yield Wish(number, symbol, *(int(kept[name]) for name in ("unit", "amount", "start_ns", "end_ns")))


class Errands:
    """Answers the wishes of one engine's keeper, whichever process that is."""

    def __init__(self, here: Path, generation: int, fed: Fed, history: History) -> None:
        """`here`: the generation's folder. Raises LayoutError, FileNotFoundError."""
        keeper = segment.attach(here / "keeper", Kind.KEEPER, generation=generation)
        self._table: Rows = keeper.array("wishes")
        answers = segment.attach(here / "keeper.ring", Kind.RING, writable=True, generation=generation)
        answers.claim()
        self._ring = RingWriter(answers.array("words"), generation)
        if not self._ring.fresh:
            self._ring.gap(Reason.ENGINE_RESTART)
            self._ring.publish()
        self._fed = fed
        self._history = history
        self._answered: set[int] = set()  # of those that still stand

    async def run(self) -> None:
        """For ever: answer what is wished for."""
        while True:
            wish = self._next()
            if wish is None:
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                await self._answer(wish)
                self._answered.add(wish.number)

    def _next(self) -> Wish | None:
        """The oldest wish without an answer, but for those of instruments whose contract is just being asked for."""
        wishes = list(standing(self._table))
        self._answered &= {wish.number for wish in wishes}
        due = [wish for wish in wishes if wish.number not in self._answered and self._is_ready(wish)]
        return min(due, default=None)

    def _is_ready(self, wish: Wish) -> bool:
        return wish.symbol not in self._fed.rings or self._fed.contract_of(wish.symbol) is not None

    def _stands(self, wish: Wish) -> bool:
        return wish.number in (each.number for each in standing(self._table))

    async def _answer(self, wish: Wish) -> None:
        """All of it, or why not. Nothing more is asked or said once the keeper has let go of the wish."""
        answer = np.zeros(1, ANSWER)
        answer["number"], answer["settled_ns"] = wish.number, self._history.settled_ns
        try:
            contract = self._fed.contract_of(wish.symbol)
            if contract is None:
                raise VenueError(f"there is no instrument {wish.symbol} now")
            answer["price_scale"], answer["price_increment"] = PRICE_SCALE, contract.price_increment
            answer["refused"] = await self._fetch(wish, contract, answer.copy())
            how, why = Answered.DONE, ""
        except (HistoryRefusal, VenueRefusal) as error:
            how, why = Answered.NEVER, str(error)
        except VenueError as error:
            how, why = Answered.LATER, str(error)
        answer["answered"], answer["text"] = how, why.encode()[:_TEXT_BYTES].decode(errors="ignore").encode()
        await self._say(wish, answer)

    async def _fetch(self, wish: Wish, contract: Contract, answer: Rows) -> int:
        """Fetch the bars and say them, a few pages after the other; how many rows of the venue's were left out.

        Raises HistoryRefusal, VenueError, VenueRefusal.
        """
        timeframe = wish.timeframe
        pages = windows([(wish.start_ns, wish.end_ns)], length_of(timeframe))[::-1]
        answer["answered"] = Answered.MORE
        refused = 0
        for first in range(0, len(pages), AT_ONCE):
            if not self._stands(wish):
                break
            these = pages[first : first + AT_ONCE]
            fetched = await self._history.fetch(contract.contract_id, contract.price_increment, timeframe, these)
            refused += fetched.refused.total()
            for at in range(0, len(fetched.rows), MAX_ANSWER_ROWS):
                await self._say(wish, answer, fetched.rows[at : at + MAX_ANSWER_ROWS])
        return refused

    async def _say(self, wish: Wish, answer: Rows, rows: Rows = _NO_BARS) -> None:
        """One record, as soon as the ring has room: half of it, where a record and its padding need a quarter."""
        answer["rows"] = len(rows)
        while self._stands(wish):
            if self._ring.backlog_bytes <= layout.KEEPER_RING_BYTES // 2:
                self._ring.push(answer.tobytes() + rows.tobytes())
                self._ring.publish()
                return
            await asyncio.sleep(LOOK_EVERY_S)
