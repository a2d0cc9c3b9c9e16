"""Names of bars: "1min", "5m", "1day", "100tick", "500vol", "1000000usd". One name, one way to cut trades into bars.

Time bars take the names that ProjectX users know (1sec … 1month) and the short ones (1s, 1m, 1h, 1d, 1w, 1mo); both
mean the same, and the first is the one that is shown. Bars by count close with the trade that reaches it.
"""

import re
from enum import IntEnum
from typing import Final, NamedTuple

MAX_TIMEFRAMES: Final = 32  # of one instrument
MAX_COUNT: Final = 10**12  # of ticks, contracts or dollars in a bar


class Unit(IntEnum):
    """What a bar is cut by. The number of a time unit is that of the gateway's retrieveBars."""

    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    WEEK = 5
    MONTH = 6
    TICK = 7
    VOLUME = 8
    DOLLAR = 9


_SECONDS: Final = {Unit.SECOND: 1, Unit.MINUTE: 60, Unit.HOUR: 3600}
_NAMES: Final = {
    Unit.SECOND: ("sec", "s"),
    Unit.MINUTE: ("min", "m"),
    Unit.HOUR: ("hr", "h"),
    Unit.DAY: ("day", "d"),
    Unit.WEEK: ("week", "w"),
    Unit.MONTH: ("month", "mo"),
    Unit.TICK: ("tick", "t"),
    Unit.VOLUME: ("vol", "v"),
    Unit.DOLLAR: ("usd", "$"),
}
_UNITS: Final = {name: unit for unit, names in _NAMES.items() for name in names}
_FORM: Final = re.compile(r"([1-9][0-9]{0,11})([a-z$]+)")


class Timeframe(NamedTuple):
    """`amount` units make a bar."""

    unit: Unit
    amount: int

    @property
    def name(self) -> str:
        """The one name that is shown, and that files bear."""
        return f"{self.amount}{_NAMES[self.unit][0]}"

    @property
    def is_time(self) -> bool:
        return self.unit <= Unit.MONTH

    @property
    def is_session(self) -> bool:
        """A day or longer: it begins and ends with trading days, not with the clock."""
        return Unit.DAY <= self.unit <= Unit.MONTH

    @property
    def length_ns(self) -> int:
        """Of a bar that the clock cuts: nanoseconds. Raises KeyError for any other."""
        return self.amount * _SECONDS[self.unit] * 1_000_000_000


def parse(name: str) -> Timeframe:
    """A timeframe by any of its names. Raises ValueError, which says how names are made, and TypeError for no name.

    Seconds, minutes and hours must divide a day, so that bars of all days begin alike; days, weeks and months come one
    at a time.
    """
    if not isinstance(name, str):
        raise TypeError(f'a timeframe is a name such as "1min", not {name!r:.40}')
    found = _FORM.fullmatch(name.strip().lower())
    unit = _UNITS.get(found[2]) if found else None
    if found is None or unit is None:
        raise ValueError(
            f"{name[:32]!r} is no timeframe: write a number and sec, min, hr, day, week, month, tick, vol, usd"
        )
    return checked(unit, int(found[1]))


def checked(unit: int, amount: int) -> Timeframe:
    """`amount` units, where bars can be cut by that. Raises ValueError as `parse` does."""
    if unit not in tuple(Unit) or not 1 <= amount <= MAX_COUNT:
        raise ValueError(f"{amount} of unit {unit} is no timeframe")
    made = Timeframe(Unit(unit), amount)
    if made.unit in _SECONDS and 86_400 % (made.amount * _SECONDS[made.unit]):
        raise ValueError(f"{made.name!r} does not divide a day: 1, 5, 15, 30 of sec or min, and 1, 4 of hr do")
    if made.is_session and made.amount != 1:
        raise ValueError(f"{made.name!r} cannot be: days, weeks and months come one at a time")
    return made
