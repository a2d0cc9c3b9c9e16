"""What a run looks like on a terminal: the live table, its one-line form for logs, and the table at the end.

Pure functions from values to rich renderables or text. 80 columns are enough; from 110 on sizes are shown too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shm.layout import REASON_TEXT, Reason

from .summary import Result

WIDE_COLUMNS = 110

_STATE_STYLES = {"live": "green", "syncing": "yellow", "stale": "bold red", "closed": "dim"}


class Quote(NamedTuple):
    """A price with its size, and the decimals that its instrument's prices have."""

    price: float
    size: float
    decimals: int


@dataclass(frozen=True, slots=True)
class Row:
    """One instrument at one moment; None is what is not known yet."""

    symbol: str
    state: str
    reason: str
    bid: Quote | None
    ask: Quote | None
    last: Quote | None
    records_per_s: float
    latency_us: tuple[float, float] | None  # p50 and p99, receive to publish, of the last seconds
    dropped: int
    resyncs: int
    uss_mib: float | None  # of a shared process an equal part


@dataclass(frozen=True, slots=True)
class Heading:
    """The engine at one moment."""

    name: str
    generation: int
    venue: str  # with what it offers: "simulator at 6,000/s"
    up_s: float
    for_s: float | None  # when it ends by itself; None: with Ctrl-C


def draw(heading: Heading, rows: Sequence[Row], width: int) -> RenderableType:
    """The live table; a reason that a book is not live stands in full below it."""
    table = _table(width)
    wide = width >= WIDE_COLUMNS
    table.add_column("symbol", style="bold")
    table.add_column("state", min_width=len("syncing"))  # widths that do not jump while the numbers change
    price = len("24000.00 × 12") if wide else len("24000.00")
    for name, least in (("best bid", price), ("best ask", price), ("last", price)):
        table.add_column(name, justify="right", min_width=least)
    for name in ("rec/s", "p50", "p99 µs", "drops", "resync", "MiB"):
        table.add_column(name, justify="right", min_width=4)
    for row in rows:
        p50, p99 = row.latency_us or (None, None)
        table.add_row(
            row.symbol,
            _state(row.state),
            *(_quote(quote, wide) for quote in (row.bid, row.ask, row.last)),
            f"{row.records_per_s:,.0f}",
            _micros(p50),
            _micros(p99),
            _alarm(row.dropped),
            f"{row.resyncs:,}",
            _mebibytes(row.uss_mib),
        )
    notes = [Text(f"{row.symbol} {row.state}: {row.reason}", "yellow") for row in rows if row.reason]
    return Group(_heading(heading, rows), table, *notes)


def line(heading: Heading, rows: Sequence[Row]) -> str:
    """The same moment as one line of a log, with the first reason that a book is not live."""
    live = sum(row.state == "live" for row in rows)
    parts = [
        f"{heading.up_s:6.1f} s",
        f"live {live} of {len(rows)}",
        f"{sum(row.records_per_s for row in rows):,.0f} records/s",
        f"dropped {sum(row.dropped for row in rows):,}",
        f"resyncs {sum(row.resyncs for row in rows):,}",
    ]
    slowest = max((row.latency_us[1] for row in rows if row.latency_us), default=None)
    if slowest is not None:
        parts.append(f"p99 {_micros(slowest)} µs")
    parts += [f"{row.symbol} {row.state}: {row.reason}" for row in rows if row.reason][:1]
    return "  ".join(parts)


def draw_result(results: Sequence[Result], *, seconds: float, offered_entries_per_s: float | None) -> RenderableType:
    """The table at the end of a run."""
    table = _table(80)
    table.add_column("symbol", style="bold")
    table.add_column("state")
    judged = all(result.verdict is not None for result in results)
    names = ["records", "drops", "trades", *(("lost", "samples", "levels", "wrong") if judged else ())]
    for name in [*names, "p50", "p99 µs", "MiB"]:
        table.add_column(name, justify="right")
    for result in results:
        verdict = result.verdict
        p50, p99 = result.latency_us or (None, None)
        cells: list[RenderableType] = [f"{result.records:,}", _alarm(result.dropped), f"{result.trades:,}"]
        if judged and verdict is not None:
            cells += [_alarm(verdict.lost_trades), f"{verdict.samples:,}", _short(verdict.levels)]
            cells += [_alarm(verdict.wrong_levels)]
        table.add_row(
            result.symbol, _state(result.state), *cells, _micros(p50), _micros(p99), _mebibytes(result.uss_mib)
        )
    parts = [
        f"{len(results)} instrument{'s' if len(results) != 1 else ''}",
        f"{seconds:.1f} s",
        f"{sum(result.records for result in results):,} records",
    ]
    if offered_entries_per_s is not None:
        parts.append(f"{offered_entries_per_s:,.0f} depth entries/s offered")
    return Group(Text(" · ".join(parts)), table)


def decimals(increment: int, scale: int) -> int:
    """How many digits behind the point a price that is a multiple of increment · 10^-scale can have."""
    while scale > 0 and increment % 10 == 0:
        increment, scale = increment // 10, scale - 1
    return scale


def reason_text(value: int) -> str:
    """The sentence of a layout.Reason, or what a foreign number is."""
    return REASON_TEXT[Reason(value)] if value in tuple(Reason) else f"unknown reason ({value})"


def _table(width: int) -> Table:
    gap = 2 if width >= WIDE_COLUMNS else 1
    return Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")


def _heading(heading: Heading, rows: Sequence[Row]) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("shardbook", "bold")
    text.append(f" {heading.name} g{heading.generation} · {heading.venue} · ")
    live = sum(row.state == "live" for row in rows)
    text.append(f"{live} of {len(rows)} live", "green" if live == len(rows) else "yellow")
    text.append(f" · {_clock(heading.up_s)}")
    text.append(", Ctrl-C ends" if heading.for_s is None else f" of {_clock(heading.for_s)}", "dim")
    return text


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _state(state: str) -> Text:
    return Text(state, _STATE_STYLES.get(state, ""))


def _quote(quote: Quote | None, wide: bool) -> str:
    if quote is None:
        return "–"
    price = f"{quote.price:.{quote.decimals}f}"
    return f"{price} × {quote.size:g}" if wide else price


def _alarm(count: int) -> Text:
    return Text(f"{count:,}", "bold red" if count else "")


def _micros(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _mebibytes(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _short(count: int) -> str:
    return f"{count:,}" if count < 100_000 else f"{count / 1000:,.0f}k"
