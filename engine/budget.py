"""How often the venue may be asked, and how long it wants to be left alone: decisions on values, no clock.

The gateway allows 200 requests in 60 s, and 50 in 30 s of retrieveBars; an older copy of its page says 30, so we stay
below that. Which kind of window it counts in is not documented: a sliding one keeps to every kind.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER_S: Final = 300.0  # a venue that asks for more is asked again after this


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `requests` in any window of `window_s` seconds."""

    requests: int
    window_s: float


BARS: Final = Limit(30, 30.0)
OTHERS: Final = Limit(200, 60.0)
_BARS_PATH: Final = "/History/retrieveBars"


def limit_of(path: str) -> Limit:
    """The budget that a request to this path (without a query) is paid from."""
    return BARS if path.endswith(_BARS_PATH) else OTHERS


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used of a limit: when the last requests were made, oldest first, and until when none may be."""

    times_s: tuple[float, ...] = ()
    closed_until_s: float = 0.0


def wait_s(limit: Limit, spent: Spent, now_s: float) -> float:
    """Seconds until one more request fits; 0.0 if it does now."""
    free_s = spent.closed_until_s
    if len(spent.times_s) >= limit.requests:
        free_s = max(free_s, spent.times_s[-limit.requests] + limit.window_s)
    return max(0.0, free_s - now_s)


def spend(limit: Limit, spent: Spent, now_s: float) -> Spent:
    """After one more request at `now_s`."""
    return replace(spent, times_s=(*spent.times_s[-limit.requests + 1 :], now_s)[-limit.requests :])


def close(spent: Spent, until_s: float) -> Spent:
    """After the venue asked for quiet; an earlier, longer wish stays."""
    return replace(spent, closed_until_s=max(spent.closed_until_s, until_s))


_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_MAX_HEADER_CHARACTERS: Final = 64


def retry_after_s(header: str | None, wall_s: float) -> float | None:
    """What a Retry-After header asks for, in seconds from now, between 0 and MAX_RETRY_AFTER_S; None if it is none.

    It is a whole number of seconds or an HTTP date (RFC 9110, 10.2.3); `wall_s` is the time now, since 1970.
    """
    text = (header or "").strip()
    if not text or len(text) > _MAX_HEADER_CHARACTERS:
        return None
    if _SECONDS.fullmatch(text):
        asked_s = float(text)
    else:
        try:
            date = parsedate_to_datetime(text)
            asked_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - wall_s
        except (ValueError, OverflowError):
            return None
    return min(max(asked_s, 0.0), MAX_RETRY_AFTER_S)
