"""The judge: what readers see, held against what the simulator sent.

It looks through the public reader API like any stranger. A book that says live is compared with the truth at its own
venue stamp; the tape is compared with the trades that were sent while somebody was subscribed to them (prints.py).
What could not be judged is counted too: nothing passes because nobody looked. Instruments that come later are judged
from then on, and one that was removed is judged again when it is back.
"""

import math
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np

from shm import Book, Instrument, Market
from shm.errors import Overrun, Stale, UnknownSymbol
from shm.layout import Rows

from .flow import Ints
from .prints import PrintCounts, Prints
from .truth import ContractTruth, Truth, UnknownStamp

MAX_TAPE_ROWS = 1 << 16
MAX_READS = 64  # of the tape in one look
YOUNG_S = 5.0  # who came later than all others, and this shortly before the end, need not have been live
GAP_S = 1.0  # two samples further apart than this say nothing about the time between them


@dataclass(slots=True)
class Counts:
    """What was found for one instrument.

    unjudged_samples: live books whose stamp was out of the truth's window. unread_prints: overwritten in the tape
    before the judge came to them. live_s: how long the book was live while it was sampled. unfinished: 1 if the
    book, after the drain, was not in the state that was sent last. young: it came YOUNG_S or less before the end.
    """

    compared_samples: int = 0
    compared_levels: int = 0
    wrong_levels: int = 0
    skipped_stale: int = 0
    unjudged_samples: int = 0
    unread_prints: int = 0
    unfinished: int = 0
    live_s: float = 0.0
    young: bool = False
    prints: PrintCounts = field(default_factory=PrintCounts)

    @property
    def lost_trades(self) -> int:
        return self.prints.lost

    @property
    def wrong_trades(self) -> int:
        return self.prints.wrong


def wrong_levels(levels: Rows, complete: bool, true: Ints) -> int:
    """How many of a side's levels are not as they should be.

    levels: LEVEL rows, best first. complete: whether they claim to be all there are; if not, they have to be the
    best ones. true: (n, 2) of (ticks, size), best first. A missing level counts as one.
    """
    n = min(len(levels), len(true))
    differ = (levels["price"][:n] != true[:n, 0]) | (levels["size"][:n] != true[:n, 1])
    too_many = len(levels) - n
    missing = len(true) - n if complete or not n else 0
    return int(np.count_nonzero(differ)) + too_many + missing


class _Witness:
    """The judge of one instrument."""

    def __init__(self, instrument: Instrument, truth: ContractTruth, came_s: float) -> None:
        """`came_s`: when, by `monotonic`; minus infinity for who was there first."""
        self.counts = Counts()
        self._came_s = came_s
        self._instrument = instrument
        self._truth = truth
        self._prints = Prints(truth)
        self.counts.prints = self._prints.counts
        self._live_at_s: float | None = None
        self._tape_lost = 0
        self._tape = instrument.tape()
        # The prints before the tape was opened count as well, as far as they are still there.
        trades = instrument.status().trades
        early = self._tape.last(MAX_TAPE_ROWS)
        self._judged_to = (int(early["sequence"][-1]), int(early["place"][-1])) if len(early) else (-1, -1)
        seen = _columns(early["venue_ns"], early["price_ticks"], early["size_units"], early["side"])
        if trades > len(early):  # it does not begin with the first print: neither can we
            seen = self._begin_with_whole_record(seen)
        if len(seen):
            self._prints.judge(seen)

    def _begin_with_whole_record(self, seen: Ints) -> Ints:
        """Drop the first record, of which prints may be gone, and judge from the second one on."""
        whole = seen[seen[:, 0] != seen[0, 0]] if len(seen) else seen
        self.counts.unread_prints += len(seen) - len(whole)
        if len(whole):
            self._prints.start_at(int(whole[0, 0]))
        return whole

    def sample(self) -> None:
        """Compare the book, if it is live."""
        now_s = monotonic()
        try:
            book = self._instrument.book()
        except (Stale, UnknownSymbol):
            self.counts.skipped_stale += 1
            self._live_at_s = None
            return
        if self._live_at_s is not None and now_s - self._live_at_s < GAP_S:
            self.counts.live_s += now_s - self._live_at_s
        self._live_at_s = now_s
        self._compare(book)

    def _compare(self, book: Book) -> None:
        counts = self.counts
        sides = [(book.bid_ticks, book.bids_complete), (book.ask_ticks, book.asks_complete)]
        try:
            truth = self._truth.book_at(book.venue_ns)
        except UnknownStamp:
            if book.venue_ns < self._truth.oldest_ns:
                counts.unjudged_samples += 1
                return
            truth = np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64)  # never sent: every level of it is wrong
        counts.compared_samples += 1
        for (levels, complete), true in zip(sides, truth, strict=True):
            counts.compared_levels += len(levels)
            counts.wrong_levels += wrong_levels(levels, complete, true)

    def follow(self) -> None:
        """Judge what is new on the tape."""
        for _ in range(MAX_READS):
            made = self._tape.made
            try:
                rows = self._tape.read_ticks(MAX_TAPE_ROWS)
            except Overrun:
                continue  # what it lost shows in `lost`, with the next rows
            except UnknownSymbol:
                return  # removed; what its tape had was read before this is said
            if not len(rows):
                return
            if self._tape.made > made + 1:  # made anew more than once since the last look: that of between is gone
                self._prints.start_at(int(rows["venue_ns"][0]))
            sequence, place = self._judged_to
            rows = rows[(rows["sequence"] > sequence) | ((rows["sequence"] == sequence) & (rows["place"] > place))]
            seen = _columns(rows["venue_ns"], rows["price"], rows["size"], rows["side"])
            if self._tape.lost > self._tape_lost:
                self.counts.unread_prints += self._tape.lost - self._tape_lost
                self._tape_lost = self._tape.lost
                seen = self._begin_with_whole_record(seen)
            if len(seen):
                self._prints.judge(seen)

    def finish(self) -> None:
        """The whole book and the rest of the tape, after the venue has paused and the rings are empty."""
        self.follow()
        self._prints.finish()
        self.counts.young = monotonic() - self._came_s <= YOUNG_S
        try:
            book = self._instrument.depth()
        except (Stale, UnknownSymbol):
            self.counts.skipped_stale += 1
            return
        self._compare(book)
        last = self._truth.book_after(self._truth.last_record)
        self.counts.unfinished = int(
            any(
                wrong_levels(levels, complete, true) > 0
                for levels, complete, true in zip(
                    (book.bid_ticks, book.ask_ticks), (book.bids_complete, book.asks_complete), last, strict=True
                )
            )
        )


def _columns(*columns: Ints) -> Ints:
    return np.stack([np.asarray(column, np.int64) for column in columns], axis=1)


class Judge:
    """Judges the instruments of a market that the simulator knows. `counts` has what was found, by symbol."""

    def __init__(self, market: Market, truth: Truth | Path | str) -> None:
        """`truth` is an open one, or the simulator's truth folder. Raises FileNotFoundError if there is none."""
        self._market = market
        self._truth = truth if isinstance(truth, Truth) else Truth.open(truth)
        self._witnesses: dict[str, _Witness] = {}
        self._call(-math.inf)

    def _call(self, now_s: float) -> None:
        """A witness for each instrument that has none yet."""
        for symbol in self._market.symbols:
            if symbol in self._truth.symbols and symbol not in self._witnesses:
                with suppress(UnknownSymbol):  # removed this moment
                    self._witnesses[symbol] = _Witness(self._market[symbol], self._truth.of_symbol(symbol), now_s)

    @property
    def counts(self) -> dict[str, Counts]:
        return {symbol: witness.counts for symbol, witness in self._witnesses.items()}

    def sample(self, symbol: str | None = None) -> None:
        """Compare the live book of one instrument, or of each."""
        for witness in self._chosen(symbol):
            witness.sample()

    def follow(self, symbol: str | None = None) -> None:
        """Judge the new prints of one instrument, or of each; and look who has come."""
        self._call(monotonic())
        for witness in self._chosen(symbol):
            witness.follow()

    def finish(self) -> None:
        """Judge the whole books and the rest of the tapes, once all that was sent has arrived."""
        for witness in self._witnesses.values():
            witness.finish()

    def _chosen(self, symbol: str | None) -> list[_Witness]:
        return list(self._witnesses.values()) if symbol is None else [self._witnesses[symbol]]
