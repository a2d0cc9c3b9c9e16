"""The fault knobs: what goes wrong at a venue, done to the clients of this one when it is asked for.

POST /simulator/fault {"kind": …} does one; the keys that each knows are in KNOBS. Whatever is done, prepared flow and
truth stay as they are: a client that behaves as the fact sheet says ends with an exact book.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from .channel import Channel
from .connection import Connection, Terms, freeze_stream, thaw_stream
from .sender import Sender


class FaultRefused(ValueError):
    """There is no such fault, or not with these keys; the message says what to change."""


class Faults:
    """Does faults to the connections that are open. `done`: how often each kind was asked for."""

    def __init__(self, sender: Sender, terms: Terms) -> None:
        self.done: Counter[str] = Counter()
        self._sender = sender
        self._terms = terms
        self._knobs: dict[str, tuple[Callable[[Mapping[str, Any]], None], frozenset[str]]] = {
            "freeze": (self._freeze, frozenset({"symbol"})),
            "thaw": (self._thaw, frozenset({"symbol"})),
        }

    def inject(self, asked: Mapping[str, Any]) -> None:
        """Do the fault that a request's body asks for. Raises FaultRefused, and then nothing was done."""
        kind = asked.get("kind")
        if not isinstance(kind, str) or kind not in self._knobs:
            raise FaultRefused(f"a fault's kind is one of {', '.join(self._knobs)}")
        act, keys = self._knobs[kind]
        if unknown := asked.keys() - keys - {"kind"}:
            raise FaultRefused(f"{kind} has no key {min(unknown)[:32]!r}; it has {', '.join(sorted(keys)) or 'none'}")
        act(asked)
        self.done[kind] += 1

    def _freeze(self, asked: Mapping[str, Any]) -> None:
        """The stream of one contract stops, or all that the hubs say; the socket stays. A connection that is made
        later is not frozen."""
        if "symbol" not in asked:
            for connection in self._connections():
                connection.freeze()
            return
        channel = self._channel(asked)
        for connection in self._connections():
            freeze_stream(connection, channel)

    def _thaw(self, asked: Mapping[str, Any]) -> None:
        """What was frozen goes on, late, with all that it has withheld."""
        channels = [self._channel(asked)] if "symbol" in asked else list(self._sender.channels.values())
        for connection in self._connections():
            if "symbol" not in asked:
                connection.thaw()
            for channel in channels:
                thaw_stream(connection, channel)

    def _connections(self) -> list[Connection]:
        return list(self._terms.open)

    def _channel(self, asked: Mapping[str, Any]) -> Channel:
        symbol = asked.get("symbol")
        if not isinstance(symbol, str) or symbol not in self._sender.channels:
            raise FaultRefused(f"a symbol is one of {', '.join(self._sender.channels)}")
        return self._sender.channels[symbol]
