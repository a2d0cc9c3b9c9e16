"""Ten million stored bars: opened, one column collected, one month collected, and the memory that takes; and what a
program asks of a running instrument's bars.

Beside it the same rows as one Parquet file, and as the scheme that the project's first guide had: columns pickled
into a file that is mapped and unpickled whole. Files are in the page cache in all three. Memory is the growth of a
fresh process's largest resident size, mapped pages of the files included.
"""

import mmap
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from engine.keeper.store import Store
from shm import Bars, bars_frame, sealed
from shm.bars_frame import Hot, scan
from tests import made_bars
from tests.made_bars import BEGIN_NS, DAY_NS, QUARTERS, SECOND_NS
from tests.made_hot import MadeHot

from .row import Promise, Row, median_of

BARS = 10_000_000
TIMEFRAME = "1sec"
MONTH_NS = BEGIN_NS + 40 * DAY_NS, BEGIN_NS + 70 * DAY_NS

# What a fresh process is asked to do, after a small read that starts polars.
_READS = {
    "sealed": "scan(Path(sys.argv[1]), '1sec').select('close').collect()",
    "parquet": "pl.scan_parquet(sys.argv[2]).select('close').collect()",
    "pickle": "mapped(Path(sys.argv[3])).select('close')",
}
_FRESH = """
import sys
from pathlib import Path
import polars as pl
from shm.bars_frame import scan
from tests.bench.bars import mapped
scan(Path(sys.argv[1]), "1sec").select(pl.col("close").head(10)).collect()
def highest():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
before = highest()
bars = {read}
print(highest() - before)
"""


def rows(quick: bool) -> Iterator[Row]:
    count, rounds = (BARS // 20, 3) if quick else (BARS, 9)
    month = tuple(BEGIN_NS + (moment - BEGIN_NS) * count // BARS for moment in MONTH_NS)
    with tempfile.TemporaryDirectory(prefix="shardbook-bench-") as made:
        store = Store(Path(made) / "bars", made_bars.subject(TIMEFRAME))
        for first in range(0, count, sealed.MAX_FILE_ROWS):
            size = min(sealed.MAX_FILE_ROWS, count - first)
            store.seal(made_bars.plain(size, first, BEGIN_NS + first * SECOND_NS, SECOND_NS), 1)
        parquet, pickled = Path(made) / "bars.parquet", Path(made) / "bars.pickle"
        scan(store.folder, TIMEFRAME).sink_parquet(parquet)
        _pickle(scan(store.folder, TIMEFRAME).collect(), pickled)
        yield from _opened(store, parquet, pickled, rounds, f"{count / 1e6:g} million bars")
        yield from _collected(store, parquet, pickled, rounds, (month[0], month[1]))
        yield from _memory(store.folder, parquet, pickled)
    yield from _handle(rounds)


def mapped(path: Path) -> pl.DataFrame:
    """The guide's way to read: the file mapped, all of it unpickled (it is our own, made a moment ago)."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        return pl.DataFrame(pickle.loads(memory))


def _pickle(bars: pl.DataFrame, path: Path) -> None:
    with open(path, "wb") as file:
        pickle.dump({name: bars[name].to_physical().to_numpy() for name in bars.columns}, file)


def _opened(store: Store, parquet: Path, pickled: Path, rounds: int, what: str) -> Iterator[Row]:
    def first() -> object:
        sealed._checked.cache_clear()
        bars_frame._has_schema.cache_clear()
        return scan(store.folder, TIMEFRAME).collect_schema()

    guide = _ms(1, lambda: mapped(pickled))
    footer = _ms(rounds, lambda: pl.scan_parquet(parquet).collect_schema())
    yield Row(
        *("bars", f"open {what}, every check made", _ms(rounds, first), "ms"),
        *(f"scan_parquet: {footer:.3g} ms", footer, Promise(5.0)),
    )
    again = _ms(rounds, lambda: scan(store.folder, TIMEFRAME).collect_schema())
    yield Row("bars", f"open {what}, again", again, "ms", f"pickle and mmap: {guide:,.0f} ms", guide, Promise(5.0))


def _collected(store: Store, parquet: Path, pickled: Path, rounds: int, month: tuple[int, int]) -> Iterator[Row]:
    stored = scan(store.folder, TIMEFRAME)
    late = made_bars.plain(1, 1 << 40, month[0], SECOND_NS)
    late["revision"] = 1
    mended = scan(store.folder, TIMEFRAME, hot=Hot(late, QUARTERS))
    start, end = (pl.lit(moment).cast(pl.Datetime("ns", "UTC")) for moment in month)
    within = (pl.col("start") >= start) & (pl.col("start") < end)
    busy = pl.col("volume") > 900
    other = pl.scan_parquet(parquet)
    cases: list[tuple[str, Callable[[], object], Callable[[], object], Promise | None]] = [
        (
            "collect one column",
            lambda: stored.select("close").collect(),
            lambda: other.select("close").collect(),
            Promise(1.0, of="ratio"),
        ),
        (
            "collect one column, with a late revision",
            lambda: mended.select("close").collect(),
            lambda: other.select("close").collect(),
            None,
        ),
        (
            "collect a month, by scan(start, end)",
            lambda: scan(store.folder, TIMEFRAME, *month).collect(),
            lambda: other.filter(within).collect(),
            None,
        ),
        (
            "collect a month, by filter",
            lambda: stored.filter(within).collect(),
            lambda: other.filter(within).collect(),
            None,
        ),
        (
            "mean close of the bars of high volume",
            lambda: stored.filter(busy).select(pl.col("close").mean()).collect(),
            lambda: other.filter(busy).select(pl.col("close").mean()).collect(),
            None,
        ),
    ]
    for name, ours, theirs, promise in cases:
        baseline = _ms(rounds, theirs)
        yield Row("bars", name, _ms(rounds, ours), "ms", f"Parquet: {baseline:.3g} ms", baseline, promise)
    guide = _ms(1, lambda: mapped(pickled).select("close"))
    column = _ms(rounds, lambda: stored.select("close").collect())
    yield Row("bars", "collect one column", column, "ms", f"pickle and mmap: {guide:,.0f} ms", guide)


def _handle(rounds: int) -> Iterator[Row]:
    """What a program asks again and again: the newest bars, and a day in which some were repaired."""
    with tempfile.TemporaryDirectory(prefix="shardbook-bench-") as made:
        folder = Path(made) / "bars" / "MNQ"
        hot = MadeHot(folder, TIMEFRAME, 1 << 15)
        store = Store(folder / TIMEFRAME, made_bars.subject(TIMEFRAME))
        stored = made_bars.plain(4 * 86_400, 0, BEGIN_NS, SECOND_NS)
        hot.sealed_to = store.seal(stored[:-20_000], 1)
        hot.append(stored[-20_000:])
        bars = Bars(Path(made), "MNQ", TIMEFRAME)
        end = BEGIN_NS + 2 * DAY_NS
        os.utime(store.folder, ns=(0, 0))  # as if it had not changed for some time
        plain = _ms(rounds, lambda: bars.to_polars(end - DAY_NS, end))
        newest = _ms(20 * rounds, lambda: bars.last(100))
        for one in (100_000, -50):
            repaired = stored[[one]]
            repaired["revision"] = 1
            store.add(bars_frame.frame(repaired, QUARTERS), 1)
        os.utime(store.folder, ns=(1, 1))
        mended = _ms(20 * rounds, lambda: bars.last(100))
        read = _ms(rounds, lambda: bars.scan(end - DAY_NS, end).collect())
        bars.to_polars(end - DAY_NS, end)
        again = _ms(rounds, lambda: bars.to_polars(end - DAY_NS, end))
    yield Row("bars", "last(100), all of it hot", newest, "ms", f"a repair in it: {mended:.3g} ms", mended)
    yield Row("bars", "a day with a repair, merged", read, "ms", f"without a repair: {plain:.3g} ms", plain)
    yield Row("bars", "a day with a repair, kept", again, "ms", f"merged: {read:.3g} ms", read)


def _memory(folder: Path, parquet: Path, pickled: Path) -> Iterator[Row]:
    grown = {
        name: float(
            subprocess.run(
                [sys.executable, "-c", _FRESH.format(read=read), str(folder), str(parquet), str(pickled)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for name, read in _READS.items()
    }
    ours = grown["sealed"]
    for name, said in (("parquet", "Parquet"), ("pickle", "pickle and mmap")):
        compared = f"{said}: {grown[name]:,.0f} MiB"
        yield Row("bars", "memory for one column", ours, "MiB", compared, grown[name])


def _ms(rounds: int, work: Callable[[], object]) -> float:
    def once() -> float:
        begin_ns = time.perf_counter_ns()
        work()
        return (time.perf_counter_ns() - begin_ns) / 1e6

    return median_of(rounds, once)
