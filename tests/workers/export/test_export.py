"""A journal written out: Parquet rows that make the book and the tape again, and hftbacktest's events in order."""

import json
import re
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from engine import export_command
from tests.system.clients.environments import HERE, Missing, python_with_hftbacktest
from tests.workers.export.recorded import SYMBOL, TICK_SIZE, Run, Sides, run
from workers.export.__main__ import export
from workers.export.hftbacktest import BOTH, BUY, CLEAR, DEPTH, EVENT, SELL, TRADE


def _job(made: Run, form: str, folder: Path, **changed: Any) -> dict[str, Any]:
    times = {"start_wall_ns": None, "end_wall_ns": None}
    return {"files": made.files, "symbol": SYMBOL, "form": form, "folder": folder} | times | changed


@pytest.fixture
def made(tmp_path: Path, seed: int) -> Run:
    folder = tmp_path / "journal"
    folder.mkdir()
    return run(folder, np.random.default_rng(seed), 600)


def _books(changes: pl.DataFrame) -> dict[int, Sides | None]:
    """What the rows say the book is after each sequence that has some; None where it is void."""
    books: dict[int, Sides | None] = {}
    sides: Sides = ({}, {})
    for side, price, size, sequence in changes.select("side", "price_ticks", "size_units", "sequence").iter_rows():
        if side is None:
            sides = {}, {}
            books[sequence] = None
            continue
        levels = sides[0 if side == "bid" else 1]
        levels[price] = size
        if not size:
            del levels[price]
        books[sequence] = dict(sides[0]), dict(sides[1])
    return books


def test_parquet_rows_make_the_book_and_the_tape_again(made: Run, tmp_path: Path) -> None:
    wrote = export(_job(made, "parquet", tmp_path))
    changes, trades, quotes = (
        pl.read_parquet(tmp_path / f"{SYMBOL}-{kind}.parquet") for kind in ("changes", "trades", "quotes")
    )
    assert wrote.rows == {"changes": len(changes), "trades": len(trades), "quotes": len(quotes)}
    sides = trades["side"].replace_strict({"buy": 0, "sell": 1})
    assert list(zip(trades["price_ticks"], trades["size_units"], sides, strict=True)) == made.trades
    assert (trades["price"] == trades["price_ticks"] * TICK_SIZE).all()
    books, now = _books(changes), None
    for sequence, wanted in made.books:
        now = books.get(sequence, now)
        assert now == wanted, sequence
    assert changes["received"].is_sorted()
    assert quotes["sequence"].is_sorted()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        f"{SYMBOL}-{kind}.parquet" for kind in ("changes", "quotes", "trades")
    ]


def test_a_stretch_of_time_begins_with_what_was_before(made: Run, tmp_path: Path) -> None:
    export(_job(made, "parquet", tmp_path))
    all_of_it = pl.read_parquet(tmp_path / f"{SYMBOL}-trades.parquet")
    start = int(all_of_it["received"].to_physical()[len(all_of_it) // 3])
    end = int(all_of_it["received"].to_physical()[2 * len(all_of_it) // 3])
    export(_job(made, "parquet", tmp_path, start_wall_ns=start, end_wall_ns=end))
    part = pl.read_parquet(tmp_path / f"{SYMBOL}-trades.parquet")
    received = all_of_it["received"].to_physical()
    assert part.equals(all_of_it.filter((received >= start) & (received < end)))


def test_events_are_in_order_and_say_what_they_are(made: Run, tmp_path: Path) -> None:
    wrote = export(_job(made, "hftbacktest", tmp_path))
    data = np.load(tmp_path / f"{SYMBOL}.npz")["data"]
    assert data.dtype == EVENT
    assert wrote.rows == {"events": len(data)}
    for stamp in ("exch_ts", "local_ts"):
        assert (np.diff(data[stamp]) >= 0).all()
    assert (data["exch_ts"] <= data["local_ts"]).all()
    kinds, sides = data["ev"] & 0xFF, data["ev"] & (BUY | SELL)
    assert set(kinds.tolist()) == {DEPTH, TRADE, CLEAR}
    assert (data["ev"] & BOTH == BOTH).all()
    assert set(sides.tolist()) == {BUY, SELL}
    assert len(made.trades) == np.count_nonzero(kinds == TRADE)


def test_hftbacktest_has_our_best_bid_and_ask_at_every_event(made: Run, tmp_path: Path) -> None:
    try:
        python = python_with_hftbacktest()
    except Missing as missing:
        pytest.skip(f"hftbacktest cannot run here: {missing}")
    export(_job(made, "hftbacktest", tmp_path))
    export(_job(made, "parquet", tmp_path))
    changes = pl.read_parquet(tmp_path / f"{SYMBOL}-changes.parquet")
    ours: dict[int, tuple[float | None, float | None]] = {}
    books = _books(changes)
    for received, sequence in zip(changes["received"].to_physical(), changes["sequence"], strict=True):
        bids, asks = books[sequence] or ({}, {})
        ours[received] = (
            max(bids) * TICK_SIZE if bids else None,
            min(asks) * TICK_SIZE if asks else None,
        )
    command = [str(python), "-I", str(HERE / "backtest.py"), str(tmp_path / f"{SYMBOL}.npz"), str(TICK_SIZE), "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    theirs = {ts: (bid, ask) for ts, bid, ask in map(json.loads, done.stdout.splitlines())}
    compared = [received for received in ours if received in theirs]
    assert len(compared) >= len(ours) - 1 > 100  # it says nothing of the last one
    assert {received: theirs[received] for received in compared} == {received: ours[received] for received in compared}


def test_the_command_says_what_it_wrote_and_what_it_cannot(
    made: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, out = str(made.files[0].parent), ["--symbol", SYMBOL, "--out", str(tmp_path)]
    assert export_command.main([journal, *out]) == 0
    assert f"{len(made.trades):,} trades" in capsys.readouterr().out
    assert export_command.main([journal, "--symbol", "ES", "--out", str(tmp_path)]) == 1
    assert "nothing of ES" in capsys.readouterr().err
    assert export_command.main([str(tmp_path / "absent"), *out]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert export_command.main([journal, "--symbol", SYMBOL, "--out", str(tmp_path / "absent")]) == 2
    data = bytearray(made.files[0].read_bytes())
    data[len(data) // 2] ^= 1
    made.files[0].write_bytes(data)
    assert export_command.main([journal, *out]) == 1
    assert made.files[0].name in capsys.readouterr().err
    assert not list(tmp_path.glob(".*"))


def test_wrong_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--symbol", "../x"], ["--from", "never"], ["--format", "csv"]):
        with pytest.raises(SystemExit) as ended:
            export_command.main(["journal", "--symbol", "MNQ", "--out", ".", *wrong])
        assert ended.value.code == 2
    assert "is no symbol" in capsys.readouterr().err


@contextmanager
def _file_limit(size: int) -> Iterator[None]:
    """No file grows beyond that: what writes one gets EFBIG, as it gets ENOSPC from a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("form", ["parquet", "hftbacktest"])
def test_an_export_that_fails_leaves_what_was_there(made: Run, tmp_path: Path, form: str) -> None:
    old, new, empty = tmp_path / "old", tmp_path / "new", tmp_path / "empty"
    for folder in (old, new, empty):
        folder.mkdir()
    export(_job(made, form, new))
    sizes = sorted(path.stat().st_size for path in new.iterdir())
    before = {path.name: b"an older one" for path in new.iterdir()}
    for name, data in before.items():
        (old / name).write_bytes(data)
    for size in (100, *(size - 1 for size in sizes)):  # the last one: only the largest file does not fit
        for folder in (old, empty):
            with _file_limit(size), pytest.raises(OSError, match="File too large"):
                export(_job(made, form, folder))
        assert {path.name: path.read_bytes() for path in old.iterdir()} == before
        assert list(empty.iterdir()) == []


@pytest.mark.parametrize("form", ["parquet", "hftbacktest"])
def test_where_there_is_nothing_nothing_is_written(made: Run, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert not any(export(_job(made, form, out, end_wall_ns=1)).rows.values())
    assert list(out.iterdir()) == []


def test_the_backtest_of_the_docs_runs_to_its_end(made: Run, tmp_path: Path) -> None:
    try:
        python = python_with_hftbacktest()
    except Missing as missing:
        pytest.skip(f"hftbacktest cannot run here: {missing}")
    export(_job(made, "hftbacktest", tmp_path))
    text = (Path(__file__).parents[3] / "docs/export.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run(
        [str(python), "-I", "-c", example], capture_output=True, text=True, timeout=300, check=True, cwd=tmp_path
    )
    assert re.search(r"wider than a tick in [0-9,]+ of [0-9,]+ seconds", done.stdout)
