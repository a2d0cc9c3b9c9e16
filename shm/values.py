"""What a reader gets: NamedTuples and the dtypes of the arrays in them. Plain values, private to the caller.

Prices and sizes are exact integers in units of the instrument's increments (`…_ticks`, `…_units`); the floats
beside them are made here and nowhere else: integers first, then one true division. A side that is empty has the
price nan and the size 0. Stamps are nanoseconds: `recv_ns` of CLOCK_BOOTTIME, `venue_ns` of the venue's wall clock.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from .layout import Rows, State

if TYPE_CHECKING:
    import polars

POWERS: tuple[int, ...] = tuple(10**digits for digits in range(19))
NAN = float("nan")
_STATE_TEXT = {int(state): state.name.lower() for state in State}

PRICED_LEVEL = np.dtype([("price", "<f8"), ("size", "<f8")])

PRICED_TRADE = np.dtype(
    [
        ("price", "<f8"),
        ("size", "<f8"),
        ("side", "<i8"),
        ("venue_ns", "<i8"),
        ("recv_ns", "<i8"),
        ("sequence", "<i8"),
        ("place", "<i8"),
        ("price_ticks", "<i8"),
        ("size_units", "<i8"),
    ]
)

PRICED_QUOTE = np.dtype(
    [
        ("bid", "<f8"),
        ("bid_size", "<f8"),
        ("ask", "<f8"),
        ("ask_size", "<f8"),
        ("state", "<i8"),
        ("venue_ns", "<i8"),
        ("recv_ns", "<i8"),
        ("sequence", "<i8"),
        ("bid_ticks", "<i8"),
        ("bid_units", "<i8"),
        ("ask_ticks", "<i8"),
        ("ask_units", "<i8"),
    ]
)


class Scale(NamedTuple):
    """How integers become prices and sizes: value = units · increment / 10^scale."""

    price_scale: int
    price_increment: int
    size_scale: int
    size_increment: int

    @property
    def known(self) -> bool:
        """False until the engine has told the worker which contract this is."""
        return self.price_increment > 0 and self.size_increment > 0

    @property
    def whole_sizes(self) -> bool:
        """Every size is a whole number: volumes of bars are Int64 columns, else Float64."""
        return self.size_increment % POWERS[self.size_scale] == 0

    @property
    def tick_size(self) -> float:
        return self.price_increment / POWERS[self.price_scale]

    def price(self, ticks: int) -> float:
        return ticks * self.price_increment / POWERS[self.price_scale]

    def size(self, units: int) -> float:
        return units * self.size_increment / POWERS[self.size_scale]

    def prices(self, ticks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return ticks * self.price_increment / POWERS[self.price_scale]

    def sizes(self, units: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return units * self.size_increment / POWERS[self.size_scale]


def priced_trades(raw: Rows, scale: Scale) -> Rows:
    """PRICED_TRADE rows of layout.TRADE rows."""
    priced = np.empty(len(raw), PRICED_TRADE)
    for name in ("side", "venue_ns", "recv_ns", "sequence", "place"):
        priced[name] = raw[name]
    priced["price_ticks"] = raw["price"]
    priced["size_units"] = raw["size"]
    priced["price"] = scale.prices(raw["price"])
    priced["size"] = scale.sizes(raw["size"])
    return priced


def priced_quotes(raw: Rows, scale: Scale) -> Rows:
    """PRICED_QUOTE rows of layout.QUOTE rows."""
    priced = np.empty(len(raw), PRICED_QUOTE)
    for name in ("state", "venue_ns", "recv_ns", "sequence"):
        priced[name] = raw[name]
    for side in ("bid", "ask"):
        units = raw[f"{side}_size"]
        priced[f"{side}_ticks"] = raw[side]
        priced[f"{side}_units"] = units
        priced[side] = np.where(units > 0, scale.prices(raw[side]), np.nan)
        priced[f"{side}_size"] = scale.sizes(units)
    return priced


class Quote(NamedTuple):
    """Best bid and ask of one record. The fields are the memory's own integers; the floats are made when asked for."""

    sequence: int
    recv_ns: int
    state: int  # a layout.State
    venue_ns: int
    bid_ticks: int
    bid_units: int  # 0: no bid, its price means nothing
    ask_ticks: int
    ask_units: int
    price_scale: int
    price_increment: int
    size_scale: int
    size_increment: int

    @property
    def bid(self) -> float:
        return self.bid_ticks * self.price_increment / POWERS[self.price_scale] if self.bid_units else NAN

    @property
    def ask(self) -> float:
        return self.ask_ticks * self.price_increment / POWERS[self.price_scale] if self.ask_units else NAN

    @property
    def bid_size(self) -> float:
        return self.bid_units * self.size_increment / POWERS[self.size_scale]

    @property
    def ask_size(self) -> float:
        return self.ask_units * self.size_increment / POWERS[self.size_scale]

    @property
    def spread(self) -> float:
        """Ask less bid, in price; exact, because the difference is taken in ticks."""
        if not (self.bid_units and self.ask_units):
            return NAN
        return (self.ask_ticks - self.bid_ticks) * self.price_increment / POWERS[self.price_scale]

    @property
    def mid(self) -> float:
        if not (self.bid_units and self.ask_units):
            return NAN
        return (self.ask_ticks + self.bid_ticks) * self.price_increment / (2 * POWERS[self.price_scale])

    def __repr__(self) -> str:
        bid, ask = _best(self.bid, self.bid_size), _best(self.ask, self.ask_size)
        return f"Quote(bid {bid}, ask {ask}, {_STATE_TEXT.get(self.state, self.state)})"


def _best(price: float, size: float) -> str:
    """A price and its size for people."""
    return f"{price} × {size:g}" if size else "none"


class Top(NamedTuple):
    """The first levels of both sides, in integers: the quickest way to more than one level."""

    n_bids: int  # levels published on that side: rows of `levels` from there on mean nothing
    n_asks: int
    sequence: int
    state: int  # a layout.State
    venue_ns: int
    levels: npt.NDArray[np.int64]  # [side, rank, (ticks, units)]: side 0 bids, rank 0 the best


class Book(NamedTuple):
    """One state of the book, copied whole. Levels best first."""

    symbol: str
    bids: Rows  # PRICED_LEVEL: price, size
    asks: Rows
    bid_ticks: Rows  # LEVEL: the same in ticks and size units, read-only
    ask_ticks: Rows
    bids_complete: bool  # no level of the venue's is missing behind the last one
    asks_complete: bool
    state: str  # live, syncing, stale, closed
    reason: str  # why it is not live; empty when it is
    venue_ns: int
    recv_ns: int
    sequence: int  # of the last applied ring record
    published: int  # number of the publication; of the checkpoint, if this came from depth()
    scale: Scale  # what makes prices and sizes of the integers

    @property
    def best_bid(self) -> float:
        return float(self.bids["price"][0]) if len(self.bids) else NAN

    @property
    def best_ask(self) -> float:
        return float(self.asks["price"][0]) if len(self.asks) else NAN

    def __repr__(self) -> str:
        bid, ask = (_best(*side[0].tolist()) if len(side) else "none" for side in (self.bids, self.asks))
        levels = f"{len(self.bids)} + {len(self.asks)} levels"
        return f"Book({self.symbol}: bid {bid}, ask {ask}, {levels}, {self.state})"

    def to_polars(self) -> "polars.DataFrame":
        """One row a level: side ("bid" or "ask"), level (0 is the best), price, size, price_ticks, size_units."""
        import polars

        sides = ("bid", self.bids, self.bid_ticks), ("ask", self.asks, self.ask_ticks)
        return polars.concat(
            polars.DataFrame(
                {
                    "side": polars.repeat(side, len(priced), dtype=polars.String, eager=True),
                    "level": np.arange(len(priced)),
                    "price": np.ascontiguousarray(priced["price"]),
                    "size": np.ascontiguousarray(priced["size"]),
                    "price_ticks": np.ascontiguousarray(exact["price"]),
                    "size_units": np.ascontiguousarray(exact["size"]),
                }
            )
            for side, priced, exact in sides
        )


class Session(NamedTuple):
    """The venue's merged quote: what it said last of each field. nan (the stamp: None) is what it never said.

    It comes beside the book, not out of it: `bid` and `ask` may differ from the book's for a moment.
    """

    last: float
    open: float
    high: float
    low: float
    volume: float  # of the session so far
    change: float  # in price; against what, the venue does not say
    change_percent: float  # as the venue sends it; ProjectX sends a fraction: 0.0012 is 0.12 %
    bid: float
    ask: float
    updated_ns: int | None  # the venue's stamp of its newest quote
    sequence: int  # of the last applied ring record
    recv_ns: int
    state: int  # a layout.State


class Trade(NamedTuple):
    """One print of the tape. (sequence, place) is its key: the ring record it came in and its place there."""

    price: float
    size: float
    side: int  # the aggressor: BUY or SELL
    venue_ns: int
    recv_ns: int
    sequence: int
    place: int
    price_ticks: int
    size_units: int


class Change(NamedTuple):
    """What `Market.watch` saw of one instrument. Changes that come faster than they are read are seen as one."""

    symbol: str
    published: int  # publications of this generation so far
    tape_count: int  # trades of this generation so far
    quote_count: int  # changes of best bid and ask of this generation so far
    generation: int  # a higher one than before: the engine was started anew, and the counts began at 0 again
    live: bool  # and so a change, though nothing was published, when the engine or the worker has gone silent


class Latency(NamedTuple):
    """How many records took how long from receive to publish, since the generation began."""

    counts: tuple[int, ...]  # four steps an octave of nanoseconds; see status.step_ns

    def since(self, before: "Latency") -> "Latency":
        """Only what came after `before`; all of this if counting has begun anew since."""
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        return self if min(counts) < 0 else Latency(counts)


class Gap(NamedTuple):
    """The last outage that had a hole in its data: all that the engine said from a live book to the next live one."""

    reason: str  # the first that was said
    wall_ns: int  # CLOCK_REALTIME at which the engine last said so
    lost: int  # records known lost in it
    from_wall_ns: int  # where it begins: the last message that was applied before it; 0: there was none


class Status(NamedTuple):
    """All that is known of one instrument, without a price being asked for. Counts are of this generation."""

    symbol: str
    contract: str
    pid: int  # of its worker; 0: none lives
    state: str
    reason: str
    live: bool
    since_ns: int  # CLOCK_BOOTTIME of the record that brought the state
    source: str  # venue, replay, or empty before the first record
    delivered: int  # hub messages the engine handed over; = applied + refused + dropped + quarantined when quiet
    applied: int
    refused: int
    dropped: int
    quarantined: int
    resyncs: int  # how often this instrument alone was subscribed again; a reconnect of all is none
    trades: int
    depth_entries: int
    fast_records: int  # decoded by the kernel
    slow_records: int  # decoded by the slow path
    ignored_entries: int  # thrown away while waiting for a snapshot
    unknown_entries: int  # of a type that moves no book
    venue_ns: int
    through_ns: int  # the engine's stamp of the last applied record or clock frame; 0: there was none
    age_ns: int  # now less through_ns; 0 if there was none
    lag_ns: int  # receive wall clock less venue stamp, of the last stamped record
    latency_p50_ns: int  # receive to publish: the upper edge of the bucket, so at most a quarter too large; 0: none yet
    latency_p99_ns: int
    last_gap: Gap | None
    last_price: float  # nan before the first trade
    last_size: float
    restarts: int  # of its worker
    parked: str  # why its worker is not started again; empty while it is
    generation: int
    published: int
