"""A result: one row a number, as a table for people and as JSON for programs. Nothing here is ever asserted."""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .machine import Machine


@dataclass(frozen=True, slots=True)
class Promise:
    """What section 12 of the design asks for: a bound of a row's value, or of its ratio."""

    limit: float
    of: str = "value"  # or "ratio"
    at_least: bool = False  # else at most

    def met(self, value: float | None, ratio: float | None) -> bool | None:
        """None if there was nothing to compare."""
        number = value if self.of == "value" else ratio
        if number is None:
            return None
        return number >= self.limit if self.at_least else number <= self.limit

    def text(self, unit: str) -> str:
        if self.limit == 0:
            return f"no {unit}"
        bound = "at least" if self.at_least else "at most"
        return f"{bound} {self.limit:,g} {'times' if self.of == 'ratio' else unit}"


@dataclass(frozen=True, slots=True)
class Row:
    """One number. `value` is None when it could not be had, and then `name` says why it was wanted, not what it is."""

    case: str
    name: str
    value: float | None
    unit: str
    compared_with: str | None = None  # what it was measured against in the same run, with that one's number
    baseline: float | None = None  # that number, in the unit of `value`
    promise: Promise | None = None

    @property
    def ratio(self) -> float | None:
        if self.value is None or not self.baseline:
            return None
        return self.value / self.baseline

    @property
    def met(self) -> bool | None:
        return None if self.promise is None else self.promise.met(self.value, self.ratio)

    def to_json(self) -> dict[str, object]:
        """The row as an object: case, name, value, unit, compared_with, ratio, promised, met."""
        return {
            "case": self.case,
            "name": self.name,
            "value": _short(self.value),
            "unit": self.unit,
            "compared_with": self.compared_with,
            "ratio": _short(self.ratio),
            "promised": None if self.promise is None else self.promise.text(self.unit),
            "met": self.met,
        }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def shown(value: float | None) -> str:
    """A number for people: three digits that matter, thousands set apart."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def median_of(rounds: int, measure: Callable[[], float]) -> float:
    """The median of `rounds` measurements, after one that does not count."""
    measure()
    return statistics.median(measure() for _ in range(rounds))


def print_table(rows: Sequence[Row], console: Console) -> None:
    table = Table(title=None, header_style="bold")
    for heading in ("case", "what"):
        table.add_column(heading)
    for heading in ("value", "unit", "ratio", "promised", "met"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("compared with")
    before = ""
    for row in rows:
        met = {None: "", True: "yes", False: "[bold red]no[/]"}[row.met]
        promised = "" if row.promise is None else row.promise.text(row.unit)
        ratio = "" if row.ratio is None else shown(row.ratio)
        if row.case != before and before:
            table.add_section()
        case, before = ("" if row.case == before else row.case), row.case
        table.add_row(case, row.name, shown(row.value), row.unit, ratio, promised, met, row.compared_with or "")
    console.print(table)


def write_json(path: Path, rows: Iterable[Row], machine: Machine) -> None:
    """{"machine": facts, "rows": list of rows}."""
    document = {"machine": machine.to_json(), "rows": [row.to_json() for row in rows]}
    path.write_text(json.dumps(document, indent=1) + "\n")
