"""Waiting in tests: for a condition, with a limit, never for an amount of time."""

import time
from collections.abc import Callable

_LOOK_EVERY_S = 0.005


def wait_for(condition: Callable[[], object], limit_s: float, what: str | Callable[[], str]) -> None:
    """Return as soon as `condition()` is true; fail with `what`, as it is then, when it is not within `limit_s`."""
    end_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end_s:
            raise AssertionError(f"not within {limit_s} s: {what if isinstance(what, str) else what()}")
        time.sleep(_LOOK_EVERY_S)
