"""When is one instrument subscribed again, and when is that not enough? Decisions on values, no sockets, no clock.

A worker whose book went stale asks for a snapshot by raising a word; an instrument that falls silent is asked for
as if it had, and one whose stream is found frozen (silence.py) at once. Each answer is a new subscription on the
living socket: the first at once, the next after a pause that doubles, and the first is at once again when the
instrument has been quiet for a while. The socket itself is given up when a new subscription fails: an error, no
snapshot in time, or a stream that freezes again. That stops the other instruments too, so more wishes alone never do
it: a worker that is too slow would take all others with it.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from shm.layout import Reason

SECOND_NS: Final = 1_000_000_000
FIRST_PAUSE_NS: Final = SECOND_NS // 2
MAX_PAUSE_NS: Final = 8 * SECOND_NS
FORGIVEN_AFTER_NS: Final = 30 * SECOND_NS


class Action(Enum):
    """What to do about an instrument now."""

    WAIT = "wait"
    RESUBSCRIBE = "resubscribe"
    RECONNECT = "reconnect"


@dataclass(frozen=True, slots=True)
class Limits:
    """From the settings: of the feed, and of the instrument."""

    timeout_ns: int
    max_silence_ns: int


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of one instrument on one connection. Times are CLOCK_BOOTTIME, 0 is never."""

    wanted: int  # the worker's word, as far as it was answered
    messages: int = 0  # how many messages had come
    active_ns: int = 0  # when the last one was noticed
    asked_ns: int = 0  # when it was last subscribed again
    answered: bool = True  # whether a snapshot has come since
    attempts: int = 0  # new subscriptions, until it was quiet long enough
    froze_ns: int = 0  # when its stream was last found frozen


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` goes into the gap record before a RESUBSCRIBE, and into the log before a RECONNECT."""

    action: Action
    reason: Reason
    watched: Watched


@dataclass(frozen=True, slots=True)
class Seen:
    """What an instrument looks like now."""

    wanted: int  # the worker's word
    messages: int  # how many have come so far
    answered: bool = False  # a snapshot has come since it was last subscribed again
    failed: bool = False  # the venue refused that subscription
    frozen: bool = False  # its stream was found frozen just now
    vouched: bool = False  # the venue says that nothing is traded: it is quiet, not silent


def decide(watched: Watched, limits: Limits, now_ns: int, seen: Seen) -> Decision:
    """What to do about an instrument, and what is known of it from now on."""
    if seen.messages != watched.messages:
        watched = replace(watched, messages=seen.messages, active_ns=now_ns)
    if seen.answered and not watched.answered:
        watched = replace(watched, answered=True)
    if seen.failed or (not watched.answered and now_ns - watched.asked_ns >= limits.timeout_ns):
        return Decision(Action.RECONNECT, Reason.RESYNC, watched)
    frozen = seen.frozen and watched.answered  # else the cure is under way, and has its own limit
    if frozen:
        if watched.froze_ns and now_ns - watched.froze_ns < FORGIVEN_AFTER_NS:
            return Decision(Action.RECONNECT, Reason.SILENCE, watched)
        watched = replace(watched, froze_ns=now_ns)
    if seen.vouched and watched.active_ns:
        watched = replace(watched, active_ns=now_ns)
    if watched.attempts and now_ns - watched.asked_ns >= FORGIVEN_AFTER_NS:
        watched = replace(watched, attempts=0)
    silent = frozen or (watched.active_ns > 0 and now_ns - watched.active_ns >= limits.max_silence_ns)
    if seen.wanted == watched.wanted and not silent:
        return Decision(Action.WAIT, Reason.NONE, watched)
    if watched.attempts and not frozen and now_ns - watched.asked_ns < pause_ns(watched.attempts):
        return Decision(Action.WAIT, Reason.NONE, watched)
    return Decision(
        Action.RESUBSCRIBE,
        Reason.SILENCE if silent else Reason.RESYNC,
        replace(
            watched,
            wanted=seen.wanted,
            active_ns=0,  # it has to speak before it can fall silent again
            asked_ns=now_ns,
            answered=False,
            attempts=watched.attempts + 1,
        ),
    )


def pause_ns(attempts: int) -> int:
    """How long after new subscription number `attempts` (from 1) the next may come."""
    return min(MAX_PAUSE_NS, FIRST_PAUSE_NS << min(attempts - 1, 16))
