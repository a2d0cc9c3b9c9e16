"""What there is to say about one file or folder, and how it is printed."""

from dataclasses import dataclass
from typing import NamedTuple

Pairs = tuple[tuple[str, str], ...]  # of a name and a value
Groups = tuple[tuple[str, Pairs], ...]  # with a title each

FAULTS_SHOWN = 3


class Check(NamedTuple):
    """One thing that must hold. `fault` says how it does not; empty when it does."""

    what: str
    fault: str = ""


Checks = tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Titled groups of (name, value), and checks, of what `title` names."""

    title: str
    groups: Groups
    checks: Checks

    @property
    def faults(self) -> list[str]:
        return [check.fault for check in self.checks if check.fault]

    @property
    def whole(self) -> bool:
        return not self.faults


def render(report: Report) -> str:
    """The report as text of at most 100 columns (a path may be longer)."""
    lines = [f"{report.title}: {'whole' if report.whole else 'DAMAGED'}"]
    for title, rows in report.groups:
        lines.append(f"  {title}")
        width = max((len(name) for name, _ in rows), default=0)
        lines += [f"    {name:<{width}}  {value}".rstrip() for name, value in rows]
    if report.checks:
        lines.append("  checks")
        lines += [
            f"    {'BAD' if check.fault else 'ok ':<3}  {check.what}" + after(check.fault) for check in report.checks
        ]
    return "\n".join(lines)


def after(reason: str) -> str:
    """A reason as it stands behind what it is the reason of; empty for none."""
    return f": {reason}" if reason else ""


def first_of(faults: list[str]) -> str:
    """The first of them, and how many more there are; empty for none."""
    more = f"; and {len(faults) - FAULTS_SHOWN:,} more" if len(faults) > FAULTS_SHOWN else ""
    return "; ".join(faults[:FAULTS_SHOWN]) + more
