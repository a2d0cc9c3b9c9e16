"""Where a run is shown while it goes on: a live table on a terminal, a line a second in a log, or nowhere."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from . import table
from .table import Heading, Row

DRAW_EVERY_S = 0.25
LINE_EVERY_S = 1.0


class Screen:
    """To be entered around the run. Everything goes to `console`, which is not stdout: that is the result's."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        """`quiet`: no looks at the engine unless somebody watches, that is, on a terminal."""
        self._console = console
        self._silent = quiet and not console.is_terminal
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self.every_s = DRAW_EVERY_S if self._live else LINE_EVERY_S

    def __enter__(self) -> "Screen":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, heading: Heading, rows: Sequence[Row]) -> None:
        """The newest look at the engine."""
        if self._live:
            self._live.update(table.draw(heading, rows, self._console.width), refresh=True)
        else:
            self._print(table.line(heading, rows))

    def say(self, event: Mapping[str, Any]) -> None:
        """An event of the supervisor's, if people should know of it; it stays above the table."""
        match event:
            case {"event": "died", "role": role, "pid": pid, "how": how}:
                self._warn(f"{_named(role, event)}: process {pid} {how}")
            case {"event": "restarted", "role": role, "pid": pid}:
                self._warn(f"{_named(role, event)}: goes on in process {pid}")
            case {"event": "parked", "role": role, "why": why}:
                self._warn(f"{_named(role, event)}: {why}")
            case {"event": "added" | "changed" | "removed" as what, "symbol": symbol}:
                self._print(f"{symbol}: {what}")
            case {"event": "rejected", "why": why}:
                self._warn(why)
            case {"event": "killed", "pid": pid, "after_s": after_s}:
                said = f"did not stop within {after_s:.0f} s and was killed with all that it ran"
                self._warn(f"the supervisor, process {pid}, {said}")
            case {"event": "quarantined", "symbol": symbol, "sequence": sequence}:
                self._warn(f"{symbol}: record {sequence} kills its worker and was set aside")

    def note(self, line: str) -> None:
        """What takes so long, before there is a table: said to everybody, who would think that it hangs."""
        self._warn(line)

    def _print(self, line: str) -> None:
        if not self._silent:
            self._warn(line)

    def _warn(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True, highlight=False)


def _named(role: str, event: Mapping[str, Any]) -> str:
    """A part of the engine; of a worker that instruments share, these too."""
    symbols = event.get("symbols", [role])
    return role if symbols in ([role], []) else f"{role} ({', '.join(symbols)})"
