"""How the commands take their arguments: argparse, but what is wrong is said in one sentence."""

import argparse
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

WRONG_USE = 2
LAST_NS: Final = (1 << 63) - 1  # a time of day that a record can have: past it none is
MIN_SPEED: Final = 0.001  # times as fast as recorded: a second of it takes a quarter of an hour
MAX_SPEED: Final = 1e6
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Arguments(argparse.ArgumentParser):
    """A parser whose complaint fits on one line; --help has all there is to know."""

    def __init__(self, *, prog: str, description: str | None = None, epilog: str | None = None) -> None:
        """An option is written out: what is short for one today might be short for two tomorrow."""
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Say it and end with status 2."""
        self.exit(WRONG_USE, f"{self.prog}: {message} ({self.prog} --help says more)\n")


def number_reader(what: str, low: float, high: float) -> Callable[[str], float]:
    """A reader of numbers from `low`, 0 itself left out, to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and value > 0):
            limits = f"{low:g} to {high:,.0f}" if low else f"above 0, at most {high:,.0f}"
            raise argparse.ArgumentTypeError(f"{text} is not {what}: {limits}")
        return value

    return read


def list_of_symbols(text: str) -> list[str]:
    """The names between commas."""
    symbols = [part.strip() for part in text.split(",")]
    if not all(symbols):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list such as MNQ,MES")
    if twice := [symbol for symbol in symbols if symbols.count(symbol) > 1]:
        raise argparse.ArgumentTypeError(f"{twice[0]} is there twice: leave one of them out")
    return symbols


def utc_time(text: str) -> int:
    """Nanoseconds since 1970 of an ISO time, which is UTC unless it says otherwise.

    Of one that no record can have, the nearest that one can: what is asked for is the same.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time such as 2026-03-02T14:30") from None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return min(max(0, (aware - _EPOCH) // timedelta(microseconds=1) * 1000), LAST_NS)


def time_text(wall_ns: int) -> str:
    """A time of day in UTC, to the second."""
    return f"{_EPOCH + timedelta(microseconds=wall_ns // 1000):%Y-%m-%d %H:%M:%S}"
