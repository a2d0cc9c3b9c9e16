"""A segment in words: its header and regions, then what its kind has to say."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from shm import layout, registry
from shm.layout import Kind
from shm.life import start_ticks
from shm.segment import Segment, attach

from ..feeds.session import State as FeedState
from . import account, book, hot, keeper, published, ring
from .report import Checks, Groups, Report
from .words import name_of


def open_segment(path: Path) -> Segment:
    """Map a segment of whatever kind, read-only. Raises LayoutError for what is none; FileNotFoundError passes."""
    kind, symbol = Kind.RING, ""
    if path.is_file():
        with open(path, "rb") as file:
            start = file.read(layout.HEADER.itemsize)
        if len(start) == layout.HEADER.itemsize:
            header = np.frombuffer(start, layout.HEADER)[0]
            kind = Kind(int(header["kind"])) if header["kind"] in tuple(Kind) else Kind.RING
            named = bytes(header["symbol"]).decode("ascii", "replace")
            symbol = named if registry.SYMBOL_NAME.fullmatch(named) else ""
    return attach(path, kind, symbol=symbol)  # believes nothing of the above: a lie there is an error here


def examine(segment: Segment) -> Report:
    """Describe and check a mapped segment."""
    groups, checks = _KINDS[segment.kind](segment)
    header = ("header", tuple(_header(segment)))
    return Report(f"{segment.path}", (header, ("regions", tuple(_regions(segment))), *groups), checks)


def examine_file(path: Path) -> Report:
    """The same, mapped only as long as that takes. Raises as open_segment."""
    segment = open_segment(path)
    report = examine(segment)
    segment.close()
    return report


def _header(segment: Segment) -> Iterator[tuple[str, str]]:
    pid, ticks = segment.writer()
    life = "running" if start_ticks(pid) == ticks else "ended"
    yield "kind", segment.kind.name.lower()
    if segment.symbol:
        yield "symbol", segment.symbol
    yield "layout version", f"{layout.LAYOUT_VERSION}"
    yield "generation", f"{segment.generation}"
    yield "bytes", f"{len(segment.memory):,}"
    yield "writer", f"process {pid}, {life}" if pid else "nobody yet"


def _regions(segment: Segment) -> Iterator[tuple[str, str]]:
    names = {id(dtype): name for name, dtype in layout.NAMED_DTYPES.items()}
    for name, region in segment.regions.items():
        rows = " × ".join(f"{n:,}" for n in region.shape)
        kind = names.get(id(region.dtype), str(region.dtype.str))
        yield name, f"at {region.offset:>10,}  {region.nbytes:>12,} bytes  {kind} [{rows}]"


def _events(segment: Segment) -> tuple[Groups, Checks]:
    return (("events", tuple(published.events(segment))),), (published.events_check(segment),)


def _engine(segment: Segment) -> tuple[Groups, Checks]:
    words = published.page(segment, layout.ENGINE_WORDS)
    return (("engine", tuple((name, _engine_word(name, value)) for name, value in words)),), ()


def _engine_word(name: str, value: int) -> str:
    return name_of(FeedState, value) if name == "feed_state" else f"{value:,}"


def _recorder(segment: Segment) -> tuple[Groups, Checks]:
    words = published.page(segment, layout.RECORDING_WORDS)
    return (("recorder", tuple((name, f"{count:,}") for name, count in words)),), ()


def _bell(segment: Segment) -> tuple[Groups, Checks]:
    return (("bell", (("rings", f"{segment.array('words')[0]:,}"),)),), ()


def _changed(segment: Segment) -> tuple[Groups, Checks]:
    return (("changed", (("wakes", f"{segment.array('words')[0]:,}"),)),), ()


_KINDS: dict[Kind, Callable[[Segment], tuple[Groups, Checks]]] = {
    Kind.RING: ring.examine,
    Kind.BOOK: book.examine,
    Kind.ENGINE: _engine,
    Kind.CHANGED: _changed,
    Kind.BELL: _bell,
    Kind.ACCOUNT: account.examine,
    Kind.EVENTS: _events,
    Kind.BARS: hot.examine,
    Kind.KEEPER: keeper.examine,
    Kind.RECORDER: _recorder,
}
