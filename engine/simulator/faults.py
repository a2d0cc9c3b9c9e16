"""The fault knobs: what goes wrong at a venue, done to the clients of this one when it is asked for.

POST /simulator/fault {"kind": …} does one; docs/simulator.md has them all. Prepared flow and truth stay as they are
whatever is done: a wrong record is one *more* record, to those who are subscribed, between the right ones. So a client
that behaves as the fact sheet says ends with an exact book.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .channel import Channel
from .connection import Connection, Ending, drop_subscriptions, freeze_stream, thaw_stream
from .door import Door
from .flow import ENTRY, Dom, Kind, Rows
from .hub import END
from .sender import Sender
from .valves import Cut, Dripping, Held
from .wire import frame

MAX_HUGE_BYTES = 6 << 20  # below what the sender cuts a client off for
MAX_RECORDS = 1_000
MAX_AGE_MS = 60_000
MAX_REFUSED = 100
UNKNOWN_DOM_TYPES = (12, 13, 99, -1)
_NULLS = ("lastPrice", "bestBid", "bestAsk", "change", "changePercent", "open", "high", "low", "volume", "timestamp")

Asked = Mapping[str, Any]


class FaultRefused(ValueError):
    """There is no such fault, or not with these keys; the message says what to change."""


class Faults:
    """Does faults to the connections that are open. `done`: how often each kind was asked for."""

    def __init__(self, sender: Sender, door: Door) -> None:
        self.done: Counter[str] = Counter()
        self._sender = sender
        self._door = door
        self._knobs: dict[str, tuple[Callable[[Asked], None], frozenset[str]]] = {
            "drop_mid_batch": (self._drop_mid_batch, frozenset()),
            "freeze": (self._freeze, frozenset({"symbol"})),
            "thaw": (self._thaw, frozenset({"symbol"})),
            "slow_reader": (self._slow_reader, frozenset({"bytes_per_s"})),
            "duplicate_after_reconnect": (self._duplicate_after_reconnect, frozenset()),
            "stale_stamps": (self._stale_stamps, frozenset({"symbol", "records", "age_ms"})),
            "crossed": (self._crossed, frozenset({"symbol"})),
            "huge_frame": (self._huge_frame, frozenset({"symbol", "bytes"})),
            "reused_id_404": (self._reused_id_404, frozenset({"times"})),
            "logout": (self._logout, frozenset({"revoke"})),
            "partial_quote": (self._partial_quote, frozenset({"symbol"})),
            "empty_quote": (self._empty_quote, frozenset({"symbol"})),
            "unknown_target": (self._unknown_target, frozenset()),
            "unknown_dom_type": (self._unknown_dom_type, frozenset({"symbol"})),
        }

    def inject(self, asked: Asked) -> None:
        """Do the fault that a request's body asks for. Raises FaultRefused, and then nothing was done."""
        kind = asked.get("kind")
        if not isinstance(kind, str) or kind not in self._knobs:
            raise FaultRefused(f"a fault's kind is one of {', '.join(self._knobs)}")
        act, keys = self._knobs[kind]
        if unknown := asked.keys() - keys - {"kind"}:
            raise FaultRefused(f"{kind} has no key {min(unknown)[:32]!r}; it has {', '.join(sorted(keys)) or 'none'}")
        act(asked)
        self.done[kind] += 1

    # ── the connection ────────────────────────────────────────────────────────────────────────────────────

    def _drop_mid_batch(self, asked: Asked) -> None:
        """The next frames of each market connection are cut in the middle, and its socket ends there."""
        for connection in self._market():
            connection.set_valve(Cut)

    def _freeze(self, asked: Asked) -> None:
        """The stream of one contract stops, or all that the hubs say; the socket stays. A connection that is made
        later is not frozen."""
        if "symbol" not in asked:
            for connection in self._all():
                connection.set_valve(Held)
            return
        channel = self._channel(asked)
        for connection in self._all():
            freeze_stream(connection, channel)

    def _thaw(self, asked: Asked) -> None:
        """What was frozen or slow goes on, late, with all that it has withheld."""
        channels = [self._channel(asked)] if "symbol" in asked else list(self._sender.channels.values())
        for connection in self._all():
            if "symbol" not in asked:
                connection.set_valve(None)
            for channel in channels:
                thaw_stream(connection, channel)

    def _slow_reader(self, asked: Asked) -> None:
        """From now on each market connection takes only so many bytes a second; too far behind, it is cut off."""
        bytes_per_s = _whole(asked, "bytes_per_s", 10_000, 1, 1 << 30)
        for connection in self._market():
            connection.set_valve(lambda transport: Dripping(transport, bytes_per_s))

    def _duplicate_after_reconnect(self, asked: Asked) -> None:
        """All market connections end, in good order; who subscribes to trades next gets the last list once more."""
        for channel in self._sender.channels.values():
            channel.repeat_last_trades()
        for connection in self._market():
            for symbol in self._sender.channels:
                drop_subscriptions(connection, self._sender, symbol)
            connection.finish(Ending(allow_reconnect=True))

    def _reused_id_404(self, asked: Asked) -> None:
        """The next sockets are answered as if each came with an id that has had its life."""
        self._door.not_found = _whole(asked, "times", 1, 1, MAX_REFUSED)

    def _logout(self, asked: Asked) -> None:
        """GatewayLogout on both hubs, then their end; with `revoke` no token is good any more. What the event holds
        is not documented: here an empty object."""
        revoke = asked.get("revoke", False)
        if not isinstance(revoke, bool):
            raise FaultRefused("revoke is true or false")
        if revoke:
            self._door.log_out()
        for connection in self._all():
            connection.write(_event("GatewayLogout", {}))
            connection.finish(Ending())

    # ── one record more ───────────────────────────────────────────────────────────────────────────────────

    def _stale_stamps(self, asked: Asked) -> None:
        """Records whose stamps jump about behind the newest: each says the best levels again, as they are."""
        channel = self._channel(asked)
        records = _whole(asked, "records", 10, 1, MAX_RECORDS)
        age_ms = _whole(asked, "age_ms", 400, 1, MAX_AGE_MS)
        tops = np.concatenate([side[:1] for side in _book(channel)])
        frames = [channel.stale_depth(tops, (1 + 37 * i % age_ms) * 1_000_000) for i in range(records)]
        self._tell(channel, Kind.DEPTH, b"".join(frames))

    def _crossed(self, asked: Asked) -> None:
        """A bid at the price of the best ask, which nothing takes away."""
        channel = self._channel(asked)
        _, asks = _book(channel)
        self._tell_depth(channel, _entries([(Dom.BID, int(asks["price"][0]), 1)]))

    def _huge_frame(self, asked: Asked) -> None:
        """One record of at least so many bytes: all levels again, as they are, and again."""
        channel = self._channel(asked)
        wanted_bytes = _whole(asked, "bytes", 128 << 10, 64 << 10, MAX_HUGE_BYTES)
        levels = np.concatenate(_book(channel))
        once = channel.depth(levels, time.time_ns())
        self._tell_depth(channel, np.resize(levels, 1 + wanted_bytes * len(levels) // (len(once) - 100)))

    def _partial_quote(self, asked: Asked) -> None:
        """Quotes of one field each."""
        channel = self._channel(asked)
        self._tell(channel, Kind.QUOTE, channel.partial_quotes(time.time_ns()))

    def _empty_quote(self, asked: Asked) -> None:
        """Quotes that say nothing: no field but the symbol, none at all, all of them null."""
        channel = self._channel(asked)
        symbol = {"symbol": channel.contract.symbol_id}
        payloads: list[dict[str, Any]] = [symbol, {}, symbol | dict.fromkeys(_NULLS)]
        frames = [_event("GatewayQuote", channel.contract.contract_id, payload) for payload in payloads]
        self._tell(channel, Kind.QUOTE, b"".join(frames))

    def _unknown_target(self, asked: Asked) -> None:
        """Events that no documentation names, about each contract that a client wants, and about nothing."""
        for connection in self._all():
            for symbol in connection.wanted:
                contract = self._sender.channels[symbol].contract
                connection.write(_event("GatewayHalt", contract.contract_id, {"reason": 1}))
            connection.write(_event("GatewayNews"))

    def _unknown_dom_type(self, asked: Asked) -> None:
        """Depth entries of types that no documentation names."""
        channel = self._channel(asked)
        price = int(_book(channel)[0]["price"][0])
        self._tell_depth(channel, _entries([(dom, price, 7) for dom in UNKNOWN_DOM_TYPES]))

    def _tell_depth(self, channel: Channel, entries: Rows) -> None:
        self._tell(channel, Kind.DEPTH, channel.depth(entries, time.time_ns()))

    def _tell(self, channel: Channel, kind: Kind, frames: bytes) -> None:
        """Send frames to all that get this kind of record of a contract."""
        for connection in self._market():
            if connection.wanted.get(channel.contract.symbol, 0) & 1 << kind:
                connection.write(frames)

    def _all(self) -> list[Connection]:
        return list(self._door.terms.open)

    def _market(self) -> list[Connection]:
        """Those that have subscribed to something on the market hub."""
        return [connection for connection in self._door.terms.open if connection in self._sender.clients]

    def _channel(self, asked: Asked) -> Channel:
        symbol = asked.get("symbol")
        if not isinstance(symbol, str) or symbol not in self._sender.channels:
            raise FaultRefused(f"a symbol is one of {', '.join(self._sender.channels)}")
        return self._sender.channels[symbol]


def _whole(asked: Asked, key: str, usual: int, least: int, most: int) -> int:
    value = asked.get(key, usual)
    if type(value) is not int or not least <= value <= most:
        raise FaultRefused(f"{key} is a whole number from {least} to {most}")
    return value


def _book(channel: Channel) -> tuple[Rows, Rows]:
    """Both sides as last sent, with a level at least. Raises FaultRefused."""
    bids, asks = channel.book()
    if not len(bids) or not len(asks):
        raise FaultRefused(f"a side of the book of {channel.contract.symbol} is empty just now: ask again")
    return bids, asks


def _entries(rows: list[tuple[int, int, int]]) -> Rows:
    return np.array(rows, ENTRY)


def _event(target: str, *arguments: Any) -> bytes:
    """A frame with one event."""
    record = {"type": 1, "target": target, "arguments": list(arguments)}
    return frame((json.dumps(record, separators=(",", ":")) + END).encode())
