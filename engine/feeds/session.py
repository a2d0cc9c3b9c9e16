"""The life of a feed, as one table. Nothing here knows a socket, a clock or a venue.

A feed is in one state; what happens to it is an event; `TABLE` says what comes of it. A pair that is not in the
table cannot happen: if it does, our own code is wrong and `advance` raises.

Logging in comes before each connection: with a token that is still good it costs nothing, and with one that was
refused (the gateway forgets it then) it fetches a new one. So a 401 is cured by exactly one login, after a pause
that grows if the cure does not hold.
"""

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """Where a feed is; the number is what the engine's page shows as `feed_state`."""

    OFFLINE = 0
    LOGGING_IN = 1  # a token, and once the contracts
    CONNECTING = 2  # the websocket
    HANDSHAKING = 3  # the hub protocol on it
    SUBSCRIBING = 4  # a gap into every ring, then the subscriptions
    STREAMING = 5
    BACKING_OFF = 6
    CLOSED = 7


class Event(IntEnum):
    """What happens to a feed."""

    START = 1
    DONE = 2  # the step that the state stands for went well
    LOST = 3  # it did not, or the connection is gone: worth another try
    DENIED = 4  # it did not and never will: a wrong key, an unknown contract
    STOP = 5


TABLE: Final[dict[tuple[State, Event], State]] = {
    (State.OFFLINE, Event.START): State.LOGGING_IN,
    (State.OFFLINE, Event.STOP): State.CLOSED,
    (State.LOGGING_IN, Event.DONE): State.CONNECTING,
    (State.LOGGING_IN, Event.LOST): State.BACKING_OFF,
    (State.LOGGING_IN, Event.DENIED): State.CLOSED,
    (State.LOGGING_IN, Event.STOP): State.CLOSED,
    (State.CONNECTING, Event.DONE): State.HANDSHAKING,
    (State.CONNECTING, Event.LOST): State.BACKING_OFF,
    (State.CONNECTING, Event.STOP): State.CLOSED,
    (State.HANDSHAKING, Event.DONE): State.SUBSCRIBING,
    (State.HANDSHAKING, Event.LOST): State.BACKING_OFF,
    (State.HANDSHAKING, Event.STOP): State.CLOSED,
    (State.SUBSCRIBING, Event.DONE): State.STREAMING,
    (State.SUBSCRIBING, Event.LOST): State.BACKING_OFF,
    (State.SUBSCRIBING, Event.STOP): State.CLOSED,
    (State.STREAMING, Event.LOST): State.BACKING_OFF,
    (State.STREAMING, Event.STOP): State.CLOSED,
    (State.BACKING_OFF, Event.DONE): State.LOGGING_IN,
    (State.BACKING_OFF, Event.STOP): State.CLOSED,
}


def advance(state: State, event: Event) -> State:
    """The state that follows. Raises LookupError for a pair that the table does not have."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise LookupError(f"{event.name} cannot happen to a feed that is {state.name}") from None


def backoff_ns(attempt: int, random: float, first_ns: int, max_ns: int) -> int:
    """How long to wait after failure number `attempt` (from 0): doubling from `first_ns`, at most `max_ns`.

    `random` in [0, 1) takes away up to half, so that a thousand clients of one venue do not come back together.
    """
    longest = min(max_ns, first_ns << min(attempt, 32))
    return longest - int(longest * random / 2)
