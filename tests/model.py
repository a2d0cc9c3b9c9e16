"""The engine's truth in plain Python: slow and obvious, and sharing nothing with what it checks.

It imports the standard library only. A hub message (fact sheet, 6.3 and 8) becomes tuples of decimals; a book
is two dicts of price to size. Numbers are the decimals that their doubles print as, since that is what the venue sends.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple, TypeGuard


class Refused(Exception):
    """The message says nothing that a book could be made of."""


class Entry(NamedTuple):
    """One depth entry; of types that set no level price and size are None."""

    type: int
    price: Decimal | None
    size: Decimal | None
    stamp_ns: int


class Trade(NamedTuple):
    price: Decimal
    size: Decimal
    side: int  # 0 bought, 1 sold
    stamp_ns: int


class Quote(NamedTuple):
    """The fields that one quote carries, under our names, and its stamp."""

    fields: dict[str, Decimal | int]
    stamp_ns: int


Event = list[Entry] | list[Trade] | list[Quote]

BID_TYPES = {2, 4, 9}
ASK_TYPES = {1, 3, 10}
PRICES = {"last", "bid", "ask", "open", "high", "low"}
QUOTE_NAMES = {
    "lastPrice": "last",
    "bestBid": "bid",
    "bestAsk": "ask",
    "open": "open",
    "high": "high",
    "low": "low",
    "volume": "volume",
    "change": "change",
    "changePercent": "change_percent",
}


def decode(message: str, contract: str, price_decimals: int = 9, size_decimals: int = 0) -> tuple[str, Event]:
    """What the message says: the name of its event, and its entries, trades or quotes. Raises Refused.

    The decimals are those that the engine counts prices and sizes in: what then needs more than 64 bits is refused.
    """
    try:
        top = json.loads(message, parse_float=_double, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refused("not JSON, or too deep") from None
    if not isinstance(top, dict) or not _whole(top.get("type")) or top["type"] != 1:
        raise Refused("not an invocation")
    target, arguments = top.get("target"), top.get("arguments")
    if target not in ("GatewayDepth", "GatewayTrade", "GatewayQuote"):
        raise Refused("not an event we know")
    if not isinstance(arguments, list) or len(arguments) != 2 or arguments[0] != contract:
        raise Refused("not our contract and a payload")
    items = arguments[1] if isinstance(arguments[1], list) else [arguments[1]]
    if not all(isinstance(item, dict) for item in items):
        raise Refused("not objects")
    if target == "GatewayDepth":
        return target, [_entry(item, price_decimals, size_decimals) for item in items]
    if target == "GatewayTrade":
        return target, [_trade(item, price_decimals, size_decimals) for item in items]
    return target, [_quote(item, price_decimals, size_decimals) for item in items]


def _double(text: str) -> Decimal:
    return Decimal(repr(float(text)))


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _number(value: object, decimals: int) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Refused("not a number")
    if not -(2**63) <= Decimal(value) * 10**decimals < 2**63:
        raise Refused("too large")
    return Decimal(value)


def _size(value: object, decimals: int) -> Decimal:
    size = _number(value, decimals)
    if size < 0:
        raise Refused("negative size")
    return size


def _stamp(value: object) -> int | None:
    """A stamp as nanoseconds since 1970, None if there is none."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.isascii():
        raise Refused("not a stamp")
    clock, rest, decimals = value[:19], value[19:], ""
    if rest.startswith("."):
        decimals = rest[1:].split("Z")[0].split("+")[0].split("-")[0]
        rest = rest[1 + len(decimals) :]
        if not decimals.isdigit() or len(decimals) > 9:
            raise Refused("not a stamp")
    try:
        # strptime takes one digit for two: what it read must print as it came.
        moment = datetime.strptime(clock, "%Y-%m-%dT%H:%M:%S")
        if moment.isoformat() != clock or not 1970 <= moment.year <= 2261:
            raise Refused("not a stamp of our time")
        if rest not in ("", "Z"):
            zone = datetime.strptime(rest[1:], "%H:%M")
            if rest[0] not in "+-" or zone.strftime("%H:%M") != rest[1:]:
                raise Refused("not a zone")
            offset = timedelta(hours=zone.hour, minutes=zone.minute)
            moment += offset if rest[0] == "-" else -offset
    except ValueError:
        raise Refused("not a stamp") from None
    since = moment - datetime(1970, 1, 1)
    if since < timedelta(0):
        raise Refused("before 1970")
    return (since.days * 86400 + since.seconds) * 10**9 + int((decimals + "000000000")[:9])


def _entry(item: dict[str, Any], price_decimals: int, size_decimals: int) -> Entry:
    kind = item.get("type")
    if not _whole(kind):
        raise Refused("no type")
    stamp_ns = _stamp(item.get("timestamp")) or 0
    if kind not in BID_TYPES | ASK_TYPES:
        return Entry(kind, None, None, stamp_ns)
    price, size = _number(item.get("price"), price_decimals), _size(item.get("volume"), size_decimals)
    return Entry(kind, price, size, stamp_ns)


def _trade(item: dict[str, Any], price_decimals: int, size_decimals: int) -> Trade:
    side = item.get("type")
    if not _whole(side) or side not in (0, 1):
        raise Refused("no side")
    price, size = _number(item.get("price"), price_decimals), _size(item.get("volume"), size_decimals)
    return Trade(price, size, side, _stamp(item.get("timestamp")) or 0)


def _quote(item: dict[str, Any], price_decimals: int, size_decimals: int) -> Quote:
    fields: dict[str, Decimal | int] = {}
    for name, ours in QUOTE_NAMES.items():
        value = item.get(name)
        if value is None:
            continue
        if name == "volume":
            fields[ours] = _size(value, size_decimals)
        elif name in ("change", "changePercent"):
            fields[ours] = _number(value, 9).quantize(Decimal("1e-9"), ROUND_HALF_EVEN)
        else:
            fields[ours] = _number(value, price_decimals)
    updated_ns, stamp_ns = _stamp(item.get("lastUpdated")), _stamp(item.get("timestamp"))
    if updated_ns is None:
        updated_ns = stamp_ns
    if updated_ns is not None:
        fields["updated_ns"] = updated_ns
    return Quote(fields, updated_ns or 0)


@dataclass
class Book:
    """One instrument: two sides, the tape, the merged quote, and whether the book may be believed.

    It is synced by a list led by Reset, or by one with both sides that is longer than `floor` and than any increment
    it took; what comes before is thrown away. It is lost again, until the next such list, by a gap (`lose`), a price
    or size off the grid, of depth or of a trade, or a crossed book.
    """

    tick: Decimal
    step: Decimal = Decimal(1)  # of sizes
    floor: int = 24
    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    synced: bool = False
    longest_increment: int = 0
    stamp_ns: int = 0  # the newest of the depth lists since the snapshot
    tape: list[Trade] = field(default_factory=list)
    quote: dict[str, Decimal | int] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        return self.synced and bool(self.bids) and bool(self.asks) and not self.crossed

    @property
    def crossed(self) -> bool:
        return bool(self.bids) and bool(self.asks) and max(self.bids) >= min(self.asks)

    def best_bids(self, count: int | None = None) -> list[tuple[Decimal, Decimal]]:
        return sorted(self.bids.items(), reverse=True)[:count]

    def best_asks(self, count: int | None = None) -> list[tuple[Decimal, Decimal]]:
        return sorted(self.asks.items())[:count]

    def apply(self, target: str, event: Event) -> None:
        """What `decode` gave, in the order of arrival."""
        if target == "GatewayDepth":
            self.depth([item for item in event if isinstance(item, Entry)])
        elif target == "GatewayTrade":
            self.trade([item for item in event if isinstance(item, Trade)])
        else:
            self.merge([item for item in event if isinstance(item, Quote)])

    def lose(self) -> None:
        """Something was missed: only a snapshot helps."""
        self.synced = False

    def depth(self, entries: Sequence[Entry]) -> None:
        reset = bool(entries) and entries[0].type == 6
        if not self.synced and not reset and not self._is_whole_book(entries):
            return
        if any(self._off_grid(entry.price, entry.size) for entry in entries):
            self.lose()
            return
        whole = reset or not self.synced
        if whole:
            self.bids.clear()
            self.asks.clear()
            self.synced = True
        else:
            self.longest_increment = max(self.longest_increment, len(entries))
        for entry in entries:
            self._entry(entry)
        if entries and entries[-1].stamp_ns:
            self.stamp_ns = entries[-1].stamp_ns if whole else max(self.stamp_ns, entries[-1].stamp_ns)
        if self.crossed:
            self.lose()

    def _off_grid(self, price: Decimal | None, size: Decimal | None) -> bool:
        return price is not None and size is not None and bool(price % self.tick or size % self.step)

    def _is_whole_book(self, entries: Sequence[Entry]) -> bool:
        bids = any(entry.type in BID_TYPES and entry.size for entry in entries)
        asks = any(entry.type in ASK_TYPES and entry.size for entry in entries)
        return bids and asks and len(entries) > max(self.floor, self.longest_increment)

    def _entry(self, entry: Entry) -> None:
        """By the table of the fact sheet, 8.4: the size is the level's new size, 0 removes just that level."""
        if entry.type == 6:
            self.bids.clear()
            self.asks.clear()
        if entry.price is None or entry.size is None:
            return
        price = entry.price
        side = self.bids if entry.type in BID_TYPES else self.asks
        if entry.size == 0:
            side.pop(price, None)
            return
        side[price] = entry.size
        if entry.type in (4, 9):
            self.bids = {p: size for p, size in self.bids.items() if p <= price}
        if entry.type in (3, 10):
            self.asks = {p: size for p, size in self.asks.items() if p >= price}
        if entry.type == 9:
            self.asks = {p: size for p, size in self.asks.items() if p > price}
        if entry.type == 10:
            self.bids = {p: size for p, size in self.bids.items() if p < price}

    def trade(self, trades: Sequence[Trade]) -> None:
        if any(self._off_grid(trade.price, trade.size) for trade in trades):
            self.lose()
            return
        self.tape.extend(trades)

    def merge(self, quotes: Sequence[Quote]) -> None:
        """Fields that come replace those that were; a number off the grid is left out."""
        for name, value in (pair for quote in quotes for pair in quote.fields.items()):
            if (name in PRICES and value % self.tick) or (name == "volume" and value % self.step):
                continue
            self.quote[name] = value


class Happening(NamedTuple):
    """An event of a book: what, behind which record it begins (0: nothing was before), with which it comes."""

    kind: str  # roll, gap, resync, stale, live
    begin: int
    end: int
    lost: int = 0  # records known lost, of a gap


class Outage(NamedTuple):
    """The last time that a book had gaps, from the first of them until it was live again."""

    why: str  # of the first gap
    begin: int  # the last message before it
    end: int  # the last gap
    lost: int  # records known lost, of all of them


@dataclass
class Chronicle:
    """What befell a book, told of its records one by one, by their numbers."""

    outage: Outage | None = None
    happened: list[Happening] = field(default_factory=list)
    applied: int = 0  # the last message that was applied
    turned: int = 0  # the record with which the book became live, or ceased to be
    live: bool = False

    def record(self, number: int, live: bool, applied: bool) -> None:
        """A hub message; `live`: what the book is after it."""
        if applied:
            self.applied = number
        self._turn(number, live)

    def gap(self, number: int, why: str, lost: int, live: bool) -> None:
        """A gap record. The feed's first words are no gap, and to wait for a snapshot is a resync."""
        goes_on = not self.live and self.outage is not None and self.outage.end >= self.turned
        begun = self.outage if goes_on and self.outage else Outage(why, self.applied, number, 0)
        self.outage = begun._replace(end=number, lost=begun.lost + lost)
        waiting = why in ("reconnected", "resubscribed")
        if lost or not (waiting or why == "starting"):
            self.happened.append(Happening("gap", self.applied, number, lost))
        if waiting:
            self.happened.append(Happening("resync", self.applied, number))
        self._turn(number, live)

    def roll(self, number: int) -> None:
        """Another contract: its book is not known yet."""
        self.happened.append(Happening("roll", self.applied, number))
        self._turn(number, False)

    def _turn(self, number: int, live: bool) -> None:
        if live != self.live:
            self.happened.append(Happening("live" if live else "stale", self.turned, number))
            self.live, self.turned = live, number


@dataclass
class VenueClock:
    """The venue's time, guessed: our clock less the last lag, taken at most `slack_ns` above its recent least."""

    slack_ns: int
    wall_ns: int = 0
    lag_ns: int = 0
    windows: list[tuple[int, int]] = field(default_factory=list)  # begin on a clock that never jumps, least lag

    def heard(self, wall_ns: int, steady_ns: int, stamp_ns: int | None = None) -> None:
        """A record came, perhaps with the venue's stamp."""
        self.wall_ns = wall_ns
        if stamp_ns is None:
            return
        self.lag_ns = wall_ns - stamp_ns
        if not self.windows or steady_ns - self.windows[-1][0] > 30 * 10**9:
            self.windows.append((steady_ns, self.lag_ns))
        begin, least = self.windows[-1]
        self.windows[-1] = begin, min(least, self.lag_ns)

    @property
    def now_ns(self) -> int:
        if not self.windows:
            return self.wall_ns
        return self.wall_ns - min(self.lag_ns, min(least for _, least in self.windows[-2:]) + self.slack_ns)


@dataclass(frozen=True)
class Bar:
    """All trades of one period, in the order of arrival; `revision` counts how often it was shown anew once closed."""

    start: int
    end: int
    trades: tuple[tuple[int, int, int], ...] = ()  # price, size, side: 0 bought, 1 sold
    marks: frozenset[str] = frozenset()
    revision: int = 0
    flat: int = 0  # the price of a bar without a trade

    def numbers(self) -> tuple[int, ...]:
        """Open, high, low, close, volume, bought, sold, trades, and the sum of price times size."""
        if not self.trades:
            return (self.flat,) * 4 + (0,) * 5
        prices = [price for price, _, _ in self.trades]
        bought = sum(size for _, size, side in self.trades if side == 0)
        sold = sum(size for _, size, side in self.trades if side == 1)
        worth = sum(price * size for price, size, _ in self.trades)
        return prices[0], max(prices), min(prices), prices[-1], bought + sold, bought, sold, len(prices), worth


@dataclass
class Bars:
    """The bars of one timeframe that the clock or a table cuts: `bounds` tells the period of a stamp.

    Closed bars go into `rows` and stay there; a trade that comes later for one of them appends it again, once for all
    trades of a message. Two bars may form at a time.
    """

    bounds: Callable[[int], tuple[int, int] | None]
    grace_ns: int = 0
    empty: str = "none"
    rows: list[Bar] = field(default_factory=list)
    forming: dict[int, Bar] = field(default_factory=dict)
    closed: int | None = None  # the start of the newest bar that was closed in its turn
    last: int | None = None  # the price of the last trade that was not late
    quiet_from: int | None = None  # from here on it is known where no trade was
    gap_from: int | None = None  # None: for ever
    whole_from: int | None = None  # None: not yet
    next_marks: frozenset[str] = frozenset()
    unplaced: int = 0

    def record(self, trades: Sequence[tuple[int, int, int, int]]) -> None:
        """One message: stamp, price, size, side of each."""
        before = len(self.rows)
        for stamp, *trade in trades:
            self._trade(stamp, (trade[0], trade[1], trade[2]), before)

    def clock(self, now_ns: int) -> None:
        """The venue's time."""
        now_ns -= self.grace_ns
        for start in sorted(self.forming):
            if self.forming[start].end > now_ns:
                break
            self._close(self.forming.pop(start))
        self._fill(min([now_ns, *self.forming]))

    def gap(self, from_ns: int | None) -> None:
        """Nothing is known since `from_ns`; None: this feed never said anything."""
        self.forming = {start: replace(bar, marks=bar.marks | {"suspect"}) for start, bar in self.forming.items()}
        if self.whole_from is None:
            return
        self.whole_from = self.quiet_from = None
        if from_ns is None:
            self.gap_from = None if self.closed is None else self.closed + 1
            return
        self.gap_from = from_ns
        for bar in reversed([row for row in self.rows if row.revision == 0]):
            if bar.end <= from_ns:
                break
            newest = self._newest(bar.start)
            if newest is not None and "suspect" not in newest.marks:
                self.rows.append(replace(newest, marks=newest.marks | {"suspect"}, revision=newest.revision + 1))

    def mend(self, now_ns: int) -> None:
        """All is heard again."""
        if self.whole_from is not None:
            return
        self.whole_from = now_ns
        start, end = self.bounds(now_ns) or (now_ns, now_ns)
        self.quiet_from = now_ns if start == now_ns else end
        if self.closed is not None:
            self.quiet_from = max(self.quiet_from, (self.bounds(self.closed) or (0, 0))[1])

    def newest(self) -> dict[int, Bar]:
        """What a reader takes of closed and forming bars: of each start the last word."""
        return {bar.start: bar for bar in [*self.rows, *self.forming.values()]}

    def _trade(self, stamp: int, trade: tuple[int, int, int], before: int) -> None:
        period = self.bounds(stamp)
        if period is None:
            self.unplaced += 1
            self.next_marks |= {"suspect"}
            return
        start, end = period
        if start not in self.forming and self.closed is not None and start <= self.closed:
            self._late(start, end, trade, before)
            return
        at_once = False
        if start not in self.forming:
            if len(self.forming) == 2:
                at_once = start < min(self.forming)
                if not at_once:
                    self._close(self.forming.pop(min(self.forming)))
            self.forming[start] = Bar(start, end, (), self.next_marks | self._doubt(start, end))
            self.next_marks = frozenset()
        bar = self.forming[start]
        self.forming[start] = replace(bar, trades=(*bar.trades, trade))
        if at_once:
            self._close(self.forming.pop(start))
        else:
            self.last = trade[0]

    def _late(self, start: int, end: int, trade: tuple[int, int, int], before: int) -> None:
        old = self._newest(start)
        if old is None:
            self.rows.append(Bar(start, end, (trade,), self._doubt(start, end), 1))
            return
        new = replace(old, trades=(*old.trades, trade), marks=old.marks - {"no trade"})
        at = len(self.rows) - 1 - self.rows[::-1].index(old)
        if at >= before:
            self.rows[at] = new
        else:
            self.rows.append(replace(new, revision=old.revision + 1))

    def _newest(self, start: int) -> Bar | None:
        return next((row for row in reversed(self.rows) if row.start == start), None)

    def _doubt(self, start: int, end: int) -> frozenset[str]:
        begun = self.whole_from is None or start < self.whole_from
        over = self.gap_from is not None and end <= self.gap_from
        return frozenset({"suspect"}) if begun and not over else frozenset()

    def _close(self, bar: Bar) -> None:
        self._fill(bar.start)
        self.rows.append(bar)
        self.closed = bar.start
        if self.quiet_from is not None:
            self.quiet_from = max(self.quiet_from, bar.end)

    def _fill(self, until: int) -> None:
        if self.quiet_from is None or self.empty == "none":
            return
        while (period := self.bounds(self.quiet_from)) and period[1] <= until:
            self.quiet_from = period[1]
            if self.last is not None:
                marks = frozenset({"no trade"}) | self._doubt(*period)
                self.rows.append(Bar(*period, (), marks, 0, self.last if self.empty == "flat" else 0))
                self.closed = period[0]
