"""Which instruments live in which worker process: most in one of their own, those that name the same one together."""

from collections.abc import Iterable
from dataclasses import dataclass

from .config import SymbolSettings


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """One worker process and its instruments, in the order of the settings."""

    name: str
    symbols: tuple[SymbolSettings, ...]

    @property
    def cpu(self) -> int:
        """The one CPU it runs on; ANY_CPU if none of its instruments names one. No two name different ones."""
        return max(each.cpu for each in self.symbols)

    @property
    def has_bell(self) -> bool:
        """Whether the engine wakes it by the process's own word, and not by one in each ring.

        Whoever has a name of its own has one, though it may have one instrument only: so what an instrument's ring
        is woken by depends on no other instrument.
        """
        return bool(self.symbols[0].process)


def processes_of(symbols: Iterable[SymbolSettings]) -> dict[str, WorkerProcess]:
    """The worker processes by name, in the order in which they are first named."""
    members: dict[str, list[SymbolSettings]] = {}
    for each in symbols:
        members.setdefault(each.worker, []).append(each)
    return {name: WorkerProcess(name, tuple(of)) for name, of in members.items()}
