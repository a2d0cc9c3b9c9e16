"""The memory of one instrument's ring, mapped by the process that writes it."""

from pathlib import Path
from typing import NamedTuple

from shm import segment
from shm.layout import Kind, Words
from shm.segment import Segment

from .config import SymbolSettings


class MappedRing(NamedTuple):
    """Claimed segments; `bell` is that of a worker of several instruments, None for who sleeps on the ring itself."""

    segments: list[Segment]
    words: Words
    bell: Words | None


def map_ring(here: Path, generation: int, settings: SymbolSettings) -> MappedRing:
    """`here`: the generation's folder. Raises LayoutError, FileNotFoundError."""
    path = here / f"{settings.symbol}.ring"
    segments = [segment.attach(path, Kind.RING, writable=True, generation=generation, symbol=settings.symbol)]
    if settings.process:
        path = here / f"{settings.process}.bell"
        segments.append(segment.attach(path, Kind.BELL, writable=True, generation=generation))
    for each in segments:
        each.claim()
    words, *bells = (each.array("words") for each in segments)
    return MappedRing(segments, words, bells[0] if bells else None)
