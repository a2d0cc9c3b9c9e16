"""Values in words: times, prices, and how a state is called."""

import time
from enum import IntEnum

from shm.layout import State

from ..table import decimals

HEARD_LIMIT_NS = 1_000_000_000  # clock frames come each 100 ms; max_lag_ms of a symbol file is as long by default


def second(wall_ns: int) -> str:
    """A moment, to the second, where it is known to be UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(wall_ns // 10**9))


def wall(wall_ns: int) -> str:
    """A moment, to the second."""
    return second(wall_ns) + " UTC"


def wall_or_never(wall_ns: int) -> str:
    """The same, where zero is a stamp that was not given yet."""
    return wall(wall_ns) if wall_ns > 0 else "never"


def heard(state: int, age_ns: int) -> str:
    """The state in a word. Nobody is left to take back a "live" of an engine that has ended or stands still."""
    name = name_of(State, state)
    return (
        f"{name} when last heard, {age_ns / 1e9:,.1f} s ago"
        if state == State.LIVE and age_ns > HEARD_LIMIT_NS
        else name
    )


def name_of(kind: type[IntEnum], value: int) -> str:
    return kind(value).name.lower() if value in tuple(kind) else f"unknown ({value})"


def price(ticks: int, increment: int, scale: int) -> str:
    if increment <= 0 or not 0 <= scale <= 18:
        return f"{ticks:,} ticks"
    return f"{ticks * increment / 10**scale:,.{decimals(increment, scale)}f}"
