"""The shared memory of shardbook, and the way to read it: `from shm import attach`."""

import platform
import sys

from .platform_check import refusal

if _refusal := refusal(platform.system(), platform.machine(), sys.version_info[:2]):
    raise ImportError(_refusal)

from .account_values import Account, Fill, Order, Position
from .bars import Bars
from .errors import (
    Hole,
    Incomplete,
    LayoutError,
    NoAccount,
    NoEngine,
    NoHours,
    NotRecorded,
    Overrun,
    ShardbookError,
    Stale,
    UnknownSymbol,
    UnknownTimeframe,
    WriterGone,
)
from .events import Event, Events
from .layout import BUY, SELL, BarFlag, State
from .past import Past
from .reader import BookView, Instrument, Market, attach
from .stream import Quotes, Tape
from .values import Book, Change, Gap, Latency, Quote, Session, Status, Top, Trade
from .watch import Watch

__all__ = [
    "BUY",
    "SELL",
    "Account",
    "BarFlag",
    "Bars",
    "Book",
    "BookView",
    "Change",
    "Event",
    "Events",
    "Fill",
    "Gap",
    "Hole",
    "Incomplete",
    "Instrument",
    "Latency",
    "LayoutError",
    "Market",
    "NoAccount",
    "NoEngine",
    "NoHours",
    "NotRecorded",
    "Order",
    "Overrun",
    "Past",
    "Position",
    "Quote",
    "Quotes",
    "Session",
    "ShardbookError",
    "Stale",
    "State",
    "Status",
    "Tape",
    "Top",
    "Trade",
    "UnknownSymbol",
    "UnknownTimeframe",
    "Watch",
    "WriterGone",
    "attach",
]
