"""Which requests may be made again, and when. Only reads: a lost answer to anything else may be a thing that was done.

A path is a read because it stands in READS, never because of what it does not look like. The logins are not in it:
the feed has a back-off of its own for them, and a wrong key must not be tried three times.
"""

from typing import Final

READS: Final = (
    "/Account/search",
    "/Contract/search",
    "/Contract/searchById",
    "/Contract/available",
    "/History/retrieveBars",
    "/Order/search",
    "/Order/searchOpen",
    "/Order/searchById",
    "/Order/v2/query",
    "/Position/searchOpen",
    "/Trade/search",
)
MAX_TRIES: Final = 3
FIRST_DELAY_S: Final = 0.25
MAX_DELAY_S: Final = 2.0


def is_read(path: str) -> bool:
    """Whether asking twice is the same as asking once. `path` is without a query."""
    return path.endswith(READS)


def is_passing(status: int) -> bool:
    """Whether a status may be another one in a moment: too many requests, or a fault of the server's."""
    return status == 429 or 500 <= status <= 599


def delay_s(path: str, tries: int, chance: float) -> float | None:
    """How long to wait after the `tries`-th try failed; None if it was the last one. `chance` is from 0 to 1."""
    if tries >= MAX_TRIES or not is_read(path):
        return None
    return min(FIRST_DELAY_S * 2.0 ** (tries - 1), MAX_DELAY_S) * (0.5 + chance / 2)
