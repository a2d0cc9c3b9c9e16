"""Trades, quotes and book changes as Parquet: a file of each, prices as floats with the exact ticks beside them.

Rows are gathered in parts of bounded size, each a file of its own; in the end the parts become one file, streamed. When
all three are there they get their names, one after the other, in the order of SCHEMAS: an export that fails before that
leaves an older set as it was.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import polars as pl

from shm.layout import State

from .changes import BID
from .moments import Moment

PART_ROWS: Final = 1 << 18
_TIME: Final = pl.Datetime("ns", "UTC")
_STATES: Final = {int(state): state.name.lower() for state in State}
SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "trades": {
        "received": _TIME,
        "venue_time": _TIME,
        "price": pl.Float64,
        "size": pl.Float64,
        "side": pl.String,  # of the aggressor
        "price_ticks": pl.Int64,
        "size_units": pl.Int64,
        "sequence": pl.Int64,
    },
    "quotes": {
        "received": _TIME,
        "venue_time": _TIME,
        "bid": pl.Float64,
        "bid_size": pl.Float64,
        "ask": pl.Float64,
        "ask_size": pl.Float64,
        "state": pl.String,
        "sequence": pl.Int64,
    },
    "changes": {
        "received": _TIME,
        "venue_time": _TIME,
        "side": pl.String,  # null: all levels are void, because records are missing or a snapshot is waited for
        "price": pl.Float64,
        "size": pl.Float64,  # of the level from now on; 0: it is gone
        "price_ticks": pl.Int64,
        "size_units": pl.Int64,
        "sequence": pl.Int64,
    },
}


_REFUSED: Final = re.compile(r"\(os error ([0-9]{1,4})\)")


@contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    """What the system refuses polars tells in words: here it is an OSError, as wherever else a file is written."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        if (refused := _REFUSED.search(str(error))) is None:
            raise
        number = int(refused[1])
        raise OSError(number, os.strerror(number), str(path)) from error


class Table:
    """One kind of rows on its way to a file."""

    def __init__(self, kind: str, path: Path) -> None:
        self._schema = pl.Schema(SCHEMAS[kind])
        self._path = path
        self._building = path.with_name(f".{path.name}.tmp")
        self._rows: list[tuple[Any, ...]] = []
        self._parts: list[Path] = []
        self.rows = 0

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._rows.extend(rows)
        if len(self._rows) >= PART_ROWS:
            self._put_part()

    def build(self) -> None:
        """Make the file, under a name of its own. Raises OSError."""
        self._put_part()
        with _system_errors(self._path):
            pl.scan_parquet(self._parts).sink_parquet(self._building)
        self._drop_parts()

    def publish(self) -> None:
        """Give it its name, in the place of an older one. Raises OSError."""
        self._building.rename(self._path)

    def discard(self) -> None:
        """Leave nothing behind but a file that has its name."""
        self._drop_parts()
        self._building.unlink(missing_ok=True)

    def _drop_parts(self) -> None:
        for part in self._parts:
            part.unlink(missing_ok=True)
        self._parts = []

    def _put_part(self) -> None:
        part = self._path.with_name(f".{self._path.name}.{len(self._parts)}")
        self._parts.append(part)
        with _system_errors(self._path):
            pl.DataFrame(self._rows, self._schema, orient="row").write_parquet(part)
        self.rows += len(self._rows)
        self._rows = []


class Tables:
    """`<SYMBOL>-trades.parquet`, `-quotes.parquet` and `-changes.parquet` in a folder."""

    def __init__(self, folder: Path, symbol: str) -> None:
        self._tables = {kind: Table(kind, folder / f"{symbol}-{kind}.parquet") for kind in SCHEMAS}

    def add(self, moment: Moment) -> None:
        """The rows of one moment."""
        scale, stamps = moment.scale, (moment.wall_ns, moment.venue_ns or None)
        self._tables["trades"].add(
            (
                *(moment.wall_ns, venue_ns or None, scale.price(price), scale.size(size)),
                *("sell" if side else "buy", price, size, moment.sequence),
            )
            for venue_ns, price, size, side in moment.trades[["venue_ns", "price", "size", "side"]].tolist()
        )
        self._tables["quotes"].add(
            (
                *stamps,
                *((scale.price(bid), scale.size(bid_size)) if bid_size else (None, None)),
                *((scale.price(ask), scale.size(ask_size)) if ask_size else (None, None)),
                *(_STATES[state], moment.sequence),
            )
            for bid, bid_size, ask, ask_size, state in moment.quotes[
                ["bid", "bid_size", "ask", "ask_size", "state"]
            ].tolist()
        )
        if moment.changed is not None:
            changes = self._tables["changes"]
            if moment.changed.cleared:
                changes.add([(*stamps, None, None, None, None, None, moment.sequence)])
            changes.add(
                (
                    *(*stamps, "bid" if side == BID else "ask", scale.price(price), scale.size(size)),
                    *(price, size, moment.sequence),
                )
                for side, price, size in moment.changed.rows.tolist()
            )

    def finish(self) -> dict[str, int]:
        """Make the files; how many rows each has. Without a single row there are none. Raises OSError."""
        for table in self._tables.values():
            table.build()
        if any(table.rows for table in self._tables.values()):
            for table in self._tables.values():
                table.publish()
        self.discard()
        return {kind: table.rows for kind, table in self._tables.items()}

    def discard(self) -> None:
        """Leave nothing behind but files that were there before."""
        for table in self._tables.values():
            table.discard()
