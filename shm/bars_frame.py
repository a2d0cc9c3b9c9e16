"""Bars as one polars frame, whether they are hot or years old: the columns, and the plan that reads sealed files.

    scan(data / "bars" / "MNQ" / "1min", "1min").filter(pl.col("volume") > 100).select("start", "close").collect()

Every file is sorted by key with no key twice, so only two files, or a file and the hot rows, can hold a key twice,
and their tables say which batches could. Those batches are read whole and the highest revision of each key kept; all
the rest goes to polars' own Arrow scan, which maps the files, reads only the columns and batches that are asked for,
and filters while it reads. Planning opens no column.

The key of a time bar is its start. Bars by count have start and row number: two of them can begin in one instant.
`shm.bars` imports this file with the first frame that is asked for; polars is imported with it.
"""

import functools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from .bar_rows import unpriced, untold
from .errors import LayoutError, UnknownTimeframe
from .frame_cache import FrameCache
from .layout import BAR, BarFlag
from .moments import Moment, nanoseconds
from .sealed import LIVE, Listing, Sealed, listing
from .session_frame import with_rth
from .timeframe import Timeframe, parse
from .values import Scale

START: Final = pl.Datetime("ns", "UTC")
_PRICES: Final = ("open", "high", "low", "close")
_VOLUMES: Final = ("volume", "buy_volume", "sell_volume")
_WHOLE: Final = Scale(0, 1, 0, 1)
_FIRST_NS, _LAST_NS = -(1 << 63), (1 << 63) - 1
MERGED: Final = FrameCache()  # batches of several files as one frame; files never change, so neither does that


class DamagedBars(UserWarning):
    """Files of bars are missing, or were left out because they cannot be believed; the message names the first and
    the cure."""


class Hot(NamedTuple):
    """Rows that are in memory yet: a copy of layout.BAR rows, each of which passed its checksum, and their scale."""

    rows: npt.NDArray[np.void]
    scale: Scale


class _Wanted(NamedTuple):
    """Bars of `timeframe` that start in [start_ns, end_ns), with whole volumes or not."""

    timeframe: Timeframe
    start_ns: int
    end_ns: int
    whole: bool

    def limit(self, bars: pl.LazyFrame) -> pl.LazyFrame:
        start, end = (pl.lit(moment).cast(START) for moment in (self.start_ns, self.end_ns))
        return bars.filter((pl.col("start") >= start) & (pl.col("start") < end))


class _Piece(NamedTuple):
    """Rows [begin, end) of a file, whose bars start within [first_start_ns, last_start_ns]; `cut`: not all wanted."""

    file: Sealed
    begin: int
    end: int
    first_start_ns: int
    last_start_ns: int
    cut: bool


def key(timeframe: Timeframe) -> list[str]:
    """The columns that tell the bars of a timeframe apart."""
    return ["start"] if timeframe.is_time else ["start", "number"]


def schema(whole_sizes: bool = True) -> pl.Schema:
    """The columns of a frame of bars, in order; volumes are Int64, or Float64 where sizes have fractions."""
    volume = pl.Int64() if whole_sizes else pl.Float64()
    return pl.Schema(
        {
            "start": START,
            "end": START,
            **dict.fromkeys(_PRICES, pl.Float64()),
            **dict.fromkeys(_VOLUMES, volume),
            "trades": pl.Int64(),
            "vwap": pl.Float64(),
            "flags": pl.UInt32(),
            "revision": pl.UInt32(),
            "trading_day": pl.Date(),
            "number": pl.Int64(),
            "sequence": pl.Int64(),
        }
    )


def frame(rows: npt.NDArray[np.void], scale: Scale) -> pl.DataFrame:
    """BAR rows as columns, in their order.

    A price or size is the float nearest to the exact one, so the integer behind it is had again by rounding
    price × 10^scale / increment, as long as it and the product stay below 2^50. Null is what there is not or what is
    not known: the vwap of a bar without volume, the prices of one that is only marked to be empty, the trading day
    where nobody told it, and buy and sell volume, trades and vwap of a bar with a volume and no trades, as the venue's
    are.
    """
    price = float(scale.price_increment), float(10**scale.price_scale)
    size = float(scale.size_increment), float(10**scale.size_scale)
    volume = rows["volume"]
    columns: dict[str, npt.NDArray[np.generic]] = {
        "start": rows["start_ns"],
        "end": rows["end_ns"],
        **{name: rows[name] * price[0] / price[1] for name in _PRICES},
    }
    for name in _VOLUMES:
        units = rows[name]
        columns[name] = (
            units * (scale.size_increment // 10**scale.size_scale) if scale.whole_sizes else units * size[0] / size[1]
        )
    columns["trades"] = rows["trades"]
    columns["vwap"] = rows["notional"] / np.maximum(volume, 1) * price[0] / price[1]
    for name in ("flags", "revision", "trading_day", "number", "sequence"):
        columns[name] = rows[name]
    made = pl.DataFrame({name: np.ascontiguousarray(column) for name, column in columns.items()})
    known, is_priced = pl.Series(~untold(rows)), pl.Series(~unpriced(rows))
    made = made.with_columns(
        pl.when(is_priced).then(pl.col(_PRICES)),
        pl.when(known).then(pl.col("buy_volume", "sell_volume", "trades")),
        pl.when(known & pl.Series(volume > 0)).then(pl.col("vwap")),
        pl.when(pl.col("trading_day") != 0).then(pl.col("trading_day")),
    )
    return made.cast(schema(scale.whole_sizes))


def rows_of(bars: pl.DataFrame, scale: Scale) -> npt.NDArray[np.void]:
    """The BAR rows behind a frame, in its order and without checksums: what `frame` undoes, below 2^50; null is 0."""
    price, size = 10**scale.price_scale, 10**scale.size_scale
    bars = bars.with_columns(pl.col(*_PRICES, *_VOLUMES, "trades", "vwap").fill_null(0))
    rows = np.zeros(len(bars), BAR)
    for name, column in (("start_ns", "start"), ("end_ns", "end")):
        rows[name] = bars[column].to_physical().to_numpy()
    for name in _PRICES:
        rows[name] = np.rint(bars[name].to_numpy() * price / scale.price_increment)
    for name in _VOLUMES:
        rows[name] = np.rint(bars[name].to_numpy() * size / scale.size_increment)
    mean = bars["vwap"].to_numpy() * price / scale.price_increment
    rows["notional"] = np.rint(mean * rows["volume"])
    for name in ("trades", "flags", "revision", "number", "sequence"):
        rows[name] = bars[name].to_numpy()
    rows["trading_day"] = bars["trading_day"].to_physical().fill_null(0).to_numpy()
    return rows


def keep_highest(bars: pl.DataFrame | pl.LazyFrame, timeframe: Timeframe) -> pl.LazyFrame:
    """Sorted by key, of each key the row of the highest revision. Of those the venue's: it was asked because ours was
    in doubt, and a late trade that raised ours since has not mended that. Of one maker's the newest row."""
    is_repaired = pl.col("flags") & int(BarFlag.REPAIRED)
    by = key(timeframe)
    ordered = bars.lazy().sort([*by, "revision", is_repaired, *(["number"] if timeframe.is_time else [])])
    return ordered.unique(by, keep="last", maintain_order=True)


def scan(
    folder: Path | str,
    timeframe: Timeframe | str,
    start: Moment | None = None,
    end: Moment | None = None,
    hot: Hot | None = None,
) -> pl.LazyFrame:
    """All bars of a timeframe's folder and of `hot`, by key, each once; those that start in [start, end) if given.

    A datetime without a zone is UTC, a date its midnight in UTC, an int is nanoseconds since 1970. The hot rows must
    have been copied after `sealed to` was read and from there on; rows that came into a file since then are in both and
    count once. Files that fail their checks are left out with a DamagedBars warning, and one comes where a file is
    missing between others; hot rows that lie in their range are kept. Collect within an hour: a file that is replaced
    meanwhile is deleted after that time. ValueError for a name that is no timeframe, UnknownTimeframe for a folder that
    is not there, TypeError for a start or end that is no time.
    """
    wanted = timeframe if isinstance(timeframe, Timeframe) else parse(timeframe)
    stretch = bounds(start, end)
    path = Path(folder)
    if not path.is_dir():
        raise UnknownTimeframe(f"{path} is no folder: bars of a timeframe lie in one such as DATA/bars/MNQ/1min")
    found = listing(path, wanted)
    warn_of(found, stacklevel=3)
    return plan(found, wanted, *stretch, hot)


def bounds(start: Moment | None, end: Moment | None) -> tuple[int, int]:
    """A stretch of time as `scan` takes it, in nanoseconds since 1970; beyond what 64 bits hold, the nearest that they
    do. TypeError for what is no time."""
    low_ns = _FIRST_NS if start is None else nanoseconds(start, "start")
    high_ns = _LAST_NS if end is None else nanoseconds(end, "end")
    return min(max(low_ns, _FIRST_NS), _LAST_NS), min(max(high_ns, _FIRST_NS), _LAST_NS)


def warn_of(found: Listing, stacklevel: int) -> None:
    """A DamagedBars warning if files of the listing were refused, and one if files are missing."""
    said = []
    if found.refused:
        count = len(found.refused)
        what = "file of bars is" if count == 1 else "files of bars are"
        said.append(f"{count:,} {what} left out, the first: {found.refused[0]}")
    if found.holes:
        (first, last), count = found.holes[0], len(found.holes)
        said.append(
            f"no file has the rows {first:,} to {last - 1:,} of these bars, and there is a later one:"
            f" {count:,} such hole{'s' if count > 1 else ''}"
        )
    for text in said:
        warnings.warn(f"{text}; scripts/inspect of their folder says more", DamagedBars, stacklevel=stacklevel)


def within(bars: pl.LazyFrame, rows: npt.NDArray[np.void]) -> pl.LazyFrame:
    """The bars that begin in one of the sessions `rows` (layout.SESSION)."""
    return bars.pipe(with_rth, rows).filter("rth").drop("rth")


def newest(
    found: Listing, timeframe: Timeframe, count: int, hot: Hot | None = None
) -> tuple[npt.NDArray[np.void], Scale]:
    """The newest `count` bars of a listing and of `hot` as BAR rows, by key, and the scale that they are in.

    Looked for from the end: the hot ones if they are enough, else as many batches as could hold them, and twice as many
    rows while some were of one key.
    """
    scale = hot.scale if hot else max(found.read, key=lambda file: file.last_start_ns).scale if found.read else _WHOLE
    starts = np.unique(hot.rows["start_ns"]) if hot else np.zeros(0, np.int64)
    count = min(count, sum(file.rows for file in found.read) + (len(hot.rows) if hot else 0))
    batches = sorted((batch for file in found.read for batch in file.batches), key=lambda each: each.first_start_ns)
    at, rows, least = len(batches), len(starts), count
    while True:
        while at > 0 and rows < least:
            at -= 1
            rows += batches[at].rows
        first_ns = batches[at].first_start_ns if at < len(batches) else int(starts[-count]) if count else _LAST_NS
        bars = plan(found, timeframe, first_ns if at > 0 else _FIRST_NS, _LAST_NS, hot).tail(count).collect()
        if len(bars) == count or at == 0:
            return rows_of(bars, scale), scale
        least = 2 * rows


def plan(
    found: Listing,
    timeframe: Timeframe,
    start_ns: int,
    end_ns: int,
    hot: Hot | None = None,
    merged: FrameCache | None = None,
) -> pl.LazyFrame:
    """The LazyFrame of a listing: `scan` without the folder. With `merged`, batches of several files that have to be
    looked through are looked through now, and the result is kept there."""
    whole = all(file.scale.whole_sizes for file in found.read) and (hot is None or hot.scale.whole_sizes)
    wanted = _Wanted(timeframe, start_ns, end_ns, whole)
    pieces = sorted(_pieces(found.read, wanted), key=lambda piece: (piece.first_start_ns, piece.begin))
    loose = None if hot is None else _unsealed(hot, found, wanted)
    parts = list(_parts(_touching(pieces), loose, wanted, merged))
    if not parts:
        return pl.LazyFrame(schema=schema(whole))
    return parts[0] if len(parts) == 1 else pl.concat(parts)


def _pieces(files: Sequence[Sealed], wanted: _Wanted) -> Iterator[_Piece]:
    """The batches in which a bar of the time that is wanted can be."""
    start_ns, end_ns = wanted.start_ns, wanted.end_ns
    for file in files:
        if file.last_start_ns < start_ns or file.first_start_ns >= end_ns:
            continue
        begin = 0
        for _, _, _, rows, first, last, _, _ in file.batches:
            if last >= start_ns and first < end_ns:
                yield _Piece(file, begin, begin + rows, first, last, first < start_ns or last >= end_ns)
            begin += rows


def _touching(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    """Groups of pieces that can share a key, in order; nearly all groups have one piece."""
    groups: list[list[_Piece]] = []
    last_ns = _FIRST_NS
    for piece in pieces:
        if groups and piece.first_start_ns <= last_ns and not _follows(groups[-1], piece):
            groups[-1].append(piece)
        else:
            groups.append([piece])
        last_ns = max(last_ns, piece.last_start_ns)
    return groups


def _follows(group: Sequence[_Piece], piece: _Piece) -> bool:
    """It is the next batch of the only file of the group: inside a file no key is twice, even where starts are."""
    return len(group) == 1 and group[0].file is piece.file


def _unsealed(hot: Hot, found: Listing, wanted: _Wanted) -> pl.DataFrame:
    """The hot rows that are wanted and in no file that is read, by key, the highest revision of each."""
    rows = hot.rows
    kept = (rows["start_ns"] >= wanted.start_ns) & (rows["start_ns"] < wanted.end_ns)
    for file in found.read:
        if file.name.series == LIVE:
            kept &= (rows["number"] < file.name.first) | (rows["number"] >= file.name.last)
    bars = frame(rows[kept], hot.scale)
    return keep_highest(_alike(bars.lazy(), wanted.whole), wanted.timeframe).collect()


def _parts(
    groups: Sequence[Sequence[_Piece]], loose: pl.DataFrame | None, wanted: _Wanted, merged: FrameCache | None
) -> Iterator[pl.LazyFrame]:
    """Frames that follow one another in time: runs of batches as they lie, and what must be looked through."""
    between: dict[int, pl.DataFrame] = {}
    within: dict[int, pl.DataFrame] = {}
    if loose is not None and not loose.is_empty():
        between, within = _placed(groups, loose)
    run: list[_Piece] = []
    for i, group in enumerate(groups):
        before, shared = between.get(i), within.get(i)
        alone = shared is None and len(group) == 1
        if before is not None or not alone:
            yield from _scans(run, wanted)
            run = []
        if before is not None:
            yield before.lazy()
        if alone:
            run.append(group[0])
            continue
        sources = _sources(group, wanted, merged)
        if shared is not None:
            sources.append(shared.lazy())
        kept = keep_highest(pl.concat(sources), wanted.timeframe) if len(sources) > 1 else sources[0]
        yield wanted.limit(kept) if any(piece.cut for piece in group) else kept
    yield from _scans(run, wanted)
    if (after := between.get(len(groups))) is not None:
        yield after.lazy()


def _sources(group: Sequence[_Piece], wanted: _Wanted, merged: FrameCache | None) -> list[pl.LazyFrame]:
    """The batches of a group, each as it lies; or, where results are kept, one frame with each key once."""
    lying = [_scan_files([piece.file], wanted, piece.begin, piece.end) for piece in group]
    if merged is None or len(lying) == 1:
        return lying
    spans = [f"{piece.file.path}@{piece.file.modified_wall_ns}[{piece.begin}:{piece.end}]" for piece in group]
    kept = keep_highest(pl.concat(lying), wanted.timeframe)
    return [merged.fetch(" ".join([*spans, f"{wanted.whole}"]), kept.collect).lazy()]


def _placed(
    groups: Sequence[Sequence[_Piece]], loose: pl.DataFrame
) -> tuple[dict[int, pl.DataFrame], dict[int, pl.DataFrame]]:
    """The loose rows before each group (the last ones under their number), and those that lie within it."""
    starts = loose["start"].to_physical().to_numpy()
    firsts = np.array([min(piece.first_start_ns for piece in group) for group in groups], np.int64)
    lasts = np.array([max(piece.last_start_ns for piece in group) for group in groups], np.int64)
    at = np.searchsorted(firsts, starts, "right")  # groups that begin at or before it
    inside = np.zeros(len(starts), bool)
    inside[at > 0] = starts[at > 0] <= lasts[at[at > 0] - 1]
    between = {int(i): loose.filter(pl.Series((at == i) & ~inside)) for i in np.unique(at[~inside])}
    within = {int(i) - 1: loose.filter(pl.Series((at == i) & inside)) for i in np.unique(at[inside])}
    return between, within


def _scans(run: Sequence[_Piece], wanted: _Wanted) -> Iterator[pl.LazyFrame]:
    """One scan for files that are wanted whole, one for each stretch of a file that is not."""
    files: list[Sealed] = []
    for file, begin, end, cut in _stretches(run):
        alone = cut or (begin, end) != (0, file.rows)
        if files and (alone or file.scale.whole_sizes != files[0].scale.whole_sizes):
            yield _scan_files(files, wanted)
            files = []
        if alone:
            bars = _scan_files([file], wanted, begin, end)
            yield wanted.limit(bars) if cut else bars
        else:
            files.append(file)
    if files:
        yield _scan_files(files, wanted)


def _stretches(run: Sequence[_Piece]) -> list[tuple[Sealed, int, int, bool]]:
    """Neighbouring pieces of one file as one, but for those of which not all is wanted."""
    stretches: list[tuple[Sealed, int, int, bool]] = []
    for piece in run:
        if stretches and stretches[-1][0] is piece.file and stretches[-1][2:] == (piece.begin, piece.cut):
            stretches[-1] = (piece.file, stretches[-1][1], piece.end, piece.cut)
        else:
            stretches.append((piece.file, piece.begin, piece.end, piece.cut))
    return stretches


def _scan_files(files: Sequence[Sealed], wanted: _Wanted, begin: int = 0, end: int | None = None) -> pl.LazyFrame:
    """The rows of whole files, or rows [begin, end) of one.

    Polars would see that two scans are of one file, read all of it once, and slice and filter that copy. So each
    stretch spells the path in its own way.
    """
    for file in files:
        check_schema(file)
    if end is None:
        bars = pl.scan_ipc([file.path for file in files], glob=False)
    else:
        path = files[0].path.absolute()
        spelled = f"{path.parent}/{'./' * (1 + _batch_at(files[0], begin))}{path.name}"
        bars = pl.scan_ipc(spelled, glob=False).slice(begin, end - begin)
    return bars if files[0].scale.whole_sizes == wanted.whole else _alike(bars, wanted.whole)


def _batch_at(file: Sealed, row: int) -> int:
    """The number of the batch that begins with that row."""
    for i, batch in enumerate(file.batches):
        row -= batch.rows
        if row < 0:
            return i
    raise ValueError(f"{file.path} has no such row")


def _alike(bars: pl.LazyFrame, whole: bool) -> pl.LazyFrame:
    """With the volumes of the whole frame: an instrument whose sizes once were whole may have fractions later."""
    return bars if whole else bars.with_columns(pl.col(_VOLUMES).cast(pl.Float64))


def check_schema(file: Sealed) -> None:
    """Raise LayoutError unless the columns are those that a file of its scale has; once for a file."""
    if not _has_schema(file.path, file.bytes, file.modified_wall_ns, file.scale.whole_sizes):
        raise LayoutError(f"{file.path} has other columns than bars have: it was sealed by another version")


@functools.lru_cache(maxsize=4096)
def _has_schema(path: Path, size: int, modified_wall_ns: int, whole_sizes: bool) -> bool:
    return pl.read_ipc_schema(path) == dict(schema(whole_sizes))
