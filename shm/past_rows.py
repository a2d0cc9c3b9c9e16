"""Rows of tape and quotes as they were: how they come from the process that runs the journal, and what a reader gets.

They come in parts, so that process holds no more than one of them however much was asked for. A part is the increments
that hold for it, and rows; between parts it is said where rows are missing, and behind the last one how far the
journal goes. (sequence, place) is a row's key, as in shared memory; a quote's is its sequence.
"""

import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .errors import Hole, Incomplete
from .layout import NEVER_NS, QUOTE, TRADE, Rows
from .values import Scale, priced_quotes, priced_trades

if TYPE_CHECKING:
    import polars

PAST_TRADE: Final = np.dtype([("wall_ns", "<i8"), *TRADE.descr])  # and when its record was received, by the time of day
PAST_QUOTE: Final = np.dtype([("wall_ns", "<i8"), *QUOTE.descr])
HOLE: Final = struct.Struct("<2q")
_SCALE: Final = struct.Struct("<4q")
_THROUGH: Final = struct.Struct("<4q")
_SHOWN: Final = 3  # of the holes, in a sentence

DTYPES: Final = {"tape": PAST_TRADE, "quotes": PAST_QUOTE}


class Through(NamedTuple):
    """The last record that a journal has of an instrument; a sequence of 0: it has none."""

    stream: tuple[int, int]  # generation, and making of the instrument's segments
    sequence: int
    wall_ns: int

    def pack(self) -> bytes:
        return _THROUGH.pack(*self.stream, self.sequence, self.wall_ns)

    @classmethod
    def unpack(cls, body: bytes) -> "Through":
        generation, made, sequence, wall_ns = _THROUGH.unpack(body)
        return cls((generation, made), sequence, wall_ns)


class Part(NamedTuple):
    """Rows of one kind, PAST_TRADE or PAST_QUOTE, and what makes prices and sizes of them."""

    scale: Scale
    rows: Rows

    def pack(self) -> bytes:
        return _SCALE.pack(*self.scale) + self.rows.tobytes()

    @classmethod
    def unpack(cls, body: bytes, region: str) -> "Part":
        return cls(Scale(*_SCALE.unpack_from(body)), np.frombuffer(body, DTYPES[region], offset=_SCALE.size))


class PastRows(NamedTuple):
    """All that was asked for."""

    parts: list[Part]
    holes: list[Hole]
    through: Through


def require_whole(symbol: str, holes: Iterable[Hole]) -> None:
    """Raise Incomplete if there is a hole."""
    found = tuple(holes)
    if found:
        where = ", ".join(f"{_text(hole.from_ns)} to {_text(hole.to_ns)}" for hole in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} times more" if len(found) > _SHOWN else ""
        raise Incomplete(
            f"not all rows of {symbol} that were asked for are known: some may be missing from {where}{more};"
            " allow_holes=True gives those that are there",
            found,
        )


def frame(region: str, parts: Iterable[Part]) -> "polars.DataFrame":
    """One row each, in their order: wall_ns, then what `Tape.read` or `Quotes.read` gives of it."""
    import polars

    price = priced_trades if region == "tape" else priced_quotes
    found = [(np.zeros(0, np.int64), price(np.zeros(0, DTYPES[region]), Scale(0, 1, 0, 1)))]
    for scale, rows in _joined(parts):
        found.append((np.ascontiguousarray(rows["wall_ns"]), price(rows, scale)))
    names = found[0][1].dtype.names or ()
    columns = {"wall_ns": np.concatenate([walls for walls, _ in found])}
    columns |= {name: np.concatenate([rows[name] for _, rows in found]) for name in names}
    return polars.DataFrame(columns)


def _joined(parts: Iterable[Part]) -> Iterator[Part]:
    """Those of one scale that follow one another, as one: most parts are small."""
    for scale, group in groupby(parts, key=lambda part: part.scale):
        yield Part(scale, np.concatenate([part.rows for part in group]))


def _text(time_ns: int) -> str:
    if time_ns == NEVER_NS:
        return "now"
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
