"""One contract on its way out: its flow, its frames, its log of what was sent, and who wants it.

Sending is two steps, because several clients may want the same: `advance` stamps the next records in the log, once;
`copy` then copies the frames of logged rows for one client. A snapshot is a row of its own in the log: it carries
the time at which it is sent and the state as last sent, so a venue that is quiet for minutes does not look late.
"""

import numpy as np

from shm.compiled import allocating_kernel

from . import frames
from .bars import SentBars
from .book import Checkpoints, book_after
from .contracts import Contract
from .flow import ENTRY, RECORD, Dom, Flow, Ints, Kind, Rows
from .frames import Bytes
from .truth import LOG_ROWS, REPEAT, StampLog

MAX_RUN = LOG_ROWS // 8  # records stamped in one step: a reader's window of the log stays whole
MAX_LEVELS = 8_000  # of both sides, in any book of a flow: a snapshot stays below the 1 MiB at which clients close


@allocating_kernel
def _stamp_run(sent_ns: Ints, sent_record: Ints, row: int, record: int, n: int, n_flow: int, stamp_ns: int) -> None:
    """Log `n` records from `record` on, 100 ns apart; behind the end of the flow it begins again."""
    mask = len(sent_ns) - 1
    for i in range(n):
        sent_ns[(row + i) & mask] = stamp_ns + 100 * i
        sent_record[(row + i) & mask] = record
        record = record + 1 if record + 1 < n_flow else 0


class Channel:
    """One writer: the simulator's one thread. Raises ValueError for a flow with more than MAX_LEVELS."""

    def __init__(self, flow: Flow, marks: Checkpoints, log: StampLog, now_ns: int) -> None:
        if marks.most_levels > MAX_LEVELS:
            raise ValueError(f"{flow.contract.symbol}: {marks.most_levels} levels are too many for one snapshot")
        self.flow = flow
        self.contract = flow.contract
        self.log = log
        self.bars = SentBars(flow)
        self.start_s = now_ns // 1_000_000_000
        self.position = 0  # records sent, over all loops
        self._marks = marks
        self._frames = frames.build_flow(flow)
        kinds, counts = flow.records["kind"], flow.records["entries"]
        # depth entries and trades in the records before each one, and in all
        self._entries_before = [0, *np.cumsum(np.where(kinds == Kind.DEPTH, counts, 0)).tolist()]
        self._trades_before = [0, *np.cumsum(np.where(kinds == Kind.TRADES, counts, 0)).tolist()]
        self._trade_clients = 0
        self._heard_from = 0  # the first log row since somebody is subscribed to the trades
        self._repeat_row: int | None = None
        log.add(-1, now_ns)
        self._warm()

    def _warm(self) -> None:
        """Compile what sending needs, now: the first client may not wait for it."""
        _stamp_run(self.log.stamps, self.log.records, 0, 0, 0, 1, 0)
        self.copy(self.log.count, 0, np.empty(0, np.uint8), 0)
        frames.stamped(self._frames, 0, self.log.last_ns)

    def advance(self, n: int, now_ns: int) -> None:
        """Stamp the next `n` records, at most MAX_RUN, as sent now. Copy them to every client before the next call."""
        log, n_flow = self.log, len(self.flow)
        if log.count + n - self.bars.row > LOG_ROWS // 2:  # long before the ring takes the rows away
            self.bars.take(log)
        first_ns = max(now_ns // 100 * 100, log.last_ns + 100)
        _stamp_run(log.stamps, log.records, log.count, self.position % n_flow, n, n_flow, first_ns)
        log.commit(log.count + n, first_ns + 100 * (n - 1))
        self.position += n
        loops, rest = divmod(self.position, n_flow)
        entries, trades = self._entries_before, self._trades_before
        log.sent(self.position, loops * entries[-1] + entries[rest], loops * trades[-1] + trades[rest])

    def count_trade_clients(self, change: int) -> None:
        """A client more, or one less, is subscribed to the trades."""
        self._trade_clients += change
        if self._trade_clients == 1 and change == 1:
            self._heard_from = self.log.count
            self.log.open_interval()
        elif self._trade_clients == 0 and change == -1:
            self.log.close_interval()

    def copy(self, begin: int, wanted: int, out: Bytes, at: int) -> tuple[int, int]:
        """Copy log rows from `begin` on into `out`, for a client that wants the kinds in `wanted` (1 << Kind).

        Returns the row it stopped before, which is `log.count` unless `out` was full, and where the output ends.
        """
        return frames.copy_run(*self._frames, self.log.stamps, self.log.records, begin, self.log.count, wanted, out, at)

    def copied(self, begin: int, end: int, wanted: int) -> bytes:
        """The frames of log rows begin … end - 1 again, as `copy` would have given them."""
        out = np.empty(len(self._frames.buffer), np.uint8)
        rest, parts = begin, []
        while rest < end:
            log = self.log
            rest, at = frames.copy_run(*self._frames, log.stamps, log.records, rest, end, wanted, out, 0)
            parts.append(out[:at].tobytes())
        return b"".join(parts)

    def roll(self, contract: Contract) -> None:
        """The same flow goes on as that of another contract, whose id is equally long."""
        frames.rename(self._frames, contract.contract_id)
        self.contract = contract

    @property
    def record(self) -> int:
        """The record sent last; -1 before the first."""
        return (self.position - 1) % len(self.flow) if self.position else -1

    def snapshot(self, now_ns: int) -> bytes:
        """A frame with the whole book as last sent: a Reset, the bids, the asks."""
        reset = np.array([(Dom.RESET, 0, 0)], ENTRY)
        return self.depth(np.concatenate((reset, *self.book())), now_ns)

    def book(self) -> tuple[Rows, Rows]:
        """The book as last sent, as entries that set its levels: bids and asks, best first."""
        sides = book_after(self.flow.records, self.flow.entries, self._marks, self.record)
        made = []
        for dom, levels in zip((Dom.BID, Dom.ASK), sides, strict=True):
            rows = np.empty(len(levels), ENTRY)
            rows["type"], rows["price"], rows["size"] = dom, levels[:, 0], levels[:, 1]
            made.append(rows)
        return made[0], made[1]

    def depth(self, entries: Rows, now_ns: int) -> bytes:
        """A frame of depth entries that are not in the flow. Its stamp stands for the state as last sent."""
        return self._one(Kind.DEPTH, entries, self.log.add(-2 - self.record, now_ns))

    def stale_depth(self, entries: Rows, age_ns: int) -> bytes:
        """The same, with a stamp so much older than the last one. No state is known by it."""
        return self._one(Kind.DEPTH, entries, self.log.last_ns - age_ns)

    def repeat_last_trades(self) -> None:
        """Send the last trade list once more to the next who subscribes to the trades, as some venues do."""
        rows = np.arange(max(self._heard_from, self.log.count - LOG_ROWS // 4), self.log.count)
        sent = self.log.records[rows % LOG_ROWS]
        trades = rows[(sent >= 0) & (self.flow.records["kind"][np.maximum(sent, 0)] == Kind.TRADES)]
        if len(trades):
            self._repeat_row = int(trades[-1])

    def repeated(self, now_ns: int) -> bytes:
        """The frame that is owed by `repeat_last_trades`, to the byte as it was sent; nothing if none is."""
        row, self._repeat_row = self._repeat_row, None
        if row is None:
            return b""
        record, stamp_ns = (int(ring[row % LOG_ROWS]) for ring in (self.log.records, self.log.stamps))
        self.log.add(-2 - self.record - REPEAT * (row + 1), now_ns)
        return frames.stamped(self._frames, record, stamp_ns)

    def quote(self, now_ns: int) -> bytes:
        """A frame with a whole quote: the newest value of each field."""
        return self._one(Kind.QUOTE, self.quote_fields(), self.log.add(-2 - self.record, now_ns))

    def partial_quotes(self, now_ns: int) -> bytes:
        """Frames with one field each, as it was last: most without a stamp, and many without a price."""
        fields, stamp_ns = self.quote_fields(), self.log.add(-2 - self.record, now_ns)
        return b"".join(self._one(Kind.QUOTE, fields[i : i + 1], stamp_ns) for i in range(len(fields)))

    def quote_fields(self) -> Rows:
        """The newest value of each field. (A flow's first record is a whole quote.)"""
        flow = self.flow
        sent = flow.records[: max(self.record + 1, 1)]  # before the first record its quote is already true
        sent = sent[sent["kind"] == Kind.QUOTE]
        newest: dict[int, int] = {}
        for first, count in zip(sent["first"].tolist(), sent["entries"].tolist(), strict=True):
            part = flow.entries[first : first + count]
            newest.update(zip(part["type"].tolist(), part["price"].tolist(), strict=True))
        return np.array([(field, value, 0) for field, value in sorted(newest.items())], ENTRY)

    def _one(self, kind: Kind, rows: Rows, stamp_ns: int) -> bytes:
        record = np.array([(kind, 0, len(rows))], RECORD)
        return frames.stamped(frames.build(self.contract, record, rows), 0, stamp_ns)
