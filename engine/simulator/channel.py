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
from .truth import LOG_ROWS, StampLog

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
        bids, asks = book_after(self.flow.records, self.flow.entries, self._marks, self.record)
        rows = np.zeros(1 + len(bids) + len(asks), ENTRY)
        rows["type"][0] = Dom.RESET
        for part, dom, levels in ((rows[1 : 1 + len(bids)], Dom.BID, bids), (rows[1 + len(bids) :], Dom.ASK, asks)):
            part["type"], part["price"], part["size"] = dom, levels[:, 0], levels[:, 1]
        return self._one(Kind.DEPTH, rows, self.log.add(-2 - self.record, now_ns))

    def quote(self, now_ns: int) -> bytes:
        """A frame with a whole quote: the newest value of each field. (A flow's first record is a whole quote.)"""
        flow = self.flow
        sent = flow.records[: max(self.record + 1, 1)]  # before the first record its quote is already true
        sent = sent[sent["kind"] == Kind.QUOTE]
        newest: dict[int, int] = {}
        for first, count in zip(sent["first"].tolist(), sent["entries"].tolist(), strict=True):
            part = flow.entries[first : first + count]
            newest.update(zip(part["type"].tolist(), part["price"].tolist(), strict=True))
        rows = np.array([(field, value, 0) for field, value in sorted(newest.items())], ENTRY)
        return self._one(Kind.QUOTE, rows, self.log.add(-2 - self.record, now_ns))

    def _one(self, kind: Kind, rows: Rows, stamp_ns: int) -> bytes:
        record = np.array([(kind, 0, len(rows))], RECORD)
        return frames.stamped(frames.build(self.contract, record, rows), 0, stamp_ns)
