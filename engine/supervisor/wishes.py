"""Which instruments are wanted, out of those wanted before and what the symbol files say now. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from ..config import MAX_SYMBOLS, SymbolSettings, check_together
from ..rules import ConfigError
from .folder import News

_SOURCE = "the symbol files"


class Wishes(NamedTuple):
    """`wanted` by symbol, in order; `refused` has a sentence for each file that changes nothing.

    `kept`: the one that goes on without a file, because an engine without any instrument is none; empty if none does.
    """

    wanted: dict[str, SymbolSettings]
    refused: dict[str, str]
    kept: str


def compare(before: Mapping[str, SymbolSettings], news: News, kept: str = "") -> Wishes:
    """Take over what can be used, and leave the rest as it was.

    All changes together, if together they can be; else one after the other, as far as each agrees with what is
    wanted by then. The last instrument stays: an engine without any is none. Who was `kept` for that goes as soon as
    another is wanted.
    """
    if kept:
        news = {kept: None} | news
    wanted = {symbol: settings for symbol, settings in before.items() if news.get(symbol, settings) is not None}
    refused = {symbol: text for symbol, text in news.items() if isinstance(text, str)}
    new = {
        symbol: settings
        for symbol, settings in news.items()
        if isinstance(settings, SymbolSettings) and settings != before.get(symbol)
    }
    if not _complaint(wanted | new):
        wanted |= new
    else:
        while taken := [symbol for symbol, settings in new.items() if not _complaint(wanted | {symbol: settings})]:
            wanted[taken[0]] = new.pop(taken[0])
        refused |= {symbol: _complaint(wanted | {symbol: settings}) for symbol, settings in new.items()}
    last = ""
    if not wanted and before:
        last = next(iter(before))
        wanted[last] = before[last]
        refused[last] = f"{_SOURCE}: none is left, and an engine has at least one: {last} goes on as it was"
    return Wishes(wanted, refused, last)


def _complaint(wanted: Mapping[str, SymbolSettings]) -> str:
    """Why these cannot be together; empty if they can."""
    if len(wanted) > MAX_SYMBOLS:
        return f"{_SOURCE}: {len(wanted)} symbols, but at most {MAX_SYMBOLS} can be: move some away"
    try:
        check_together(list(wanted.values()), _SOURCE)
    except ConfigError as error:
        return str(error)
    return ""
