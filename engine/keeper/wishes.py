"""What the keeper wants of the venue's history, and what it gets: wishes in its own segment, answers down a ring.

The keeper has no socket. The engine looks at the wishes each second and asks the venue; its answers come in parts. An
engine that was started again says so with a gap record, and answers all that stand there from their beginning.
"""

import logging
from typing import Final, NamedTuple

import numpy as np

from shm.fenced import fence, store_fence
from shm.layout import ANSWER, BAR, HEAD, MAX_WISHES, TAIL, Answered, Record, Rows, Words
from shm.records import AFTER, AT, KIND, PEEK_WORDS, SIZE, peek
from shm.ring import release
from shm.timeframe import Timeframe

MAX_BARS: Final = 20_000  # of a wish: a page of the venue's, or two
MAX_PARTS_BARS: Final = 4 * MAX_BARS  # what nobody asked for is not collected without end

_log = logging.getLogger(__name__)


class Wish(NamedTuple):
    """Bars that begin in [start_ns, end_ns)."""

    symbol: str
    timeframe: Timeframe
    start_ns: int
    end_ns: int


class Answer(NamedTuple):
    """`rows`: layout.BAR, sorted, each start once; without number, sequence, revision and trading day."""

    wish: Wish
    answered: Answered
    rows: Rows
    refused: int  # rows of the venue's that could not be taken
    settled_ns: int  # what was over by then changes no more
    price_scale: int
    price_increment: int
    text: str


class Wishes:
    """The table of wishes, which this process alone writes, and the ring of answers."""

    def __init__(self, table: Rows, ring: Words, boottime_ns: int) -> None:
        """`table`: layout.WISH rows of a writable Kind.KEEPER segment. `ring`: the words of a writable Kind.RING.

        Wishes of a keeper before this one are withdrawn. Numbers begin with the clock, so none is used twice.
        """
        self._table = table
        self._ring = ring
        self._next = boottime_ns
        self._places: dict[int, int] = {}
        self._wishes: dict[int, Wish] = {}
        self._parts: dict[int, list[Rows]] = {}
        self._row = np.zeros(PEEK_WORDS, np.int64)
        table["number"] = 0

    @property
    def free(self) -> int:
        """How many more there can be."""
        return MAX_WISHES - len(self._places)

    def put(self, wish: Wish) -> int:
        """Ask for it; its number. IndexError if none is `free`."""
        place = min(set(range(MAX_WISHES)) - set(self._places.values()), default=MAX_WISHES)
        number, self._next = self._next, self._next + 1
        row = self._table[place]
        row["unit"], row["amount"] = wish.timeframe
        row["start_ns"], row["end_ns"] = wish.start_ns, wish.end_ns
        row["symbol"] = wish.symbol.encode("ascii")
        store_fence()
        row["number"] = number
        self._places[number], self._wishes[number], self._parts[number] = place, wish, []
        return number

    def withdraw(self, number: int) -> None:
        """It is answered, or nobody wants it any more."""
        self._table[self._places.pop(number)]["number"] = 0
        del self._wishes[number], self._parts[number]

    def take(self) -> list[tuple[int, Answer]]:
        """Wishes that were answered, by number, and are withdrawn."""
        answers: list[tuple[int, Answer]] = []
        position, tail = int(self._ring[HEAD]), int(self._ring[TAIL])
        fence()
        while peek(self._ring, position, tail, self._row):
            position = int(self._row[AFTER])
            if int(self._row[KIND]) == Record.GAP:  # an engine in place of another: its answers begin anew
                for parts in self._parts.values():
                    parts.clear()
            elif int(self._row[KIND]) == Record.DATA:
                at, size = int(self._row[AT]), int(self._row[SIZE])
                answers += self._read(self._ring.view(np.uint8)[at : at + size].tobytes())
            release(self._ring, position)
        return answers

    def _read(self, payload: bytes) -> list[tuple[int, Answer]]:
        """One record; what it completes."""
        head = np.frombuffer(payload[: ANSWER.itemsize].ljust(ANSWER.itemsize, b"\0"), ANSWER)[0]
        number, count = int(head["number"]), int(head["rows"])
        if len(payload) != ANSWER.itemsize + count * BAR.itemsize or int(head["answered"]) not in tuple(Answered):
            _log.error("the engine sent %d bytes that are no answer; they are thrown away", len(payload))
            return []
        if number not in self._wishes:
            return []
        parts = self._parts[number]
        parts.append(np.frombuffer(payload, BAR, count, ANSWER.itemsize))
        answered = Answered(int(head["answered"]))
        too_many = sum(map(len, parts)) > MAX_PARTS_BARS
        if answered == Answered.MORE and not too_many:
            return []
        if too_many:
            answered = Answered.LATER
        rows = _each_once(np.concatenate(parts), self._wishes[number])
        made = Answer(
            self._wishes[number],
            answered,
            rows,
            int(head["refused"]),
            int(head["settled_ns"]),
            int(head["price_scale"]),
            int(head["price_increment"]),
            "more bars than were asked for" if too_many else head["text"].decode(errors="replace"),
        )
        self.withdraw(number)
        return [(number, made)]


def _each_once(rows: Rows, wish: Wish) -> Rows:
    """Those that the wish is about, in order; of one start the last that came."""
    rows = rows[(rows["start_ns"] >= wish.start_ns) & (rows["start_ns"] < wish.end_ns)]
    _, places = np.unique(rows["start_ns"][::-1], return_index=True)
    return rows[len(rows) - 1 - places]
