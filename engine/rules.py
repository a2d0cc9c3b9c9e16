"""What a value of a settings file must be: a rule at each field of config.py, in the words of a refusal."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from shm.errors import ShardbookError
from shm.registry import SYMBOL_NAME
from shm.timeframe import MAX_TIMEFRAMES, parse

MAX_KEPT: Final = 10**9  # rows, days or MiB of a timeframe
MAX_URL_CHARACTERS: Final = 512
MAX_SECRET_CHARACTERS: Final = 512
FRONT: Final = "front"
EMPTY_BARS: Final = ("none", "flat", "marked")
CONTRACT_ID: Final = re.compile(r"CON\.F\.US\.[A-Z0-9]{1,16}\.[FGHJKMNQUVXZ][0-9]{2}")
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
MAX_SHOWN_CHARACTERS: Final = 80


class ConfigError(ShardbookError):
    """A setting that cannot be used. One sentence: file, key, value, cure."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be: `holds` decides, `must` is the sentence's word for it."""

    must: str
    holds: Callable[[Any], bool]
    is_address: bool = False  # what is wrong with one may be a secret in it, which no sentence repeats
    why: Callable[[Any], str] = lambda value: ""  # more words of what is wrong with one that does not hold


def whole(default: int, low: int, high: int) -> Any:
    """A whole number from `low` to `high`."""
    rule = Rule(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)
    return field(default=default, metadata={"rule": rule})


def text(default: str, must: str, holds: Callable[[str], object]) -> Any:
    """A string that `holds`."""
    return field(
        default=default, metadata={"rule": Rule(must, lambda value: isinstance(value, str) and bool(holds(value)))}
    )


def address(must: str, holds: Callable[[str], bool]) -> Any:
    """A URL, or empty: then it is known by the venue's name."""
    rule = Rule(must, lambda value: isinstance(value, str) and (value == "" or holds(value)), is_address=True)
    return field(default="", metadata={"rule": rule})


def flag(default: bool) -> Any:
    """True or false."""
    return field(default=default, metadata={"rule": Rule("true or false", lambda value: type(value) is bool)})


def is_power_of_two(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 1024 and value & (value - 1) == 0


def is_small_power_of_two(value: Any) -> bool:
    """Half of it, the largest that goes into a ring at once, and the largest block fit into one body of a journal."""
    return is_power_of_two(value) and value <= 64


def is_hot_rows(value: Any) -> bool:
    return type(value) is int and 256 <= value <= 1 << 20 and value & (value - 1) == 0


def is_contract(value: str) -> bool:
    return value == FRONT or CONTRACT_ID.fullmatch(value) is not None


def is_process(value: str) -> bool:
    return value == "" or SYMBOL_NAME.fullmatch(value) is not None


def are_timeframes(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) > MAX_TIMEFRAMES:
        return False
    try:
        return len({parse(name) for name in value}) == len(value)
    except (ValueError, TypeError):
        return False


def why_no_timeframes(value: Any) -> str:
    """Of a list, its first bad entry."""
    names = [name for name in value if isinstance(name, str)] if isinstance(value, list | tuple) else []
    for place, name in enumerate(names):
        try:
            if parse(name) in [parse(before) for before in names[:place]]:
                return f"{shown(name)} is there twice"
        except ValueError as error:
            return f"{shown(name)}: {error}"
    return ""


def are_policies(value: Any) -> bool:
    """Only bars that the clock cuts have periods without a trade."""
    if not isinstance(value, Mapping) or len(value) > MAX_TIMEFRAMES:
        return False
    try:
        named = [parse(name) for name in value]
    except (ValueError, TypeError):
        return False
    of_clock = all(each.is_time and not each.is_session for each in named)
    return of_clock and len(set(named)) == len(named) and all(policy in EMPTY_BARS for policy in value.values())


def _are_limits(value: Any) -> bool:
    if not isinstance(value, Mapping) or not all(
        type(each) is int and 1 <= each <= MAX_KEPT for each in value.values()
    ):
        return False
    return are_timeframes(list(value))


def limits(what: str) -> Any:
    """How much of each timeframe is kept: a table by its name."""
    must = f'a table of names of bars such as {{"1s" = 30}}, each with a whole number of {what} from 1 to {MAX_KEPT}'
    return field(default_factory=dict, metadata={"rule": Rule(must, _are_limits)})


def _is_url(value: str, secure: str, plain: str) -> bool:
    """A plain address of bounded length; without TLS only to this machine, because keys and tokens go over it."""
    if len(value) > MAX_URL_CHARACTERS or not value.isascii() or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises on a port that is none
    except ValueError:
        return False
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment or not parts.hostname:
        return False
    return parts.scheme in secure.split() or (parts.scheme in plain.split() and parts.hostname in _LOOPBACK)


def is_api_url(value: str) -> bool:
    return _is_url(value, "https", "http")


def is_hub_url(value: str) -> bool:
    return _is_url(value, "https wss", "http ws")


def may_hold_a_secret(address: object) -> bool:
    return isinstance(address, str) and any(mark in address for mark in "@?#")


def is_secret(value: str) -> bool:
    return 0 < len(value) <= MAX_SECRET_CHARACTERS and value.isprintable()


def shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= MAX_SHOWN_CHARACTERS else f"{shown[:MAX_SHOWN_CHARACTERS]}…"
