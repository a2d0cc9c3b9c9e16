"""Which calendar an instrument keeps to, and what is known of one beyond the library's table: a small table of ours.

No library is loaded here: settings are read by processes that need no calendar, and the one that has them all takes
pandas along (engine/sessions.py). So the names stand here, as people write them into a symbol file; a test holds them
against the library.
"""

from enum import Enum
from typing import Final, NamedTuple


class Family(Enum):
    """Which of our corrections (engine/corrections.py) a calendar needs."""

    NONE = "none"
    EQUITY = "equity"
    ENERGY_AND_METALS = "energy and metals"


class Calendar(NamedTuple):
    """A calendar by the library's name. Times are minutes of the local day at the exchange."""

    library: str
    rth_open: int | None  # None: no regular hours apart from the rest
    rth_close: int | None
    family: Family = Family.NONE
    cme: bool = True  # trades of a holiday count to the next trade date, as CME clears them


ALWAYS_OPEN: Final = "24/7"

_DAY: Final = (8 * 60 + 30, 15 * 60)
_METALS: Final = (7 * 60 + 20, 12 * 60 + 30)
_ENERGY: Final = (8 * 60, 13 * 60 + 30)
_RATES: Final = (7 * 60 + 20, 14 * 60)

# Regular hours are those of the cash market (equities) or of the former pit, which is when settlement falls.
CALENDARS: Final = {
    ALWAYS_OPEN: Calendar(ALWAYS_OPEN, None, None, cme=False),
    "CME_Equity": Calendar("CME Globex Equity", *_DAY, Family.EQUITY),
    "CMEGlobex_Metals": Calendar("CMEGlobex_Metals", *_METALS, Family.ENERGY_AND_METALS),
    "CMEGlobex_Energy": Calendar("CMEGlobex_Energy", *_ENERGY, Family.ENERGY_AND_METALS),
    "CMEGlobex_FX": Calendar("CMEGlobex_FX", *_RATES),
    "CME_Rate": Calendar("CME Globex Fixed Income", *_RATES),
    "CMEGlobex_Grains": Calendar("CMEGlobex_Grains", 8 * 60 + 30, 13 * 60 + 20),
    "CMEGlobex_Livestock": Calendar("CMEGlobex_Livestock", 8 * 60 + 30, 13 * 60 + 5),
    "CME_Crypto": Calendar("CME Globex Crypto", *_DAY),
}

_SYMBOLS: Final = {
    "CME_Equity": "ES MES NQ MNQ RTY M2K YM MYM EMD NKD",
    "CMEGlobex_Metals": "GC MGC SI SIL HG MHG PL PA",
    "CMEGlobex_Energy": "CL MCL QM NG QG MNG RB HO",
    "CMEGlobex_FX": "6A 6B 6C 6E 6J 6M 6N 6S E7 M6A M6B M6E",
    "CME_Rate": "ZT ZF ZN TN ZB UB",
    "CMEGlobex_Grains": "ZC ZS ZW ZM ZL",
    "CMEGlobex_Livestock": "HE LE GF",
    "CME_Crypto": "MBT MET",
}
_OF_SYMBOL: Final = {symbol: name for name, symbols in _SYMBOLS.items() for symbol in symbols.split()}


def calendar_of(symbol: str, given: str = "") -> str:
    """The name of an instrument's calendar: the one `given`, or its symbol's; who is not listed never closes."""
    return given or _OF_SYMBOL.get(symbol, ALWAYS_OPEN)
