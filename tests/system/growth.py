"""What a process has at one moment, and whether that grows.

The least that it had in the first third of the looks is held against the least that it has in the last one: work comes
and goes on top of that and decides nothing, and what leaks once a minute has raised it by six after nine minutes.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil


class Look(NamedTuple):
    own_mib: float  # memory that is in no other process (USS), less what is mapped of shared folders
    descriptors: float
    threads: float
    maps: float


def look(pid: int, shared: Sequence[Path]) -> Look:
    """What process `pid` has now; memory that it maps out of the folders `shared` is not its own."""
    process, folders = psutil.Process(pid), tuple(f"{folder}{os.sep}" for folder in shared)
    maps = process.memory_maps(grouped=False)
    own = sum(part.private_clean + part.private_dirty for part in maps if not part.path.startswith(folders))
    return Look(own / 2**20, process.num_fds(), process.num_threads(), len(maps))


def growth(looks: Sequence[Look]) -> Look:
    """By how much the least of the last third is above that of the first."""
    third = len(looks) // 3
    early, late = zip(*looks[:third], strict=True), zip(*looks[-third:], strict=True)
    return Look(*(min(after) - min(before) for before, after in zip(early, late, strict=True)))


def too_much(grown: Look, allowed: Look) -> dict[str, float]:
    """What grew by more than is allowed."""
    return {name: by for name, by, most in zip(Look._fields, grown, allowed, strict=True) if by > most}
