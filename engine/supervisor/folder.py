"""The folder of symbol files that the user named, looked at again and again while the engine runs.

A file counts once it has looked the same twice running, and is gone once it was missing twice running: an editor that
writes a file in pieces, or takes it away before it puts the new one there, is not caught in the act.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..config import MAX_LISTED_FILES, SymbolSettings, read_symbol
from ..rules import ConfigError

# What a file of that symbol says now: settings, the sentence why it has none, or None if it is gone.
News = dict[str, SymbolSettings | str | None]

_Mark = tuple[int, int, int]  # when it was changed, how long it is, which file it is
_UNKNOWN: _Mark = (-1, -1, -1)


class Folder:
    """Looks at a folder's listing, and reads those files whose line in it changed."""

    def __init__(self, folder: Path, symbols: Sequence[str] | None, known: Iterable[str] = ()) -> None:
        """`symbols`: the only ones that count; None for all. `known`: had a file at the start, maybe gone by now."""
        self._folder = folder
        self._symbols = symbols
        self._before: dict[str, _Mark] = dict.fromkeys(known, (0, 0, 0))
        self._taken = dict(self._before)
        self.complaint = ""  # why the folder itself cannot be used; empty while it can

    def look(self) -> News:
        """What changed since the last look. The first two looks together bring every file there is."""
        try:
            now = self._list()
        except OSError as error:
            self.complaint = f"{self._folder}: cannot be listed ({error.strerror}): what runs goes on as it is"
            return {}
        if len(now) > MAX_LISTED_FILES:
            limit = f"above the limit of {MAX_LISTED_FILES}"
            self.complaint = f"{self._folder}: {len(now)} symbol files are {limit}: move some away"
            return {}
        self.complaint = ""
        news: News = {}
        for symbol, mark in now.items():
            if self._before.get(symbol) == mark != self._taken.get(symbol):
                self._taken[symbol] = mark
                news[symbol] = self._read(symbol)
        for symbol in self._taken.keys() - now.keys() - self._before.keys():
            del self._taken[symbol]
            news[symbol] = None
        self._before = now
        return news

    def _list(self) -> dict[str, _Mark]:
        found = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                symbol, dot, kind = entry.name.rpartition(".")
                if not dot or kind != "toml" or (self._symbols is not None and symbol not in self._symbols):
                    continue
                try:
                    status = entry.stat()
                except FileNotFoundError:  # it went between the two calls, or is a link to nowhere
                    continue
                except OSError:  # a link to itself: who reads it says so, and the others are not held up
                    found[symbol] = _UNKNOWN
                    continue
                found[symbol] = status.st_mtime_ns, status.st_size, status.st_ino
        return found

    def _read(self, symbol: str) -> SymbolSettings | str:
        try:
            return read_symbol(self._folder / f"{symbol}.toml")
        except ConfigError as error:
            return str(error)
