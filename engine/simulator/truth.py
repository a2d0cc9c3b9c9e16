"""The truth of all that the simulator sends, in files that another process can hold a book and a tape against.

Per contract, in the truth folder (truth.json names them, and is renamed into place last):

    <symbol>.records.npy  <symbol>.entries.npy  <symbol>.starts.npy  <symbol>.levels.npy     the flow, its checkpoints
    <symbol>.log                                                                             what was sent, and when

The log, all of it written by the simulator, int64 words:

    word  0  rows ever written          16  depth entries sent     32  trades sent      48  records sent
    word 64  trade intervals begun
    4096     INTERVAL_ROWS · (first row, row after the last or -1): when a client was subscribed to the trades
    …        LOG_ROWS stamps, then LOG_ROWS records: row n lies at n mod LOG_ROWS

A row says: from this stamp (ns of the epoch, strictly increasing) the truth is the book after this record of the
flow. A record ≥ 0 was sent with that stamp; a snapshot's row holds -2 - record, because it sends a state anew and no
record; -1 is the opening book. So any stamp that a client ever saw names one state. A trade list that was sent once
more, with its old stamp, has a row with REPEAT · (its first row + 1) less than a snapshot's.

A row is written before the count that makes it known, and the count before the frames are handed to a socket. The
order of plain stores is what x86-64 keeps and what this test instrument relies on; it is no part of the engine.
"""

import json
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .book import Checkpoints, book_after
from .contracts import Contract
from .flow import ENTRY, RECORD, Flow, Ints, Kind, Rows

LOG_ROWS = 1 << 17
INTERVAL_ROWS = 1 << 12
_COUNT, _ENTRIES, _TRADES, _RECORDS, _INTERVALS = 0, 16, 32, 48, 64
_HEADER_WORDS = 512
_STAMPS_AT = _HEADER_WORDS + 2 * INTERVAL_ROWS
_RECORDS_AT = _STAMPS_AT + LOG_ROWS
_LOG_BYTES = 8 * (_RECORDS_AT + LOG_ROWS)
OPENING = -1
REPEAT = 1 << 24  # more than a flow has records

EXPECTED = np.dtype([("row", "<i8"), ("venue_ns", "<i8"), ("price", "<i8"), ("size", "<i8"), ("side", "<i8")])


class UnknownStamp(LookupError):
    """The stamp names no state: it was never sent, or it is older than the last LOG_ROWS rows."""


class StampLog:
    """The writing side of a contract's log. One writer: the simulator."""

    def __init__(self, path: Path) -> None:
        with open(path, "x+b") as file:
            file.truncate(_LOG_BYTES)
            memory = mmap.mmap(file.fileno(), _LOG_BYTES)
        self._words: Ints = np.frombuffer(memory, np.int64)
        self.stamps: Ints = self._words[_STAMPS_AT:_RECORDS_AT]
        self.records: Ints = self._words[_RECORDS_AT:]
        self._intervals: Ints = self._words[_HEADER_WORDS:_STAMPS_AT].reshape(-1, 2)
        self.count = 0
        self.last_ns = 0
        self.sent_records = self.sent_entries = self.sent_trades = 0

    def add(self, record: int, now_ns: int) -> int:
        """One row. Returns its stamp: `now_ns` to 100 ns, or 100 ns after the row before if that is later."""
        stamp_ns = max(now_ns // 100 * 100, self.last_ns + 100)
        self.stamps[self.count % LOG_ROWS] = stamp_ns
        self.records[self.count % LOG_ROWS] = record
        self.commit(self.count + 1, stamp_ns)
        return stamp_ns

    def commit(self, count: int, last_ns: int) -> None:
        """Make the rows below `count` known, after they are written."""
        self.count, self.last_ns = count, last_ns
        self._words[_COUNT] = count

    def sent(self, records: int, entries: int, trades: int) -> None:
        """Say how much went out in all."""
        self.sent_records, self.sent_entries, self.sent_trades = records, entries, trades
        words = self._words
        words[_RECORDS], words[_ENTRIES], words[_TRADES] = records, entries, trades

    def open_interval(self) -> None:
        """From the next row on trades are delivered to somebody. Of more than INTERVAL_ROWS the last is reused."""
        n = int(self._words[_INTERVALS])
        self._intervals[min(n, INTERVAL_ROWS - 1)] = self.count, -1
        self._words[_INTERVALS] = min(n + 1, INTERVAL_ROWS)

    def close_interval(self) -> None:
        """Before the next row nobody is subscribed to trades any more."""
        self._intervals[int(self._words[_INTERVALS]) - 1, 1] = self.count


def write(folder: Path, flows: list[tuple[Flow, Checkpoints]]) -> dict[str, StampLog]:
    """Write the flows and empty logs into `folder`, which is made if it is not there. Returns the logs by symbol."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    logs = {}
    for flow, marks in flows:
        symbol = flow.contract.symbol
        np.save(folder / f"{symbol}.records.npy", flow.records)
        np.save(folder / f"{symbol}.entries.npy", flow.entries)
        np.save(folder / f"{symbol}.starts.npy", marks.starts)
        np.save(folder / f"{symbol}.levels.npy", marks.levels)
        logs[symbol] = StampLog(folder / f"{symbol}.log")
    listed = [(flow.contract, flow.loops) for flow, _ in flows]
    name_contracts(folder, listed)
    return logs


def name_contracts(folder: Path, listed: Iterable[tuple[Contract, bool]]) -> None:
    """Say which contracts trade, and whether their flow loops; after a roll again, for who opens the truth then."""
    rows = [
        {"symbol": contract.symbol, "contract_id": contract.contract_id, "tick_e9": contract.tick_e9, "loops": loops}
        for contract, loops in listed
    ]
    draft = folder / "truth.json.tmp"
    draft.write_text(json.dumps({"contracts": rows}))
    os.replace(draft, folder / "truth.json")


class ContractTruth:
    """What was sent for one contract. All reads are of mapped files; nothing blocks."""

    def __init__(self, folder: Path, listed: dict[str, Any]) -> None:
        self.symbol: str = listed["symbol"]
        self.contract_id: str = listed["contract_id"]
        self.tick_e9: int = listed["tick_e9"]
        self.loops: bool = listed["loops"]
        self.records: Rows = np.load(folder / f"{self.symbol}.records.npy", mmap_mode="r")
        self.entries: Rows = np.load(folder / f"{self.symbol}.entries.npy", mmap_mode="r")
        if self.records.dtype != RECORD or self.entries.dtype != ENTRY:
            raise ValueError(f"{folder}: the truth of {self.symbol} is of another version")
        self._marks = Checkpoints(
            np.load(folder / f"{self.symbol}.starts.npy", mmap_mode="r"),
            np.load(folder / f"{self.symbol}.levels.npy", mmap_mode="r"),
        )
        with open(folder / f"{self.symbol}.log", "rb") as file:
            words: Ints = np.frombuffer(mmap.mmap(file.fileno(), _LOG_BYTES, access=mmap.ACCESS_READ), np.int64)
        self._words = words
        self._stamps = words[_STAMPS_AT:_RECORDS_AT]
        self._sent = words[_RECORDS_AT:]
        self._intervals = words[_HEADER_WORDS:_STAMPS_AT].reshape(-1, 2)

    @property
    def rows(self) -> int:
        """Log rows ever written."""
        return int(self._words[_COUNT])

    @property
    def oldest_row(self) -> int:
        """The first row that is sure to be there: a part of the window is left to the writer."""
        return max(0, self.rows - LOG_ROWS + LOG_ROWS // 8)

    @property
    def oldest_ns(self) -> int:
        """The stamp of `oldest_row`; older ones are out of the window."""
        return int(self._stamps[self.oldest_row % LOG_ROWS])

    @property
    def sent_records(self) -> int:
        return int(self._words[_RECORDS])

    @property
    def sent_entries(self) -> int:
        """Depth entries sent."""
        return int(self._words[_ENTRIES])

    @property
    def sent_trades(self) -> int:
        return int(self._words[_TRADES])

    def row_of(self, venue_ns: int) -> int:
        """The log row with that stamp. Raises UnknownStamp."""
        begin, end = self.oldest_row, self.rows
        for first, last in _pieces(begin, end):
            stamps = self._stamps[first % LOG_ROWS : (last - 1) % LOG_ROWS + 1]
            place = int(np.searchsorted(stamps, venue_ns))
            if place < len(stamps) and stamps[place] == venue_ns:
                return first + place
        raise UnknownStamp(f"{self.symbol}: no row {begin} … {end - 1} has the stamp {venue_ns}")

    def record_of(self, venue_ns: int) -> int:
        """The record of the flow after which the state of that stamp holds; -1 is the opening book.

        Raises UnknownStamp.
        """
        return self._record(self.row_of(venue_ns))

    @property
    def last_record(self) -> int:
        """The record of the flow that was sent last; -1 before the first."""
        return self._record(self.rows - 1)

    def _record(self, row: int) -> int:
        record = int(self._sent[row % LOG_ROWS])
        return record if record >= OPENING else _state(record)

    def book_at(self, venue_ns: int) -> tuple[Ints, Ints]:
        """Bids and asks at a stamp: (n, 2) int64 of (ticks, size), best first. Raises UnknownStamp."""
        return self.book_after(self.record_of(venue_ns))

    def book_after(self, record: int) -> tuple[Ints, Ints]:
        """Bids and asks after a record of the flow; -1 is the opening book."""
        return book_after(self.records, self.entries, self._marks, record)

    def trades_of(self, record: int) -> Ints:
        """The trades of a record: (n, 3) int64 of (ticks, size, aggressor), none if it is no trade list."""
        row = self.records[record]
        if row["kind"] != Kind.TRADES:
            return np.zeros((0, 3), np.int64)
        part = self.entries[row["first"] : row["first"] + row["entries"]]
        return np.stack((part["price"], part["size"], part["type"]), axis=1)

    def trade_intervals(self) -> list[tuple[int, int, bool]]:
        """(first row, row after the last, whether it goes on): when some client was subscribed to the trades. One
        that goes on ends, for now, at `rows`."""
        rows = self.rows
        listed = self._intervals[: int(self._words[_INTERVALS])].tolist()
        return [(first, rows if end < 0 else end, end < 0) for first, end in listed]

    def records_sent(self, begin: int, end: int) -> list[int]:
        """The records of rows begin … end - 1, without snapshots; `begin` is at least `oldest_row`."""
        sent = (int(self._sent[row % LOG_ROWS]) for row in range(begin, end))
        return [record for record in sent if record >= 0]

    def repeats(self, begin: int) -> list[tuple[int, int]]:
        """(row, the row it repeats) of the trade lists that were sent once more in rows from `begin` on."""
        rows = np.arange(max(begin, self.oldest_row), self.rows)
        sent = self._sent[rows % LOG_ROWS]
        repeats = np.flatnonzero(sent < -1 - REPEAT)
        return list(zip(rows[repeats].tolist(), _repeated(sent[repeats]).tolist(), strict=True))

    def stamp_of(self, row: int) -> int:
        """The stamp of a log row, of those that are there."""
        return int(self._stamps[row % LOG_ROWS])

    def trades_sent(self, begin: int, end: int) -> Rows:
        """All trades of rows begin … end - 1, EXPECTED rows in order; `begin` is at least `oldest_row`."""
        parts = []
        for first, last in _pieces(begin, end):
            part = slice(first % LOG_ROWS, (last - 1) % LOG_ROWS + 1)
            origins = np.arange(first, last)
            repeats = np.flatnonzero(self._sent[part] < -1 - REPEAT)
            origins[repeats] = _repeated(self._sent[part][repeats])
            sent = self._sent[origins % LOG_ROWS]
            rows = np.flatnonzero((sent >= 0) & (self.records["kind"][np.maximum(sent, 0)] == Kind.TRADES))
            counts = self.records["entries"][sent[rows]]
            found = np.empty(int(counts.sum()), EXPECTED)
            found["row"] = np.repeat(first + rows, counts)
            found["venue_ns"] = np.repeat(self._stamps[origins[rows] % LOG_ROWS], counts)
            offsets = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)
            trades = self.entries[np.repeat(self.records["first"][sent[rows]], counts) + offsets]
            found["price"], found["size"], found["side"] = trades["price"], trades["size"], trades["type"]
            parts.append(found)
        return np.concatenate(parts) if parts else np.zeros(0, EXPECTED)


def _state(sent: int) -> int:
    """The record of the flow that the row of a snapshot, or of a repeated list, stands for."""
    return (-2 - sent) % REPEAT


def _repeated(sent: Ints) -> Ints:
    """The rows that repetitions repeat."""
    rows: Ints = (-2 - sent) // REPEAT - 1
    return rows


def _pieces(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut rows begin … end - 1 where the ring wraps."""
    while begin < end:
        last = min(end, (begin // LOG_ROWS + 1) * LOG_ROWS)
        yield begin, last
        begin = last


class Truth:
    """All contracts of a running simulator: `truth[contract_id]`, or by symbol."""

    def __init__(self, contracts: list[ContractTruth]) -> None:
        self._by_id = {contract.contract_id: contract for contract in contracts}
        self._by_symbol = {contract.symbol: contract for contract in contracts}

    @classmethod
    def open(cls, folder: Path | str) -> "Truth":
        """Map the truth folder of a simulator. Raises FileNotFoundError before it is whole."""
        folder = Path(folder)
        listed = json.loads((folder / "truth.json").read_text())["contracts"]
        return cls([ContractTruth(folder, row) for row in listed])

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._by_symbol)

    def __getitem__(self, contract_id: str) -> ContractTruth:
        return self._by_id[contract_id]

    def of_symbol(self, symbol: str) -> ContractTruth:
        """Raises KeyError."""
        return self._by_symbol[symbol]
