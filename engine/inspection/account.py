"""An account in words: the publication that came last, its counters, and whether its tables have room for what it
says."""

import time
from collections.abc import Iterator

import numpy as np

from shm import layout
from shm.segment import Segment

from ..table import reason_text
from . import published
from .report import Check, Checks, Groups, after
from .words import heard, wall_or_never

_ROOM = {"n_orders": layout.MAX_ORDERS, "n_positions": layout.MAX_POSITIONS, "n_fills": layout.MAX_FILLS}


def examine(segment: Segment) -> tuple[Groups, Checks]:
    account, fault = published.newest(segment)
    if account is not None:
        beyond = [name for name, most in _ROOM.items() if not 0 <= account[name] <= most]
        fault = ", ".join(f"{name} = {account[name]:,}" for name in beyond)
    groups = (("account", tuple(_account(segment, account))), ("counters", tuple(_counters(account))))
    return groups, (Check("the newest publication: in the bounds of its tables", fault),)


def _account(segment: Segment, account: np.void | None) -> Iterator[tuple[str, str]]:
    control = segment.array("control")
    yield "published", f"{control[layout.PUBLISHED]:,}"
    if account is None:
        yield "state", "syncing: waiting for the first snapshot"
        return
    age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - int(control[layout.THROUGH_NS])
    yield "state", f"{heard(int(account['state']), age_ns)}{after(reason_text(int(account['reason'])))}"
    yield "since", wall_or_never(int(account["since_wall_ns"]))
    yield "engine heard", f"{age_ns / 1e9:,.3f} s ago"
    if account["account_id"]:
        yield "account", f"{bytes(account['name']).decode(errors='replace')}  id {account['account_id']}"
        yield "balance", f"{account['balance_e9'] / layout.E9:,.2f}"
        yield "can trade", "yes" if account["can_trade"] else "no"
    for name in ("orders", "positions", "fills"):
        yield name, f"{account[f'n_{name}']:,}, and {account[f'unlisted_{name}']:,} without room"


def _counters(account: np.void | None) -> Iterator[tuple[str, str]]:
    for name in ("connects", "syncs", "events", "refused", "ignored") if account is not None else ():
        yield name, f"{account[name]:,}"  # type: ignore[index]
