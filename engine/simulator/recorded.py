"""Real flow: a CME order-by-order capture (DBN, schema MBO) as ProjectX records, aggregated by price.

The capture tells of single orders; ProjectX tells of levels. Events up to one with the flag F_LAST belong together:
they become one trade list (every event `T`, in order and size), one depth list with the new size of every level that
changed, and a partial quote if the best changed or something traded. The level that became the best comes last and
as NewBestBid or NewBestAsk, unless the book is crossed: then a purge would not be true.

From the opening on (23:00 UTC) the market is never crossed between groups; before it orders rest crossed, legally.
What happened before is in the opening book. The trade of the opening auction has no aggressor: it goes out as a buy.
`databento` is an optional extra and imported here only.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .contracts import CONTRACTS, Contract
from .flow import ENTRY, RECORD, Dom, Field, Flow, Kind

OPENING_UTC_NS = 23 * 3600 * 1_000_000_000
_DAY_NS = 24 * 3600 * 1_000_000_000
_F_LAST = 128

Event = tuple[bytes, bytes, int, int, int, int, int]  # action, side, order id, price, size, flags, ts_event
Levels = dict[int, int]


class CaptureError(Exception):
    """The capture cannot be served; the message says why and what would do."""


def read_flow(path: Path, *, crossed: bool = False) -> Flow:
    """The flow of an ES capture, from the opening on, or with `crossed` from its snapshot on. Raises CaptureError."""
    events, symbol = _read(path)
    return aggregate(events, _contract(symbol, path), crossed=crossed)


def _read(path: Path) -> tuple[np.ndarray, str]:
    """The events as databento gives them, and the raw symbol with the capture's year behind it: ESH4/2023."""
    try:
        import databento
    except ImportError:
        raise CaptureError("a recorded flow is read with the package databento: pip install databento") from None
    if not path.is_file():
        raise CaptureError(f"{path} is not a file")
    try:
        store = databento.DBNStore.from_bytes(path.read_bytes())  # from_file leaves the file open
        if str(store.schema) != "mbo" or len(store.symbols) != 1:
            raise CaptureError(
                f"{path} holds {store.schema} of {len(store.symbols)} symbols; one symbol's mbo is needed"
            )
        return store.to_ndarray(), f"{store.symbols[0]}/{store.start.year}"
    except databento.BentoError:  # its words repeat what is in the file, which may be anything
        raise CaptureError(f"{path} is no DBN capture that databento can read: name another") from None


def _contract(symbol: str, path: Path) -> Contract:
    """ESH4/2023 is CON.F.US.EP.H24: the first year from 2023 on that ends in 4."""
    code, _, year_text = symbol.partition("/")
    listed = CONTRACTS.get(code[:-2])
    if listed is None or not code[-1].isdigit():
        raise CaptureError(f"{path} holds {code}, which is none of {', '.join(CONTRACTS)}")
    year = next(year for year in range(int(year_text), int(year_text) + 10) if year % 10 == int(code[-1]))
    return listed._replace(month=f"{code[-2]}{year % 100:02d}")


class _Orders:
    """Orders by id, their sum by side and price, and which sums were touched since the last look."""

    def __init__(self, tick_e9: int) -> None:
        self.bids: Levels = {}
        self.asks: Levels = {}
        self.touched: dict[tuple[bool, int], int] = {}  # (is bid, ticks) → size before
        self._tick_e9 = tick_e9
        self._orders: dict[int, tuple[bool, int, int]] = {}

    def apply(self, event: Event) -> None:
        action, side, order_id, price, size, _, _ = event
        if action == b"A":
            self._put(order_id, side == b"B", self._ticks(price), size)
        elif action == b"C":
            is_bid, ticks, held = self._take(order_id)
            if held > size:
                self._put(order_id, is_bid, ticks, held - size)
        elif action == b"M":
            if order_id in self._orders:
                self._take(order_id)
            self._put(order_id, side == b"B", self._ticks(price), size)
        elif action == b"R":
            for order in list(self._orders):
                self._take(order)

    def _ticks(self, price_e9: int) -> int:
        ticks, rest = divmod(price_e9, self._tick_e9)
        if rest:
            raise CaptureError(f"the price {price_e9 / 1e9} is off the tick grid")
        return ticks

    def _put(self, order_id: int, is_bid: bool, ticks: int, size: int) -> None:
        self._orders[order_id] = is_bid, ticks, size
        self._change(is_bid, ticks, size)

    def _take(self, order_id: int) -> tuple[bool, int, int]:
        if order_id not in self._orders:
            raise CaptureError(f"the capture cancels the order {order_id}, which it never showed")
        order = self._orders.pop(order_id)
        self._change(order[0], order[1], -order[2])
        return order

    def _change(self, is_bid: bool, ticks: int, size: int) -> None:
        levels = self.bids if is_bid else self.asks
        before = levels.get(ticks, 0)
        self.touched.setdefault((is_bid, ticks), before)
        if before + size:
            levels[ticks] = before + size
        else:
            del levels[ticks]

    def changes(self) -> list[tuple[bool, int, int]]:
        """(is bid, ticks, size now) of the levels that differ from the last look."""
        changed = []
        for (is_bid, ticks), before in self.touched.items():
            size = (self.bids if is_bid else self.asks).get(ticks, 0)
            if size != before:
                changed.append((is_bid, ticks, size))
        self.touched.clear()
        return changed


class _Writer:
    """Records and entries as they come."""

    def __init__(self) -> None:
        self.records: list[tuple[int, int, int]] = []
        self.entries: list[tuple[int, int, int]] = []
        self.due: list[int] = []
        self.source: list[int] = []

    def add(self, kind: Kind, entries: list[tuple[int, int, int]], due_ns: int, source: int) -> None:
        if entries:
            self.records.append((kind, len(self.entries), len(entries)))
            self.entries += entries
            self.due.append(due_ns)
            self.source.append(source)


class _Quotes:
    """What a quote tells, and what it told last."""

    def __init__(self, bid: int, ask: int) -> None:
        self.values = {Field.LAST_PRICE: bid, Field.BEST_BID: bid, Field.BEST_ASK: ask, Field.CHANGE: 0}
        self.values |= {Field.CHANGE_PERCENT: 0, Field.OPEN: bid, Field.HIGH: bid, Field.LOW: bid, Field.VOLUME: 0}
        self._told: dict[Field, int] = {}

    def trade(self, ticks: int, size: int) -> None:
        values = self.values
        if not values[Field.VOLUME]:
            values[Field.OPEN] = values[Field.HIGH] = values[Field.LOW] = ticks
        values[Field.LAST_PRICE] = ticks
        values[Field.CHANGE] = ticks - values[Field.OPEN]
        values[Field.CHANGE_PERCENT] = values[Field.CHANGE] * 1_000_000_000 // values[Field.OPEN]
        values[Field.HIGH], values[Field.LOW] = max(values[Field.HIGH], ticks), min(values[Field.LOW], ticks)
        values[Field.VOLUME] += size

    def changes(self) -> list[tuple[int, int, int]]:
        changed = [(int(field), value, 0) for field, value in self.values.items() if self._told.get(field) != value]
        self._told = dict(self.values)
        return [*changed, (int(Field.LAST_UPDATED), 0, 0), (int(Field.TIMESTAMP), 0, 0)] if changed else []


def _groups(events: np.ndarray) -> Iterator[tuple[int, list[Event]]]:
    """Events up to each F_LAST, with the index of that one. What follows the last F_LAST is no whole group."""
    fields = ("action", "side", "order_id", "price", "size", "flags", "ts_event")
    group: list[Event] = []
    for index, event in enumerate(zip(*(events[field].tolist() for field in fields), strict=True)):
        group.append(event)
        if event[5] & _F_LAST:
            yield index, group
            group = []


def aggregate(events: np.ndarray, contract: Contract, *, crossed: bool = False) -> Flow:
    """Events of one instrument, in DBN's MBO dtype, as a flow. Raises CaptureError."""
    orders = _Orders(contract.tick_e9)
    writer = _Writer()
    quotes: _Quotes | None = None
    opening: tuple[Levels, Levels] | None = None
    waiting: list[tuple[int, int, int]] = []  # trades since the opening, before the book was uncrossed
    start_ns = best_bid = best_ask = 0
    for index, group in _groups(events):
        for event in group:
            orders.apply(event)
        changed = orders.changes()
        now_ns = group[-1][6]
        trades = [
            (1 if event[1] == b"A" else 0, event[3] // contract.tick_e9, event[4])
            for event in group
            if event[0] == b"T"
        ]
        bid, ask = max(orders.bids, default=0), min(orders.asks, default=0)
        is_crossed = bool(orders.bids and orders.asks) and bid >= ask
        if opening is None:
            if crossed or now_ns % _DAY_NS >= OPENING_UTC_NS:
                waiting += trades
                if orders.bids and orders.asks and (crossed or not is_crossed):
                    opening, start_ns = (dict(orders.bids), dict(orders.asks)), now_ns
                    quotes = _Quotes(bid, ask)
                    writer.add(Kind.QUOTE, quotes.changes(), 0, index)
                    writer.add(Kind.TRADES, waiting, 0, index)
                    best_bid, best_ask = bid, ask
            continue
        assert quotes is not None
        due_ns = now_ns - start_ns
        writer.add(Kind.TRADES, trades, due_ns, index)
        new_bests = set()
        if not is_crossed:
            new_bests = {(True, bid)} if bid != best_bid else set()
            new_bests |= {(False, ask)} if ask != best_ask else set()
        writer.add(Kind.DEPTH, _depth_entries(changed, new_bests), due_ns, index)
        for _, ticks, size in trades:
            quotes.trade(ticks, size)
        best_bid, best_ask = bid, ask
        quotes.values[Field.BEST_BID], quotes.values[Field.BEST_ASK] = bid, ask
        writer.add(Kind.QUOTE, quotes.changes(), due_ns, index)
    if opening is None or not writer.records:
        raise CaptureError("the capture has nothing behind the opening at 23:00 UTC")
    return _flow(contract, writer, opening)


def _depth_entries(
    changed: list[tuple[bool, int, int]], new_bests: set[tuple[bool, int]]
) -> list[tuple[int, int, int]]:
    """Changed levels as entries: removals, sizes, and the new bests last, when they purge nothing any more."""
    ranked = sorted(changed, key=lambda level: ((level[0], level[1]) in new_bests, level[2] > 0))
    entries = []
    for is_bid, ticks, size in ranked:
        if (is_bid, ticks) in new_bests:
            dom = Dom.NEW_BEST_BID if is_bid else Dom.NEW_BEST_ASK
        else:
            dom = Dom.BID if is_bid else Dom.ASK
        entries.append((int(dom), ticks, size))
    return entries


def _flow(contract: Contract, writer: _Writer, opening: tuple[Levels, Levels]) -> Flow:
    def levels(side: Levels, best_first: int) -> np.ndarray:
        return np.array(sorted(side.items(), reverse=best_first < 0), np.int64).reshape(-1, 2)

    due = np.array(writer.due, np.int64)
    return Flow(
        contract._replace(middle_ticks=max(opening[0])),
        np.array(writer.records, RECORD),
        np.array(writer.entries, ENTRY),
        levels(opening[0], -1),
        levels(opening[1], 1),
        due,
        span=int(due[-1]) + 1,
        loops=False,
        source=np.array(writer.source, np.int64),
    )
